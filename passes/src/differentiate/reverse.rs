//! Reverse mode: from the loss back to the parameters, node by node, the gradients of each value added up.
//!
//! Only what lies between parameters and loss is walked. A node without a gradient on that way makes the gradients of everything
//! behind it incomplete, so the parameters there are frozen, and the walk is begun again without them. The body of a `Scan` is
//! walked the same way, turn by turn ([`scan`]).

use std::collections::{BTreeMap, HashMap, HashSet};

use onnxpress_ir::{Edit, EditError, Graph, Node, NodeId, ValueId};
use onnxpress_ops::gradient::{Gradient, GradientError, flows, of_node};
use onnxpress_ops::infer::Standard;
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::table;

use super::scan;

/// What the walk came to.
pub(super) enum Walked {
    /// The gradient of each parameter; those on which the loss does not depend are missing.
    Gradients(BTreeMap<ValueId, ValueId>),
    /// Parameters that lie behind nodes without a gradient, with the reason.
    Frozen(BTreeMap<ValueId, String>),
}

/// Values that a small change of the parameters changes.
fn active(graph: &Graph, order: &[NodeId], parameters: &[ValueId]) -> HashSet<ValueId> {
    let mut active: HashSet<ValueId> = parameters.iter().copied().collect();
    for &id in order {
        let Some(cx) = NodeCx::new(graph, id) else { continue };
        let zero = table::of(cx.node).is_some_and(|operator| matches!(operator.gradient, Gradient::Zero(_)));
        let reads = |index: usize| cx.operand(index).is_some_and(|value| active.contains(&value)) && flows(&cx, index);
        let captured = graph.implicit_operands(id).flatten().any(|value| active.contains(&value));
        if !zero && (captured || (0..cx.operand_count()).any(reads)) {
            active.extend((0..cx.node.port_count() as u32).map(|port| id.port(port)));
        }
    }
    active
}

/// Parameters that a value depends on, those of a set.
fn behind(graph: &Graph, value: ValueId, parameters: &[ValueId]) -> Vec<ValueId> {
    let (mut seen, mut waiting, mut found) = (HashSet::new(), vec![value], Vec::new());
    while let Some(value) = waiting.pop() {
        if parameters.contains(&value) && !found.contains(&value) {
            found.push(value);
        }
        if seen.insert(value.node) {
            waiting.extend(graph.reads(value.node));
        }
    }
    found
}

/// Gradients of the results of a node, and of what it reads which are wanted.
struct Asked {
    results: Vec<Option<ValueId>>,
    operands: Vec<bool>,
    captured: Vec<bool>,
}

/// Writes the gradients of what a node reads: of its operands, then of what its subgraphs capture.
fn of_any(edit: &mut Edit<'_>, id: NodeId, asked: &Asked) -> Result<Vec<Option<ValueId>>, GradientError> {
    if edit.graph().node(id).is_some_and(|node| node.is("Scan")) {
        let wanted = scan::Wanted { operands: &asked.operands, captured: &asked.captured };
        let found = scan::gradient(edit, id, &asked.results, &wanted)?;
        return Ok(found.operands.into_iter().chain(found.captured).collect());
    }
    of_node(edit, id, &asked.results, &asked.operands)
}

/// Writes the gradients of the parameters, from values whose own gradients are given.
///
/// # Errors
/// Where nodes that were written make no sense.
pub(super) fn walk(
    graph: &mut Graph,
    from: &[(ValueId, ValueId)],
    parameters: &[ValueId],
) -> Result<Walked, EditError> {
    let order = graph.topological().unwrap_or_default();
    let active = active(graph, &order, parameters);
    let mut gradients: HashMap<ValueId, Vec<ValueId>> = HashMap::new();
    for &(value, gradient) in from {
        gradients.entry(value).or_default().push(gradient);
    }
    let mut frozen: BTreeMap<ValueId, String> = BTreeMap::new();
    for &id in order.iter().rev() {
        let Some(cx) = NodeCx::new(graph, id) else { continue };
        let ports = cx.node.port_count() as u32;
        if !(0..ports).any(|port| active.contains(&id.port(port)) && gradients.contains_key(&id.port(port))) {
            continue;
        }
        let is_active = |value: Option<ValueId>| value.is_some_and(|value| active.contains(&value));
        let read: Vec<Option<ValueId>> = graph.operands(id).chain(graph.implicit_operands(id)).collect();
        let operands = (0..cx.operand_count()).map(|index| is_active(cx.operand(index)) && flows(&cx, index)).collect();
        let captured = graph.implicit_operands(id).map(is_active).collect();
        let mut edit = Edit::new(graph, &Standard, super::NAME, &[id]);
        let mut results = Vec::new();
        for port in 0..ports {
            results.push(match gradients.get(&id.port(port)).map(Vec::as_slice) {
                None => None,
                Some([one]) => Some(*one),
                Some(many) => Some(edit.add(Node::new("Sum", 1), many)?),
            });
        }
        match of_any(&mut edit, id, &Asked { results, operands, captured }) {
            Ok(written) => {
                edit.commit();
                for (operand, gradient) in read.into_iter().zip(written) {
                    if let (Some(operand), Some(gradient)) = (operand, gradient) {
                        gradients.entry(operand).or_default().push(gradient);
                    }
                }
            }
            Err(GradientError::Broken(error)) => return Err(error),
            Err(GradientError::NotPossible(reason)) => {
                drop(edit);
                let site = graph.describe(id);
                let reads: Vec<ValueId> = graph.reads(id).filter(|value| active.contains(value)).collect();
                for parameter in reads.into_iter().flat_map(|value| behind(graph, value, parameters)) {
                    frozen.entry(parameter).or_insert_with(|| format!("{site} has no gradient: {reason}"));
                }
            }
        }
    }
    if !frozen.is_empty() {
        return Ok(Walked::Frozen(frozen));
    }
    let last: Vec<NodeId> = from.iter().map(|(value, _)| value.node).collect();
    let mut edit = Edit::new(graph, &Standard, super::NAME, &last);
    let mut done = BTreeMap::new();
    for parameter in parameters {
        match gradients.get(parameter).map(Vec::as_slice) {
            None => {}
            Some([one]) => drop(done.insert(*parameter, *one)),
            Some(many) => drop(done.insert(*parameter, edit.add(Node::new("Sum", 1), many)?)),
        }
    }
    edit.commit();
    Ok(Walked::Gradients(done))
}
