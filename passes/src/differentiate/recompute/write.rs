//! Segments of the way forward computed anew, each behind a gate.
//!
//! What a segment is computed anew of passes a gate: `Where(c, x, x)`, which is `x` whatever the condition is. The condition is computed of the
//! gradient that comes into the segment and of all gradients that are done by then, so nothing behind the gate can be computed before,
//! nor be taken for what was computed already; and what is done is done, whatever order a runtime prefers.

use std::collections::{HashMap, HashSet};

use onnxpress_ir::{Attr, DType, Edit, EditError, Graph, Node, NodeId, Port, Tensor, Use, ValueId};
use onnxpress_ops::infer::Standard;

use super::super::NAME;
use super::segments::{Forward, results};

/// Computes what the way back reads of each segment anew, but for the last one.
///
/// # Errors
/// Where a node that was written makes no sense.
pub(super) fn anew(graph: &mut Graph, forward: &Forward, ends: &[usize]) -> Result<(), EditError> {
    let firsts = std::iter::once(0).chain(ends.iter().map(|end| end + 1));
    let segments: Vec<(usize, usize)> = firsts.zip(ends.iter().copied()).collect();
    let mut awaited = HashSet::new();
    for &(first, last) in segments.iter().rev() {
        segment(graph, forward, first, last, &mut awaited)?;
    }
    Ok(())
}

fn segment(
    graph: &mut Graph,
    forward: &Forward,
    first: usize,
    last: usize,
    awaited: &mut HashSet<ValueId>,
) -> Result<(), EditError> {
    let nodes = &forward.nodes[first..=last];
    let is_given_up =
        |value: ValueId| forward.place(value.node).is_some_and(|place| place >= first) && !forward.is_kept(value, last);
    let given_up = nodes.iter().flat_map(|&id| results(graph, id)).filter(|&value| is_given_up(value));
    let readings: Vec<(Use, ValueId)> = given_up
        .flat_map(|value| graph.readers(value).map(move |reading| (reading, value)))
        .filter(|(reading, _)| !forward.is_behind(reading.node))
        .collect();
    let Some(awaits) = awaits(graph, forward, &readings, awaited) else { return Ok(()) };
    let mut needed: HashSet<NodeId> = readings.iter().map(|(_, value)| value.node).collect();
    for &id in nodes.iter().rev() {
        if needed.contains(&id) {
            needed.extend(graph.reads(id).filter(|&value| is_given_up(value)).map(|value| value.node));
        }
    }
    let from: Vec<NodeId> = readings.iter().map(|(reading, _)| reading.node).take(1).collect();
    let mut edit = Edit::new(graph, &Standard, NAME, &from);
    let condition = condition(&mut edit, &awaits)?;
    let mut anew: HashMap<ValueId, ValueId> = HashMap::new();
    for &id in nodes.iter().filter(|id| needed.contains(id)) {
        let operands: Vec<Option<ValueId>> = edit.graph().operands(id).collect();
        for value in operands.iter().copied().flatten() {
            if !anew.contains_key(&value) && is_gated(edit.graph(), forward, value) {
                let gated = edit.add(Node::new("Where", 1), &[condition, value, value])?;
                anew.insert(value, gated);
            }
        }
        let Some(copy) = edit.graph().node(id).map(copied) else { continue };
        let operands: Vec<Option<ValueId>> =
            operands.into_iter().map(|value| value.map(|value| anew.get(&value).copied().unwrap_or(value))).collect();
        let added = edit.add_node(copy, &operands)?;
        for value in results(edit.graph(), id).collect::<Vec<_>>() {
            anew.insert(value, added.port(value.port));
        }
    }
    for (reading, value) in readings {
        edit.connect(reading, anew.get(&value).copied());
    }
    edit.commit();
    Ok(())
}

/// Whether a value that is kept passes the gate. Whole numbers that are computed are extents and places.
fn is_gated(graph: &Graph, forward: &Forward, value: ValueId) -> bool {
    let float = graph.ty(value).dtype().is_some_and(|dtype| dtype.is_float());
    forward.moves(value) && (float || forward.place(value.node).is_none())
}

/// The node, without names.
fn copied(node: &Node) -> Node {
    let ports = node.ports().iter().map(|port| Port { omitted: port.omitted, ..Port::default() });
    let new = Node::new(node.op_type.clone(), 0).in_domain(node.domain.clone());
    node.attrs.iter().cloned().fold(new.with_ports(ports), Node::with)
}

/// Values that are there once the way back comes to a segment, of which it reads so: the deepest that these readings are combined with,
/// and gradients of parameters that are done, but for those `awaited` elsewhere. `None` where it never comes there.
fn awaits(
    graph: &Graph,
    forward: &Forward,
    readings: &[(Use, ValueId)],
    awaited: &mut HashSet<ValueId>,
) -> Option<Vec<ValueId>> {
    let mut depending: HashSet<NodeId> = readings.iter().map(|(reading, _)| reading.node).collect();
    let mut depth: HashMap<NodeId, usize> = HashMap::new();
    let mut deepest: Option<(usize, ValueId)> = None;
    let ours = |value: ValueId| graph.node(value.node).is_some() && !forward.is_behind(value.node);
    let usable = |value: ValueId| {
        let ty = graph.ty(value);
        ours(value) && ty.shape().is_some() && ty.dtype().is_some_and(|dtype| dtype.is_float())
    };
    for id in graph.topological().unwrap_or_default() {
        if forward.is_behind(id) {
            continue;
        }
        let before = graph.reads(id).filter_map(|value| depth.get(&value.node)).max().copied().unwrap_or(0);
        depth.insert(id, before + 1);
        if graph.reads(id).any(|value| depending.contains(&value.node)) {
            depending.insert(id);
        }
        if depending.contains(&id) {
            for value in graph.reads(id).filter(|&value| usable(value) && !depending.contains(&value.node)) {
                let own = depth.get(&value.node).copied().unwrap_or(0);
                if deepest.is_none_or(|(deepest, _)| own > deepest) {
                    deepest = Some((own, value));
                }
            }
        }
    }
    let (_, deepest) = deepest?;
    let given = graph.outputs().iter().filter_map(|&id| graph.operand(id, 0));
    let done = given.filter(|&value| usable(value) && !depending.contains(&value.node) && value != deepest);
    let done: Vec<ValueId> = done.filter(|&value| awaited.insert(value)).collect();
    Some(std::iter::once(deepest).chain(done).collect())
}

/// A condition that is known once these values are.
fn condition(edit: &mut Edit<'_>, values: &[ValueId]) -> Result<ValueId, EditError> {
    let list = edit.add_constant(None, Tensor::vector(vec![-1i64]));
    let mut numbers = Vec::with_capacity(values.len());
    for &value in values {
        let rank = edit.graph().ty(value).shape().map_or(0, |shape| shape.len());
        let mut one = value;
        if rank > 0 {
            let bounds = [vec![0i64; rank], vec![1; rank], (0..rank as i64).collect()];
            let [starts, ends, axes] = bounds.map(|bounds| edit.add_constant(None, Tensor::vector(bounds)));
            one = edit.add(Node::new("Slice", 1), &[value, starts, ends, axes])?;
        }
        one = edit.add(Node::new("Reshape", 1), &[one, list])?;
        if edit.graph().ty(value).dtype() != Some(DType::Float) {
            one = edit.add(Node::new("Cast", 1).with(Attr::int("to", DType::Float.code())), &[one])?;
        }
        numbers.push(one);
    }
    let all = match numbers.as_slice() {
        [one] => *one,
        many => edit.add(Node::new("Concat", 1).with(Attr::int("axis", 0)), many)?,
    };
    // Of no number at all the sum is zero, and of one that is none the comparison is false.
    let axes = edit.add_constant(None, Tensor::vector(vec![0i64]));
    let sum = edit.add(Node::new("ReduceSum", 1).with(Attr::int("keepdims", 0)), &[all, axes])?;
    let zero = edit.add_constant(None, Tensor::scalar(0f32));
    edit.add(Node::new("Less", 1), &[sum, zero])
}
