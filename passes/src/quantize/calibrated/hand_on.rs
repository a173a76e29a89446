//! Codes through operators that only move elements: with the same parameters before and behind, there is nothing to convert.
//!
//! Before: `DequantizeLinear`, the operator, `QuantizeLinear`, all with one scale and zero point, and nobody else reads the floats.
//! After: the operator on codes. Exact, since what codes stand for is quantized to these codes.

use onnxpress_ir::{DType, Edit, EditError, Graph, NodeId, Port, ValueId};
use onnxpress_ops::infer::Standard;
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::schema;

use super::target::{How, Target};

/// A value that is converted.
struct Converted {
    codes: ValueId,
    parameters: [Option<ValueId>; 2],
}

/// Hands codes on wherever that can be. Operands before results, so that codes go as far as they can.
///
/// # Errors
/// Where the graph does not take it: a defect.
pub(super) fn hand_on(graph: &mut Graph) -> Result<(), EditError> {
    let mut unread = Vec::new();
    for id in graph.topological().unwrap_or_default() {
        let Some((operands, conversion)) = NodeCx::new(graph, id).and_then(|cx| found(&cx)) else { continue };
        let Some(node) = graph.node(id) else { continue };
        let mover = node.clone().with_ports([Port::default()]);
        let read: Vec<NodeId> = graph.operands(id).flatten().map(|value| value.node).collect();
        let name = graph.port(conversion.port(0)).name.clone();
        let mut edit = Edit::new(graph, &Standard, "quantize", &[id]);
        let codes = edit.add_node(mover, &operands)?.port(0);
        edit.replace(conversion.port(0), codes)?;
        edit.rename(codes, name);
        edit.remove(conversion);
        edit.remove(id);
        edit.commit();
        unread.extend(read);
    }
    unread.sort_unstable();
    unread.dedup();
    unread.retain(|&id| graph.node(id).is_some_and(|node| node.is("DequantizeLinear")) && !graph.is_read(id));
    let mut edit = Edit::new(graph, &Standard, "quantize", &[]);
    unread.into_iter().for_each(|id| edit.remove(id));
    edit.commit();
    Ok(())
}

/// What a node would read if it moved codes, and the conversion behind it that would go.
fn found(cx: &NodeCx<'_>) -> Option<(Vec<Option<ValueId>>, NodeId)> {
    let graph = cx.graph;
    let standard = cx.node.canonical_domain().is_empty();
    let moves = standard && Target::Generic.how(&cx.node.op_type.to_str()) == Some(How::Shares);
    // Between elements floats are computed with; wider codes are what few kernels take.
    let between =
        cx.node.is("Resize") && cx.attrs().string_or("mode", "nearest".into()).is_ok_and(|mode| mode != "nearest");
    if !moves || between || cx.node.port_count() != 1 || cx.node.has_subgraphs() {
        return None;
    }
    let data = if cx.node.is("Concat") { cx.operand_count() } else { 1 };
    let mut operands: Vec<Option<ValueId>> = graph.operands(cx.id).collect();
    let first = converted(graph, cx.operand(0)?)?;
    let dtype = graph.ty(first.codes).dtype().filter(|dtype| dtype.bits() == 8)?;
    for (slot, operand) in operands.iter_mut().enumerate().take(data) {
        let one = converted(graph, (*operand)?)?;
        if one.parameters != first.parameters || !takes(cx, slot, dtype) {
            return None;
        }
        *operand = Some(one.codes);
    }
    let reading = graph.sole_reader(cx.id.port(0))?;
    let quantizes = graph.node(reading.node).is_some_and(|node| node.is("QuantizeLinear"));
    let same = [1, 2].map(|operand| graph.operand(reading.node, operand)) == first.parameters;
    (quantizes && same).then_some((operands, reading.node))
}

/// The value as codes with one scale, where a conversion made it of them.
fn converted(graph: &Graph, value: ValueId) -> Option<Converted> {
    graph.node(value.node).filter(|node| node.is("DequantizeLinear"))?;
    let parameters = [1, 2].map(|operand| graph.operand(value.node, operand));
    let one = graph.ty(parameters[0]?).shape().is_some_and(|shape| shape.is_empty());
    Some(Converted { codes: graph.operand(value.node, 0)?, parameters }).filter(|_| one)
}

/// Whether the operator takes elements of a type, in the version that the graph is written in.
fn takes(cx: &NodeCx<'_>, slot: usize, dtype: DType) -> bool {
    let schema = schema::schema(cx.node.canonical_domain(), cx.node.op_type.as_bytes(), cx.version);
    schema.is_some_and(|schema| {
        let constraint = schema.input(slot).and_then(|formal| schema.constraint(formal));
        constraint.is_some_and(|constraint| constraint.types.tensors.contains(dtype))
    })
}
