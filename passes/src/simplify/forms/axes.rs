//! The axes that a node names: an attribute in older versions, operand 1 in newer ones.

use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{Attr, Node, ValueId};
use onnxpress_ops::node::NodeCx;

use crate::rewrite::{Found, MatchCx, Miss, Reads};

/// The version from which an operator takes its axes as operand 1.
fn operand_since(node: &Node) -> i64 {
    match &*node.op_type.to_str() {
        "Squeeze" | "Unsqueeze" | "ReduceSum" => 13,
        _ => 18,
    }
}

/// The axes as the node has them; `None` where it names none.
///
/// # Errors
/// [`Miss::NotHere`] where they are not known ahead.
pub(in super::super) fn named(cx: &MatchCx<'_>, node: &NodeCx<'_>) -> Found<Option<Vec<i64>>> {
    if node.version >= operand_since(node.node) {
        cx.int_operand(node.id, 1)
    } else {
        cx.attribute(node.id, node.attrs().ints("axes"))
    }
}

/// The axes of a tensor of this rank that the node names, counted from the front and sorted; `None` where it names none.
///
/// # Errors
/// [`Miss::NotHere`] where they are not known ahead, or make no sense.
pub(in super::super) fn resolved(cx: &MatchCx<'_>, node: &NodeCx<'_>, rank: usize) -> Found<Option<Vec<usize>>> {
    let Some(axes) = named(cx, node)? else { return Ok(None) };
    let axes: Option<Vec<usize>> = axes.iter().map(|&axis| normalize_axis(axis, rank)).collect();
    let mut axes = axes.ok_or(Miss::NotHere)?;
    axes.sort_unstable();
    axes.dedup();
    Ok(Some(axes))
}

/// Operands and attributes of a node that names other axes: of `data`, as an operator that takes its axes like `node`.
pub(in super::super) fn renamed(node: &NodeCx<'_>, data: ValueId, axes: &[usize]) -> (Vec<Reads>, Vec<Attr>) {
    let axes: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
    let mut attrs = node.node.attrs.clone();
    if node.version >= operand_since(node.node) {
        return (vec![data.into(), Reads::ints(axes)], attrs);
    }
    attrs.retain(|attr| attr.name != "axes");
    attrs.push(Attr::ints("axes", axes));
    (vec![data.into()], attrs)
}
