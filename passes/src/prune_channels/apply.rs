//! From options to a plan, from a plan to a smaller model.
//!
//! Whether every shape follows is known for sure only when the cut is made. A value whose shape does not gets its axes pinned,
//! and all begins anew; so the plan that comes out is one that works. Each round pins something, so it ends.

use onnxpress_ir::analysis::channels::{Coupling, SpanId};
use onnxpress_ir::{ConstantForm, Graph, Model, Tensor};
use onnxpress_ops::coupling::coupling;

use super::compensate;
use super::cost::Costs;
use super::cut::{self, Left, Mismatch};
use super::mask;
use super::members::{Member, members};
use super::options::{Compensate, PruneChannels, Scope};
use super::plan::{self, PinnedGroup, Plan, PlannedGroup, SCHEMA};
use super::select::{self, Group};
use crate::inline_functions::InlineFunctions;
use crate::pass::{Pass, PassCx, PassError};
use crate::specialize::InitializersAsConstants;

/// Rounds of pinning what turned out not to follow.
const ROUNDS: usize = 64;

/// Functions are called from places with axes of their own, so their bodies are put there. An initializer that is also an input
/// is a weight like others; the cut one stays an input, of its new shape.
pub(super) fn prepare(model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
    let graph = &model.graph;
    let listed: Vec<_> = (0u32..)
        .zip(graph.inputs())
        .map(|(place, &id)| (place, graph.input(id)))
        .filter(|(_, input)| input.default.is_some())
        .filter_map(|(place, input)| Some((input.port.name.clone()?, place, input.carried.clone())))
        .collect();
    if !listed.is_empty() {
        InitializersAsConstants.run(model, cx)?;
        let named: std::collections::HashMap<_, _> =
            model.graph.constants().filter_map(|(id, constant)| Some((constant.port.name.clone()?, id))).collect();
        for (name, place, carried) in listed {
            if let Some(&id) = named.get(&name) {
                model.graph.constant_mut(id).form = ConstantForm::ListedAsInput { place, carried };
            }
        }
    }
    InlineFunctions::default().run(model, cx)
}

/// The analysis of a model, and what follows from it for choosing.
struct Subject {
    coupling: Coupling,
    members: Vec<Vec<Member>>,
    axes: Vec<SpanId>,
}

impl Subject {
    fn of(model: &Model, coupling: Coupling) -> Self {
        let graph = &model.graph;
        let members = members(graph, &coupling);
        let mut axes: Vec<SpanId> = coupling
            .values()
            .flat_map(|(_, axes)| axes.iter().copied())
            .chain(members.iter().flatten().filter_map(|member| {
                coupling.read(graph, member.reading).and_then(|axes| axes.get(member.axis)).copied()
            }))
            .map(|span| coupling.spans.representative(span))
            .collect();
        axes.sort_unstable();
        axes.dedup();
        Self { coupling, members, axes }
    }
}

/// Which of the leaves may lose indices, and why the others may not.
fn eligible(options: &PruneChannels, model: &Model, subject: &Subject) -> Result<Vec<Option<String>>, PassError> {
    let graph = &model.graph;
    let leaves = subject.coupling.spans.leaves();
    let names: Vec<Vec<String>> = subject
        .members
        .iter()
        .map(|members| {
            let of = |member: &Member| {
                let node = graph.node(member.reading.node).and_then(|node| node.name.as_ref());
                [Some(graph.label(member.constant.port(0))), node.map(ToString::to_string)]
            };
            members.iter().flat_map(of).flatten().collect()
        })
        .collect();
    for pattern in options.include.iter().chain(&options.exclude) {
        if !names.iter().flatten().any(|name| pattern.matches(name)) {
            return Err(PassError::Request(format!(
                "the pattern `{pattern}` matches no constant and no node with weights"
            )));
        }
    }
    let says = |patterns: &[crate::options::Pattern], names: &[String]| {
        patterns.iter().any(|pattern| names.iter().any(|name| pattern.matches(name)))
    };
    Ok(leaves
        .iter()
        .enumerate()
        .map(|(number, leaf)| match &leaf.pinned {
            Some(reason) => Some(reason.clone()),
            None if subject.members[number].is_empty() => Some("no constant has it".to_owned()),
            None if !options.include.is_empty() && !says(&options.include, &names[number]) => {
                Some("not among what `include` names".to_owned())
            }
            None if says(&options.exclude, &names[number]) => Some("`exclude` names it".to_owned()),
            None => None,
        })
        .collect())
}

/// A choice of what goes.
struct Chosen {
    left: Left,
    scores: Vec<Vec<f64>>,
    reasons: Vec<Option<String>>,
}

fn choose(options: &PruneChannels, model: &Model, subject: &Subject) -> Result<Chosen, PassError> {
    let coupling = &subject.coupling;
    let leaves = coupling.spans.leaves();
    let mut reasons = eligible(options, model, subject)?;
    let free: Vec<bool> = reasons.iter().map(Option::is_none).collect();
    let costs = Costs::of(&model.graph, coupling);
    let limits = options.limits();
    let whole: Vec<usize> = leaves.iter().map(|leaf| leaf.extent).collect();
    let saved = |wanted: &[usize]| {
        let mut left = whole.clone();
        for &leaf in wanted {
            left[leaf] -= (options.ratio.get() * left[leaf] as f64 + 1e-9).floor() as usize;
        }
        costs.with(&whole).params - costs.with(&left).params
    };
    for (reason, back) in reasons.iter_mut().zip(select::one_factor_each(coupling, &subject.axes, &free, saved)) {
        if reason.is_none() {
            *reason = back.map(str::to_owned);
        }
    }
    let active: Vec<bool> = reasons.iter().map(Option::is_none).collect();
    let scores = options.scoring().scores(&model.graph, coupling, &subject.members, &active);
    let groups = select::groups(coupling, &active, &scores);
    let left_at = |ratio: f64| {
        select::without(coupling, &subject.axes, &groups, &numbers(options.scope, &groups, &scores, ratio, &limits))
    };
    let left = match options.goal()? {
        None => left_at(options.ratio.get()),
        Some((quantity, share)) => {
            let count = |left: &Left| costs.with(&left.iter().map(Vec::len).collect::<Vec<_>>()).of(quantity);
            let whole = count(&left_at(0.0));
            let removed = |left: &Left| 1.0 - count(left) / whole.max(1.0);
            let (mut low, mut high) = (0.0, 1.0);
            for _ in 0..24 {
                let middle = (low + high) / 2.0;
                if removed(&left_at(middle)) < share { low = middle } else { high = middle }
            }
            let left = [left_at(low), left_at(high)]
                .into_iter()
                .min_by(|a, b| (removed(a) - share).abs().total_cmp(&(removed(b) - share).abs()))
                .unwrap_or_default();
            if removed(&left) < share - 0.02 {
                let most = removed(&left);
                return Err(PassError::Request(format!(
                    "at most {:.1} % of the {} can be removed within the limits, {:.1} % are asked for",
                    100.0 * most,
                    quantity,
                    100.0 * share
                )));
            }
            left
        }
    };
    Ok(Chosen { left, scores, reasons })
}

/// How many of each group go.
fn numbers(scope: Scope, groups: &[Group], scores: &[Vec<f64>], ratio: f64, limits: &select::Limits) -> Vec<usize> {
    match scope {
        Scope::Group => {
            let wanted = |group: &Group| (ratio * group.ranked.len() as f64 + 1e-9).floor() as usize;
            groups.iter().map(|group| group.within(wanted(group), limits)).collect()
        }
        Scope::Global => {
            let mut all: Vec<(f64, usize)> = Vec::new();
            for (number, group) in groups.iter().enumerate() {
                all.extend(group.ranked.iter().map(|&(leaf, index)| (scores[leaf][index], number)));
            }
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let mut wanted = vec![0; groups.len()];
            for &(_, number) in &all[..(ratio * all.len() as f64 + 1e-9).floor() as usize] {
                wanted[number] += 1;
            }
            groups.iter().zip(wanted).map(|(group, wanted)| group.within(wanted, limits)).collect()
        }
    }
}

/// Chooses, cuts, and says what was done. Answers whether anything went.
pub(super) fn plan_and_cut(
    options: &PruneChannels,
    model: &mut Model,
    cx: &mut PassCx<'_>,
    digest: &str,
    text: &str,
) -> Result<bool, PassError> {
    let mut subject = Subject::of(model, coupling(&model.graph));
    let mut wrong = Vec::new();
    for _ in 0..ROUNDS {
        let chosen = choose(options, model, &subject)?;
        let mut plan = written(model, &subject, &chosen, digest, text);
        if plan.groups.is_empty() {
            for pinned in &plan.pinned {
                cx.declined(PruneChannels::NAME, pinned.name.clone(), pinned.reason.clone());
            }
            cx.set_plan(&plan);
            return Ok(false);
        }
        if options.compensate == Compensate::Mean {
            plan.biases = compensate::by_means(&model.graph, &subject.coupling, &chosen.left);
        }
        let mut whole = model.clone();
        compensate::apply(&mut whole, &mut subject.coupling, &plan.biases)?;
        let mut result = whole.clone();
        match cut::cut(&mut result, &subject.coupling, &chosen.left)? {
            Ok(()) => {
                cx.set_witness(mask::witness(&whole, &subject.coupling, &chosen.left)?);
                *model = result;
                cx.applied(PruneChannels::NAME, plan.groups.len());
                for pinned in &plan.pinned {
                    cx.declined(PruneChannels::NAME, pinned.name.clone(), pinned.reason.clone());
                }
                cx.set_plan(&plan);
                return Ok(true);
            }
            Err(mismatch) => {
                // Who comes out wrong though nothing goes along its axes has it from somewhere before.
                let again = wrong.contains(&mismatch.node);
                pin(&mut subject, model, &mismatch, again);
                wrong.push(mismatch.node);
            }
        }
    }
    let wrong: Vec<String> = wrong.iter().map(|&node| model.graph.describe(node)).collect();
    Err(PassError::Request(format!("the shapes of the model do not follow a cut: {}", wrong.join(", "))))
}

/// Pins whatever the node reads and gives out, or all nodes before it do.
fn pin(subject: &mut Subject, model: &Model, mismatch: &Mismatch, all_before: bool) {
    let graph = &model.graph;
    let reason = format!("{}: {}", graph.describe(mismatch.node), mismatch.reason);
    let mut open = vec![mismatch.node];
    let mut seen = std::collections::HashSet::new();
    while let Some(node) = open.pop() {
        if !seen.insert(node) {
            continue;
        }
        let letters = subject.coupling.letters(node).iter().map(|(_, span)| *span);
        let ports = 0..graph.vertex(node).ports().len() as u32;
        let axes = ports
            .filter_map(|port| subject.coupling.axes(node.port(port)))
            .chain(graph.reads(node).filter_map(|value| subject.coupling.axes(value)))
            .flatten()
            .copied();
        let spans: Vec<SpanId> = letters.chain(axes).collect();
        spans.into_iter().for_each(|span| subject.coupling.pin(span, &reason));
        if all_before {
            open.extend(graph.reads(node).map(|value| value.node));
        }
    }
}

/// Of a window's axes nobody expects anything.
const WINDOW: &str = "places along the axis matter";

/// Whether any member is a weight rather than a list of axes or the like.
fn has_weights(graph: &Graph, members: &[Member]) -> bool {
    let is_weight = |tensor: &Tensor| tensor.dtype().is_float() || tensor.rank() > 1;
    members.iter().any(|member| graph.constant(member.constant.port(0)).is_some_and(is_weight))
}

fn written(model: &Model, subject: &Subject, chosen: &Chosen, digest: &str, text: &str) -> Plan {
    let graph = &model.graph;
    let leaves = subject.coupling.spans.leaves();
    let (mut groups, mut pinned) = (Vec::new(), Vec::new());
    for (id, leaf) in leaves.iter().enumerate() {
        let members = &subject.members[id];
        if members.is_empty() {
            continue;
        }
        let name = plan::name(graph, members);
        let members = plan::planned_members(graph, members);
        if chosen.left[id].len() < leaf.extent {
            let scores = chosen.scores[id].iter().map(|score| (score * 1e6).round() / 1e6).collect();
            let kept = chosen.left[id].clone();
            groups.push(PlannedGroup { id, name, channels: leaf.extent, kept, scores, members });
        } else if leaf.extent > 1
            && !chosen.reasons[id].as_ref().is_some_and(|why| why.ends_with(WINDOW))
            && has_weights(graph, &subject.members[id])
        {
            let reason = chosen.reasons[id].clone().unwrap_or_else(|| "the limits leave it whole".to_owned());
            pinned.push(PinnedGroup { name, channels: leaf.extent, reason, members });
        }
    }
    let (tensors, copies) = plan::tensors(graph, &subject.coupling, &chosen.left);
    let (pass, model) = (text.to_owned(), digest.to_owned());
    Plan { schema: SCHEMA, pass, model, groups, pinned, tensors, copies, biases: Vec::new() }
}

crate::options! {
    /// Applies a plan that a pass wrote, to the same model, with the same result.
    ///
    /// The plan may have been edited: of `prune-channels`, `kept` of a group says which channels stay; of `quantize-weights`,
    /// `layers` says which weights are written in few bits, and how.
    pub struct ApplyPlan {
        /// The plan, as `--plan-out` wrote it.
        file: String = String::new(),
    }
}

impl Pass for ApplyPlan {
    const NAME: &'static str = "apply-plan";
    const LOSSY: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let fail = |reason: String| PassError::Request(format!("plan `{}`: {reason}", self.file));
        if self.file.is_empty() {
            return Err(PassError::Request("`file` is missing, the plan to apply".to_owned()));
        }
        let text = match cx.request.files {
            Some(files) => files.read(&self.file).map_err(fail)?,
            None => return Err(fail("there is nobody here to read files".to_owned())),
        };
        let plan: serde_json::Value = serde_json::from_str(&text).map_err(|error| fail(error.to_string()))?;
        let made_by =
            |pass: &str| plan.get("pass").and_then(|text| text.as_str()).is_some_and(|text| text.starts_with(pass));
        if made_by(crate::quantize::QuantizeWeights::NAME) {
            return crate::quantize::apply_plan(plan, model, cx).map_err(fail);
        }
        let plan: Plan = serde_json::from_value(plan).map_err(|error| fail(error.to_string()))?;
        let digest = crate::digest::of(model);
        prepare(model, cx)?;
        let mut coupling = coupling(&model.graph);
        let left = plan.left(&digest, &coupling).map_err(|error| fail(error.to_string()))?;
        let (tensors, _) = plan::tensors(&model.graph, &coupling, &left);
        plan.agrees(&tensors).map_err(|error| fail(error.to_string()))?;
        let mut whole = model.clone();
        compensate::apply(&mut whole, &mut coupling, &plan.biases).map_err(|error| fail(error.to_string()))?;
        let mut result = whole.clone();
        match cut::cut(&mut result, &coupling, &left)? {
            Ok(()) => {
                cx.set_witness(mask::witness(&whole, &coupling, &left)?);
                *model = result;
                cx.applied(Self::NAME, plan.groups.len());
                cx.set_plan(&plan);
                Ok(())
            }
            Err(Mismatch { node, reason }) => Err(fail(format!("{}: {reason}", model.graph.describe(node)))),
        }
    }
}
