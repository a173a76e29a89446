//! `DequantizeLinear` of constants, of what was quantized just before, and of what only moves elements of either.

use onnxpress_ir::tensor::range;
use onnxpress_ir::{Attr, AttrValue, Edit, EditError, Graph, Node, NodeId, Slot, Tensor, ValueId};
use onnxpress_ops::infer::Standard;
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::Quantize;
use onnxpress_ops::table;

use super::{Dequantize, Taken, floats};
use crate::eliminate_common_subexpressions::same_operation;
use crate::pass::{Pass, PassError};
use crate::quantize::weight::Granularity;

/// What became of one `DequantizeLinear`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    /// Nothing.
    Nothing,
    /// It is gone, or stands before what it stood behind; nothing is rounded less.
    Decoded,
    /// It is gone, and the rounding before it.
    Unrounded,
}

/// Takes `DequantizeLinear` away where it can be; answers how often, and how often with the rounding before it.
pub(super) fn all(graph: &mut Graph, taken: &Taken) -> Result<(usize, usize), PassError> {
    let nodes: Vec<NodeId> =
        graph.nodes().filter(|(_, node)| node.op_type == "DequantizeLinear").map(|(id, _)| id).collect();
    let (mut count, mut unrounded) = (0, 0);
    for id in nodes {
        let done = one(graph, id, taken).map_err(|error| PassError::Broken(error.to_string()))?;
        count += usize::from(done != Done::Nothing);
        unrounded += usize::from(done == Done::Unrounded);
    }
    Ok((count, unrounded))
}

/// How scales lie; `None` where the attributes are a function's or there is no such axis.
pub(super) fn granularity(cx: &NodeCx<'_>) -> Option<Granularity> {
    let (axis, block) = (cx.attrs().int_or("axis", 1).ok()?, cx.attrs().int_or("block_size", 0).ok()?);
    if cx.shape(1)?.is_empty() {
        return Some(Granularity::Tensor);
    }
    let axis = onnxpress_ir::shape::normalize_axis(axis, cx.rank(0)?);
    match usize::try_from(block).ok()? {
        0 => Some(axis.map_or(Granularity::Tensor, Granularity::Channel)),
        size => Some(Granularity::Blocks { axis: axis?, size }),
    }
}

fn one(graph: &mut Graph, id: NodeId, taken: &Taken) -> Result<Done, EditError> {
    let Some(cx) = NodeCx::new(graph, id) else { return Ok(Done::Nothing) };
    let (Some(codes), Some(scale)) = (cx.operand(0), cx.operand(1)) else { return Ok(Done::Nothing) };
    let zero = cx.operand(2);
    let Some(how) = granularity(&cx) else { return Ok(Done::Nothing) };
    if let Some(tensor) = floats(graph, codes, scale, zero, how) {
        // What the node gives has a name, as a rule the weight's; a table that floats were made behind has its codes'.
        let name = if graph.port(id.port(0)).name.is_none() { taken.restored(graph, codes) } else { None };
        let mut edit = Edit::new(graph, &Standard, Dequantize::NAME, &[id]);
        let constant = edit.add_constant(name, tensor);
        edit.replace(id.port(0), constant)?;
        edit.remove(id);
        edit.commit();
        return Ok(Done::Decoded);
    }
    let Some(producer) = NodeCx::new(graph, codes.node) else { return Ok(Done::Nothing) };
    if producer.node.op_type == "QuantizeLinear" {
        let alike = |slot: usize, own: Option<ValueId>| same(graph, producer.operand(slot), own);
        let Some(input) = producer.operand(0).filter(|_| alike(1, Some(scale)) && alike(2, zero)) else {
            return Ok(Done::Nothing);
        };
        let limits = limits(graph, codes, scale, zero);
        let decoders = decoders(graph, id, codes);
        let mut edit = Edit::new(graph, &Standard, Dequantize::NAME, &decoders);
        let value = match limits {
            None => input,
            Some(limits) => clipped(&mut edit, input, limits)?,
        };
        for id in decoders {
            edit.replace(id.port(0), value)?;
            edit.remove(id);
        }
        edit.commit();
        return Ok(Done::Unrounded);
    }
    Ok(if moved(graph, id, codes, how)? { Done::Decoded } else { Done::Nothing })
}

/// Whether two operands are one value, constants of one content, or both left out.
fn same(graph: &Graph, a: Option<ValueId>, b: Option<ValueId>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => {
            a == b || graph.constant(a).is_some_and(|a| graph.constant(b).is_some_and(|b| a.same_as(b)))
        }
        (a, b) => a == b,
    }
}

/// All that decode the same codes as the node does, in the same way: itself first.
fn decoders(graph: &Graph, id: NodeId, codes: ValueId) -> Vec<NodeId> {
    let is_alike = |other: &NodeId| {
        let (Some(own), Some(other)) = (NodeCx::new(graph, id), NodeCx::new(graph, *other)) else { return false };
        same_operation(own.node, other.node, own.version)
            && other.operand(0) == Some(codes)
            && (1..3).all(|slot| same(graph, own.operand(slot), other.operand(slot)))
    };
    let others = graph.readers(codes).filter(|reading| reading.slot == Slot::Operand(0)).map(|reading| reading.node);
    std::iter::once(id).chain(others.filter(|other| *other != id).filter(is_alike)).collect()
}

/// A value held to limits.
pub(super) fn clipped(edit: &mut Edit<'_>, input: ValueId, (low, high): (f32, f32)) -> Result<ValueId, EditError> {
    if edit.graph().opsets.version(b"").is_some_and(|version| version < 11) {
        let limit = |name: &'static str, value: f32| Attr::new(name, AttrValue::Float(value));
        return edit.add(Node::new("Clip", 1).with(limit("min", low)).with(limit("max", high)), &[input]);
    }
    let (low, high) = (Tensor::scalar(low), Tensor::scalar(high));
    let (low, high) = (edit.add_constant(None, low), edit.add_constant(None, high));
    edit.add(Node::new("Clip", 1), &[input, low, high])
}

/// The least and the largest code less the zero point, of whole numbers of sixteen bits at most.
pub(super) fn reach(graph: &Graph, codes: ValueId, zero: Option<ValueId>) -> Option<(i64, i64)> {
    let dtype = graph.ty(codes).dtype().filter(|dtype| dtype.is_integer() && dtype.bits() <= 16)?;
    let zero = match zero {
        Some(zero) => *graph.constant(zero)?.to_i64s().ok()?.first()?,
        None => 0,
    };
    let (low, high) = range(dtype);
    Some((low - zero, high - zero))
}

/// What codes can reach, where there is one scale and it is constant and of binary32.
fn limits(graph: &Graph, codes: ValueId, scale: ValueId, zero: Option<ValueId>) -> Option<(f32, f32)> {
    let (low, high) = reach(graph, codes, zero)?;
    let scale = match graph.constant(scale)?.values::<f32>().ok()?.as_ref() {
        [one] => f64::from(*one),
        _ => return None,
    };
    Some(((low as f64 * scale) as f32, (high as f64 * scale) as f32))
}

/// Where codes are only moved on the way, floats are moved as well.
fn moved(graph: &mut Graph, id: NodeId, codes: ValueId, how: Granularity) -> Result<bool, EditError> {
    let Some(mover) = NodeCx::new(graph, codes.node) else { return Ok(false) };
    let moves = table::of(mover.node).is_some_and(|sheet| sheet.quantize == Quantize::Moves);
    let dtype = graph.ty(codes).dtype();
    // A concatenation moves all that it reads.
    let data = if mover.node.is("Concat") { mover.operand_count() } else { 1 };
    let others = (data..mover.operand_count()).filter_map(|slot| mover.operand(slot));
    let alone = others.into_iter().all(|value| graph.ty(value).dtype() != dtype);
    let is_parameter = (1..3).any(|slot| graph.operand(id, slot) == Some(codes));
    if !moves || !alone || is_parameter || mover.node.port_count() != 1 || mover.node.has_subgraphs() {
        return Ok(false);
    }
    let Some(source) = mover.operand(0).filter(|_| data == 1 || how == Granularity::Tensor) else { return Ok(false) };
    let rank = graph.ty(source).shape().map(|shape| shape.len());
    // Of several scales those along the last axis stay so where the first is looked up in.
    let axis = match how {
        Granularity::Tensor => None,
        Granularity::Channel(axis) => {
            let of_codes = graph.ty(codes).shape().map(|shape| shape.len());
            let looked_up = mover.node.is("Gather") && mover.attrs().int_or("axis", 0).is_ok_and(|axis| axis == 0);
            match rank {
                Some(rank) if looked_up && rank > 1 && of_codes == Some(axis + 1) => Some(rank - 1),
                _ => return Ok(false),
            }
        }
        Granularity::Blocks { .. } => return Ok(false),
    };
    let Some(node) = graph.node(id) else { return Ok(false) };
    let mut decoding = node.clone().with_ports([onnxpress_ir::Port::default()]);
    if let Some(axis) = axis {
        decoding.attrs.retain(|attr| attr.name != "axis");
        decoding.attrs.push(Attr::int("axis", axis as i64));
    }
    let mut operands: Vec<Option<ValueId>> = graph.operands(id).collect();
    let mut moving: Vec<Option<ValueId>> = graph.operands(codes.node).collect();
    let decoders = decoders(graph, id, codes);
    let is_last = graph.readers(codes).all(|reading| decoders.contains(&reading.node));
    let mut mover = mover.node.clone().with_ports([onnxpress_ir::Port::default()]);
    if !is_last {
        // The one on codes stays for others, with its name.
        mover.name = None;
    }
    let mut edit = Edit::new(graph, &Standard, Dequantize::NAME, &[codes.node]);
    for codes in moving.iter_mut().take(data) {
        operands[0] = *codes;
        *codes = Some(edit.add_node(decoding.clone(), &operands)?.port(0));
    }
    let moved = edit.add_node(mover, &moving)?.port(0);
    for id in decoders {
        edit.replace(id.port(0), moved)?;
        edit.remove(id);
    }
    edit.commit();
    Ok(true)
}
