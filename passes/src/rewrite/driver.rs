//! The driver: one worklist for each graph, until no rule fires.
//!
//! Every node is looked at once, producers first. After a rule has fired, what it added and changed is looked at again, and
//! every root whose last look depended on that; nothing else, so the time is in proportion to the graph and to what is
//! rewritten. What an edit leaves without readers is swept at once, and what readers know of their operands is inferred anew.
//!
//! Nothing here depends on the order of a hash table: roots are queued in the order of the graph and of the edits.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use onnxpress_ir::{Carried, ConstantForm, Edit, Graph, Model, NodeId, Touched, ValueId, Vertex};
use onnxpress_ops::infer::{self, Standard};
use rustc_hash::FxHashMap;

use super::file_size::Written;
use super::notes::Notes;
use super::rule::{AnyRule, Miss, Outcome, Roots};
use super::surroundings::{ModelFacts, Place, Surroundings};
use super::sweep::sweep;
use super::worklist::Worklist;
use crate::pass::{Decline, PassCx};

/// Rewritings allowed for each vertex of a graph, above [`LEAST_FUEL`]. Each rule ends by itself, so this is met only if
/// rules undo each other's work: a defect, which is reported.
const FUEL_PER_VERTEX: usize = 16;

/// Rewritings allowed in the smallest graph.
const LEAST_FUEL: usize = 256;

/// Applies rules to the main graph, to subgraphs at any depth and to the bodies of functions, until none fires. Of several
/// rules that fire at a node the first of the list is taken.
///
/// What was applied, and what was declined in the end, is recorded in `cx`.
pub fn rewrite(model: &mut Model, rules: &[&dyn AnyRule], cx: &mut PassCx<'_>) {
    on_credit(model, rules, cx, 0);
}

/// The same, where the file may be larger by so many bytes in between. Answers whether something was left alone since the
/// file would have grown by more.
pub fn on_credit(model: &mut Model, rules: &[&dyn AnyRule], cx: &mut PassCx<'_>, loan: usize) -> bool {
    let facts = ModelFacts::of(model).with_credit(cx.request.came, model).with_loan(loan);
    let mut driver = Driver { rules: Rules::new(rules), applied: BTreeMap::new(), out_of_fuel: Vec::new() };
    let mut declined = driver.graph(&mut model.graph, &Surroundings::outermost(&facts, Place::Main));
    for function in &mut model.functions {
        let inside = driver.graph(&mut function.body, &Surroundings::outermost(&facts, Place::Function));
        let place = format!("function `{}`", function.name);
        declined.extend(inside.into_iter().map(|decline| decline.inside(&place)));
    }
    for (rule, times) in driver.applied {
        cx.applied(rule, times);
    }
    for Decline { rule, site, reason } in declined {
        cx.declined(rule, site, reason);
    }
    for graph in driver.out_of_fuel {
        cx.notice(format!("the rules were stopped in {graph}: they seem to go in circles, which is a defect"));
    }
    facts.was_short()
}

/// Rules by the operators they start from.
struct Rules<'r> {
    all: &'r [&'r dyn AnyRule],
    by_operator: HashMap<&'static str, Vec<usize>>,
    of_others: Vec<usize>,
    of_constants: Vec<usize>,
}

impl<'r> Rules<'r> {
    fn new(all: &'r [&'r dyn AnyRule]) -> Self {
        let starts_at = |operator: Option<&str>| {
            let fits = |rule: &&dyn AnyRule| match (rule.roots(), operator) {
                (Roots::Any, _) => true,
                (Roots::Operators(list), Some(operator)) => list.contains(&operator),
                (Roots::Operators(_), None) | (Roots::ConstantNodes, _) => false,
            };
            all.iter().enumerate().filter(|(_, rule)| fits(rule)).map(|(index, _)| index).collect::<Vec<_>>()
        };
        let mut by_operator = HashMap::new();
        for rule in all {
            if let Roots::Operators(list) = rule.roots() {
                for &operator in list {
                    by_operator.entry(operator).or_insert_with(|| starts_at(Some(operator)));
                }
            }
        }
        let of_constants = (0..all.len()).filter(|&index| all[index].roots() == Roots::ConstantNodes).collect();
        Self { all, by_operator, of_others: starts_at(None), of_constants }
    }

    /// The rules that start at a vertex, in the order of the list.
    fn at(&self, graph: &Graph, id: NodeId, model: &ModelFacts) -> &[usize] {
        let node = match graph.get(id) {
            Some(Vertex::Node(node)) => node,
            Some(Vertex::Constant(constant)) if matches!(constant.form, ConstantForm::Node { .. }) => {
                return &self.of_constants;
            }
            _ => return &[],
        };
        // A function of the model may be called as an operator of the standard, and is another one.
        let standard = node.canonical_domain().is_empty() && model.called(node).is_none();
        let name = std::str::from_utf8(node.op_type.as_bytes()).ok().filter(|_| standard);
        name.and_then(|name| self.by_operator.get(name)).unwrap_or(&self.of_others)
    }
}

struct Driver<'r> {
    rules: Rules<'r>,
    applied: BTreeMap<&'static str, usize>,
    /// The graphs in which the rules did not come to an end.
    out_of_fuel: Vec<String>,
}

/// What is known of one graph while it is worked on.
#[derive(Default)]
struct State {
    list: Worklist,
    /// The last decline of each rule at each root.
    declined: BTreeMap<(NodeId, usize), (NodeId, String)>,
    /// What was declined inside of nodes.
    inside: BTreeMap<NodeId, Vec<Decline>>,
    /// How many bytes of the file each vertex takes.
    bytes: FxHashMap<NodeId, usize>,
}

impl State {
    /// Counts the bytes of vertices that an edit touched, and of those that are gone.
    fn account(&mut self, graph: &Graph, around: &Surroundings<'_>, touched: &[NodeId], gone: &[NodeId]) {
        let (mut before, mut after) = (0, 0);
        for id in gone {
            before += self.bytes.remove(id).unwrap_or(0);
        }
        for &id in touched {
            let now = around.bytes(graph, id);
            after += now;
            before += self.bytes.insert(id, now).unwrap_or(0);
        }
        around.model.account(before, after);
    }
}

impl Driver<'_> {
    /// Works on one graph and all inside of it; answers what was declined.
    fn graph(&mut self, graph: &mut Graph, around: &Surroundings<'_>) -> Vec<Decline> {
        let mut fuel = LEAST_FUEL + FUEL_PER_VERTEX * graph.vertex_count();
        let mut state = State::default();
        let notes = Notes::of(graph);
        let around = &around.noting(&notes);
        graph.topological().unwrap_or_default().into_iter().for_each(|id| state.list.push(id));
        state.bytes = graph.vertices().map(|(id, _)| (id, around.bytes(graph, id))).collect();
        while let Some(id) = state.list.pop() {
            if !graph.contains(id) {
                continue;
            }
            if graph.node(id).is_some_and(onnxpress_ir::Node::has_subgraphs) {
                self.bodies(graph, around, id, &mut state);
            }
            self.node(graph, around, id, &mut state, &mut fuel);
            if fuel == 0 {
                self.out_of_fuel.push(match &graph.name {
                    Some(name) => format!("graph `{name}`"),
                    None => "a graph".to_owned(),
                });
                break;
            }
        }
        self.declines(graph, state)
    }

    /// Tries the rules at a node until one fires.
    fn node(&mut self, graph: &mut Graph, around: &Surroundings<'_>, id: NodeId, state: &mut State, fuel: &mut usize) {
        let Self { rules, applied, .. } = self;
        for &index in rules.at(graph, id, around.model) {
            let rule = rules.all[index];
            let attempt = rule.attempt(graph, around, id);
            state.declined.remove(&(id, index));
            match attempt.outcome {
                Outcome::Applied(touched) => {
                    *applied.entry(rule.name()).or_default() += 1;
                    *fuel = fuel.saturating_sub(1);
                    state.list.push(id);
                    settle(graph, around, touched, id, state);
                    return;
                }
                Outcome::Missed(miss) => {
                    state.list.watch(id, attempt.watched);
                    if let Miss::Declined { site, reason } = miss {
                        state.declined.insert((id, index), (site, reason));
                    }
                }
            }
        }
    }

    /// Works on the subgraphs of a node.
    fn bodies(&mut self, graph: &mut Graph, around: &Surroundings<'_>, holder: NodeId, state: &mut State) {
        let mut captured = vec![0u32; graph.implicit_operands(holder).len()];
        let mut names = Vec::new();
        for attr in graph.node(holder).map_or(&[][..], |node| &node.attrs) {
            for body in attr.value.graphs() {
                names.push(attr.name.clone());
                for (_, capture) in body.captures() {
                    if let Some(count) = captured.get_mut(capture.operand as usize) {
                        *count += 1;
                    }
                }
            }
        }
        // Taken out, so that the graph around can be read while they are changed.
        let mut bodies: Vec<Graph> = graph.annotating_subgraphs(holder).map(std::mem::take).collect();
        let mut changed = false;
        let mut declined = Vec::new();
        for (body, name) in bodies.iter_mut().zip(names) {
            let before = body.revision();
            let inside = self.graph(body, &around.inside(graph, holder, &captured));
            changed |= body.revision() != before;
            let place = format!("`{name}` of {}", graph.describe(holder));
            declined.extend(inside.into_iter().map(|decline| decline.inside(&place)));
        }
        for (slot, body) in graph.annotating_subgraphs(holder).zip(bodies) {
            *slot = body;
        }
        state.inside.insert(holder, declined);
        if changed {
            graph.touch();
            let before: Vec<ValueId> = graph.implicit_operands(holder).flatten().collect();
            graph.drop_unread_captures(holder);
            let after: BTreeSet<ValueId> = graph.implicit_operands(holder).flatten().collect();
            let orphaned = before.into_iter().filter(|value| !after.contains(value)).map(|value| value.node).collect();
            let touched = Touched { changed: vec![holder], orphaned, ..Touched::default() };
            // What went inside has been counted there.
            state.bytes.insert(holder, around.bytes(graph, holder));
            settle(graph, around, touched, holder, state);
        }
    }

    /// What is declined now that no rule fires any more.
    fn declines(&self, graph: &Graph, state: State) -> Vec<Decline> {
        let own =
            state.declined.into_iter().filter(|((root, _), (site, _))| graph.contains(*root) && graph.contains(*site));
        let own = own.map(|((_, index), (site, reason))| Decline {
            rule: self.rules.all[index].name(),
            site: graph.describe(site),
            reason,
        });
        let inside = state.inside.into_iter().filter(|&(holder, _)| graph.contains(holder));
        own.chain(inside.flat_map(|(_, declined)| declined)).collect()
    }
}

/// After an edit: sweeps what it left unread, infers what follows from it, and queues whom it concerns.
fn settle(graph: &mut Graph, around: &Surroundings<'_>, touched: Touched, root: NodeId, state: &mut State) {
    if around.written() == Written::Node {
        write_as_nodes(graph, &touched.added);
    }
    let mut candidates = touched.orphaned.clone();
    candidates.push(root);
    let swept = sweep(graph, &candidates, around.model);
    let mut changed: Vec<NodeId> = touched.added.iter().chain(&touched.changed).copied().collect();
    changed.retain(|&id| graph.contains(id));
    let gone: Vec<NodeId> = touched.gone.iter().chain(&swept.gone).copied().collect();
    state.account(graph, around, &changed, &gone);
    if let Some(notes) = around.notes() {
        touched.added.iter().for_each(|&id| notes.constant(graph, id));
    }
    let list = &mut state.list;
    let mut stale = changed.clone();
    for &id in &changed {
        if matches!(graph.get(id), Some(Vertex::Constant(_))) {
            stale.extend(graph.readers(id.port(0)).map(|reading| reading.node));
        }
    }
    changed.extend(infer::readers_of(graph, &stale).sharpened);
    for id in changed {
        list.changed(id);
    }
    for &id in touched.orphaned.iter().chain(&swept.orphaned) {
        // Who reads it now may be what a rule that starts there waits for.
        if graph.node(id).is_some() {
            list.push(id);
        }
        list.lost_readers(graph, id);
    }
}

/// Constants of graphs that can have no initializers.
fn write_as_nodes(graph: &mut Graph, added: &[NodeId]) {
    let mut edit = Edit::new(graph, &Standard, "constants-as-nodes", &[]);
    for &id in added {
        if matches!(edit.graph().get(id), Some(Vertex::Constant(_))) {
            edit.set_form(id, ConstantForm::Node { name: None, carried: Carried::none() });
        }
    }
    edit.commit();
}
