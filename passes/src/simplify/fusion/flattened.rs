//! `LayerNormalization` as the standard's own function body has it: on a matrix.
//!
//! `x` is flattened at the axis, and so are `scale` and `B` to one row; the result is brought back to the extents of `x`, and the
//! mean and the inverse of the deviation are given with the axes kept.

use onnxpress_ir::{Attr, DType, Dim, Node, NodeId, Shape, ValueId};

use super::normalized::Normalized;
use super::pattern::{either_way, equal, giver, only_reader, shape};
use crate::rewrite::{Found, MatchCx, Miss, Reads};
use crate::simplify::fused::Fused;

/// The operator, and the last of the nodes in whose place it comes.
///
/// # Errors
/// [`Miss::NotHere`] where it is written otherwise.
pub(super) fn normalization(cx: &MatchCx<'_>, found: &Normalized) -> Found<(Fused, NodeId)> {
    if !found.centered || found.over.rank != 2 || found.over.axes != [1] {
        return Err(Miss::NotHere);
    }
    let mut gone = found.nodes.clone();
    let x = before_flattening(cx, found.x, &mut gone)?;
    let dtype = cx.ty(x).dtype().filter(|&dtype| dtype == DType::Float).ok_or(Miss::NotHere)?;
    let (rows, extents) = (of(cx, found.x)?, of(cx, x)?);
    let axis = axis_of(rows, extents).ok_or(Miss::NotHere)?;
    let mut parameter = |value: ValueId, op_type| -> Found<(NodeId, ValueId)> {
        let node = only_reader(cx, value, op_type)?;
        let row = either_way(cx, node)?.into_iter().find(|(own, _)| *own == value).ok_or(Miss::NotHere)?.1;
        let whole = before_flattening(cx, row, &mut gone).unwrap_or(row);
        let fits = row != value && equal(of(cx, whole)?.iter(), extents[axis..].iter());
        if fits { Ok((node, whole)) } else { Err(Miss::NotHere) }
    };
    let (mul, scale) = parameter(found.value, "Mul")?;
    let (add, bias) = parameter(mul.port(0), "Add")?;
    gone.extend([mul, add]);
    // Back to the extents of `x`; a matrix may be left as it is.
    let last = match only_reader(cx, add.port(0), "Reshape") {
        Ok(reshape) => {
            gone.push(reshape);
            reshape
        }
        Err(_) => add,
    };
    if !equal(of(cx, last.port(0))?.iter(), extents.iter()) {
        return Err(Miss::NotHere);
    }
    let statistics: Vec<Dim> =
        extents.iter().enumerate().map(|(at, extent)| if at < axis { extent.clone() } else { Dim::from(1) }).collect();
    let kept: Shape = statistics.into_iter().collect();
    let mean = found.mean.and_then(|mean| given(cx, mean, &kept, &found.nodes, &mut gone));
    let inverse = found.deviation.and_then(|deviation| {
        let mut readers = cx.graph().readers(deviation).filter(|reading| !found.nodes.contains(&reading.node));
        let reciprocal = readers.next().filter(|_| readers.next().is_none())?.node;
        cx.operator(reciprocal, "Reciprocal").ok()?;
        gone.push(reciprocal);
        given(cx, reciprocal.port(0), &kept, &[], &mut gone)
    });
    let mut outputs = vec![Some(last.port(0)), mean, inverse];
    while outputs.last() == Some(&None) {
        outputs.pop();
    }
    let mut node = Node::new("LayerNormalization", 1);
    if axis + 1 != extents.len() {
        node = node.with(Attr::int("axis", axis as i64 - extents.len() as i64));
    }
    let node = node.with(Attr::float("epsilon", found.epsilon as f32));
    let reads = [x, scale, bias].map(Reads::Value).to_vec();
    Ok((Fused::giving(cx, outputs, &gone, node, reads, dtype)?, last))
}

fn of<'a>(cx: &MatchCx<'a>, value: ValueId) -> Found<&'a Shape> {
    shape(cx, value).ok_or(Miss::NotHere)
}

/// The value before a `Flatten` or `Reshape`; the value itself where there is none.
fn before_flattening(cx: &MatchCx<'_>, value: ValueId, gone: &mut Vec<NodeId>) -> Found<ValueId> {
    let Some(node) = ["Flatten", "Reshape"].iter().find_map(|op_type| giver(cx, value, op_type).ok()) else {
        return Ok(value);
    };
    gone.push(node);
    cx.operand(node, 0)
}

/// At which axis a shape is cut into the two extents of a matrix.
fn axis_of(matrix: &Shape, extents: &Shape) -> Option<usize> {
    let [rows, columns] = &matrix[..] else { return None };
    let is_cut = |axis: &usize| {
        let (before, behind) = extents.split_at(*axis);
        Dim::product(before).equals(rows) == Some(true) && Dim::product(behind).equals(columns) == Some(true)
    };
    (0..extents.len()).find(is_cut)
}

/// The value that the rows of a statistic are given as, if there is one.
fn given(cx: &MatchCx<'_>, value: ValueId, kept: &Shape, inside: &[NodeId], gone: &mut Vec<NodeId>) -> Option<ValueId> {
    let others: Vec<NodeId> =
        cx.graph().readers(value).map(|reading| reading.node).filter(|node| !inside.contains(node)).collect();
    let [other] = others[..] else { return None };
    let out = match cx.operator(other, "Reshape") {
        Ok(reshape) => {
            gone.push(reshape.id);
            reshape.id.port(0)
        }
        // The graph's own output.
        Err(_) => value,
    };
    equal(shape(cx, out)?.iter(), kept.iter()).then_some(out)
}
