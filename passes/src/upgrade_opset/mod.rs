//! `upgrade-opset`: the model in a newer version of the standard's operators.
//!
//! A version changes the meaning of few operators. [`steps`] says which and how, one line a change; a change that only adds
//! types or optional things needs no line, and [`compatible`] tells these apart by the schemas alone. The pass walks from
//! version to version, so a rule knows its own step and no other, and what one makes the next may change again.
//!
//! All graphs of a model go to the same version, because a function whose operators are not those of the model is refused by
//! onnx's checker. Where a step cannot be made, nothing of that version is kept: the walk is begun again for the version
//! before it.

mod compatible;
mod format;
mod rules;
mod site;
mod steps;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;

use onnxpress_ir::verify::Severity;
use onnxpress_ir::{Edit, Graph, Model, Name, NodeId};
use onnxpress_ops::infer::{self, Standard};
use onnxpress_ops::verify;

use crate::calls::each_node;
use crate::imports::import;
use crate::pass::{Pass, PassCx, PassError};
use crate::rewrite::file_size::Written;
use crate::rewrite::{ModelFacts, Place, Surroundings};
use site::{Constants, Site};
use steps::Change;
pub use target::Opset;

/// The oldest version that the steps begin from; before it operators broadcast by attributes.
const OLDEST: i64 = 7;

crate::options! {
    /// Writes the model in a newer version of the standard's operator set.
    ///
    /// Main graph, subgraphs and functions all go to the same version. Operators whose meaning changes on the way are
    /// rewritten so that they compute the same: axes that become operands, Softmax over flattened axes, Upsample that became
    /// Resize, and so on. Where that is not possible the model goes to the highest version before it, and the report says
    /// which operator is in the way and why. The version of the file format is raised as far as the operators need it. Models
    /// older than version 7 are left alone, and there is no way back to an older version.
    pub struct UpgradeOpset {
        /// The version to go to; by default the newest that is known.
        to: Opset = Opset::newest(),
    }
}

impl Pass for UpgradeOpset {
    const NAME: &'static str = "upgrade-opset";
    const MAY_GROW: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let Some(oldest) = parts(model).filter_map(|graph| graph.opsets.version(b"")).min() else { return Ok(()) };
        let mut to = self.to.version();
        if let Some(found) = model.graph.opsets.version(b"").filter(|&found| found > to) {
            let reason = format!("the model is written in opset {found}; there is no way back to {to}");
            return Err(PassError::Request(reason));
        }
        if oldest < OLDEST {
            cx.declined(
                Self::NAME,
                "the model",
                format!("opset {oldest} is older than {OLDEST}, where upgrades begin"),
            );
            return Ok(());
        }
        let mut blocking = Vec::new();
        while to > oldest {
            let mut attempt = model.clone();
            match upgrade(&mut attempt, to) {
                Ok(rewritten) => {
                    *model = attempt;
                    cx.applied(Self::NAME, rewritten.max(1));
                    break;
                }
                Err(blocked) => (to, blocking) = (blocked.version - 1, blocked.by),
            }
        }
        for (site, reason) in blocking {
            cx.declined(Self::NAME, site, format!("opset {to} is as far as it goes: {reason}"));
        }
        Ok(())
    }
}

/// What stands in the way of a version: the sites, and why.
struct Blocked {
    version: i64,
    by: Vec<(String, String)>,
}

/// The main graph and the bodies of functions.
fn parts(model: &Model) -> impl Iterator<Item = &Graph> {
    std::iter::once(&model.graph).chain(model.functions.iter().map(|function| &function.body))
}

/// Brings every graph of the model that is older than `to` there; answers how many nodes were rewritten.
fn upgrade(model: &mut Model, to: i64) -> Result<usize, Blocked> {
    format::raise(model, format::of_opset(to));
    let facts = ModelFacts::of(model);
    let mut rewritten = 0;
    let functions = model.functions.iter_mut().map(|function| (&mut function.body, Place::Function));
    for (graph, place) in std::iter::once((&mut model.graph, Place::Main)).chain(functions) {
        let Some(from) = graph.opsets.version(b"").filter(|&from| from < to) else { continue };
        rewritten += walk(graph, &Surroundings::outermost(&facts, place), from, to)?;
    }
    let inferred = infer::model(model);
    let mut by: Vec<_> = inferred.invalid.into_iter().map(|error| (error.node, error.reason)).collect();
    if by.is_empty() {
        let errors = verify::verify(model).into_iter().filter(|finding| finding.severity == Severity::Error);
        by.extend(errors.map(|finding| (finding.site, finding.problem.to_string())));
    }
    // Of what is wrong with a node, the first thing is enough.
    by.dedup_by(|later, first| later.0 == first.0);
    if by.is_empty() { Ok(rewritten) } else { Err(Blocked { version: to, by }) }
}

/// Brings one graph, and all inside of it, from one version to another.
fn walk(graph: &mut Graph, around: &Surroundings<'_>, from: i64, to: i64) -> Result<usize, Blocked> {
    let mut rewritten = 0;
    let mut operators = operators(graph, around.model);
    for version in from + 1..=to {
        let changes: BTreeMap<_, _> =
            operators.iter().filter_map(|name| Some((name.clone(), steps::change(name, version)?))).collect();
        if changes.is_empty() {
            continue;
        }
        set_version(graph, version);
        let mut level = Level { version, to, changes: &changes, rewritten: 0, blocked: Vec::new() };
        level.graph(graph, around);
        if !level.blocked.is_empty() {
            return Err(Blocked { version, by: level.blocked });
        }
        rewritten += level.rewritten;
        operators = self::operators(graph, around.model);
    }
    set_version(graph, to);
    Ok(rewritten)
}

fn set_version(graph: &mut Graph, version: i64) {
    let mut opsets = (*graph.opsets).clone();
    opsets.set(Name::empty(), version);
    import(graph, &Arc::new(opsets));
}

/// The standard's operators that are used in a graph or inside of it; calls of functions are none of them.
fn operators(graph: &Graph, facts: &ModelFacts) -> std::collections::BTreeSet<Name> {
    let mut names = std::collections::BTreeSet::new();
    each_node(graph, &mut |node| {
        if node.canonical_domain().is_empty() && !names.contains(&node.op_type) && facts.called(node).is_none() {
            names.insert(node.op_type.clone());
        }
    });
    names
}

/// One version's changes, on their way through a graph.
struct Level<'a> {
    version: i64,
    /// Where the walk ends.
    to: i64,
    changes: &'a BTreeMap<Name, Change>,
    rewritten: usize,
    blocked: Vec<(String, String)>,
}

impl Level<'_> {
    fn graph(&mut self, graph: &mut Graph, around: &Surroundings<'_>) {
        let ids: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
        let mut constants = Constants::default();
        for id in ids {
            let Some(node) = graph.node(id) else { continue };
            let own = node.canonical_domain().is_empty() && around.model.called(node).is_none();
            let change = self.changes.get(&node.op_type).filter(|_| own).copied();
            if node.has_subgraphs() {
                let inside = Surroundings::outermost(around.model, Place::Subgraph);
                graph.subgraphs_mut(id).for_each(|body| self.graph(body, &inside));
            }
            if let Some(change) = change {
                self.node(graph, id, change, around.written(), &mut constants);
            }
        }
    }

    fn node(&mut self, graph: &mut Graph, id: NodeId, change: Change, written: Written, constants: &mut Constants) {
        let site = graph.describe(id);
        let done = match change {
            Change::Same(_) => return,
            Change::Stop(reason) => Err(reason.to_owned()),
            Change::Rule(rule) => {
                let edit = Edit::new(graph, &Standard, UpgradeOpset::NAME, &[id]);
                let mut site = Site { edit, id, version: self.version, to: self.to, written, constants };
                rule(&mut site).map(|()| {
                    site.edit.commit();
                })
            }
        };
        match done {
            Ok(()) => self.rewritten += 1,
            Err(reason) => self.blocked.push((site, reason)),
        }
    }
}

/// Brings a model at least to a version, where something needs it. Answers the version that it is in then.
///
/// # Errors
/// What stands in the way; the model is as it was.
pub(crate) fn reach(model: &mut Model, to: i64) -> Result<i64, String> {
    let Some(oldest) = parts(model).filter_map(|graph| graph.opsets.version(b"")).min() else {
        return Err("the model has no operator of the standard".to_owned());
    };
    if oldest >= to {
        return Ok(oldest);
    }
    if oldest < OLDEST {
        return Err(format!("opset {oldest} is older than {OLDEST}, where upgrades begin"));
    }
    let mut attempt = model.clone();
    match upgrade(&mut attempt, to) {
        Ok(_) => {
            *model = attempt;
            Ok(to)
        }
        Err(blocked) => {
            Err(blocked.by.into_iter().map(|(site, reason)| format!("{site}: {reason}")).collect::<Vec<_>>().join("; "))
        }
    }
}
