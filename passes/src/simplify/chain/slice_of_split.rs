//! Takes a slice, or single indices, of a part of a `Split` from the whole.
//!
//! Before `y = Slice(p, ..)` or `y = Gather(p, i)` with `p` a part of `Split(x)` along the same axis; after `y = Slice(x, ..)` or
//! `y = Gather(x, i')`.
//! Fires if the indices and the extents of the parts up to this one are known, and every part that is read is read once, by a `Slice`
//! or `Gather` along this axis: then the `Split` goes.
//! Exact: the same elements. Ends: a part fewer is read each time.

use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{Edit, EditError, NodeId, Tensor, ValueId};
use onnxpress_ops::node::NodeCx;

use super::super::forms::slicing::{self, Cut};
use crate::rewrite::{Change, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct SliceOfSplit;

impl Rule for SliceOfSplit {
    const NAME: &'static str = "slice-of-split";
    const CONTRACT: &'static str = crate::contract!("slice_of_split.rs");
    const ROOTS: Roots = Roots::Operators(&["Slice", "Gather"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        let part = cx.operand(root, 0)?;
        let split = cx.operator(part.node, "Split")?;
        let whole = cx.operand(split.id, 0)?;
        let rank = cx.shape(whole).ok_or(Miss::NotHere)?.len();
        let along = cx.attribute(split.id, split.attrs().int_or("axis", 0))?;
        let axis = normalize_axis(along, rank).ok_or(Miss::NotHere)?;
        let picks = |value: ValueId| {
            let reading = cx.graph().sole_reader(value)?;
            let reader = cx.node(reading.node).ok()?;
            picked(cx, &reader, rank, axis).ok()
        };
        let parts = (0..split.node.port_count() as u32).map(|port| split.id.port(port));
        let mut read = parts.filter(|&value| cx.is_read(value));
        if !read.all(|value| cx.is_read_once(value) && picks(value).is_some()) {
            return Err(Miss::NotHere);
        }
        let extent = |value| cx.shape(value).and_then(|shape| shape.get(axis)?.as_const());
        let before: Option<i64> = (0..part.port).map(|port| extent(split.id.port(port))).sum();
        let (before, own) = (before.ok_or(Miss::NotHere)?, extent(part).ok_or(Miss::NotHere)?);
        let counted = |index: i64| if index < 0 { index + own } else { index };
        if node.node.is("Gather") {
            let indices = cx.operand(root, 1)?;
            let known = picked(cx, &node, rank, axis)?;
            if !known.iter().all(|&index| (0..own).contains(&counted(index))) {
                return Err(Miss::NotHere);
            }
            let moved: Vec<i64> = known.iter().map(|&index| before + counted(index)).collect();
            let ty = cx.ty(indices).as_tensor().ok_or(Miss::NotHere)?;
            let dims = ty.shape.as_ref().and_then(|shape| shape.as_consts()).ok_or(Miss::NotHere)?;
            let moved = Tensor::from_i64s(ty.dtype.ok_or(Miss::NotHere)?, &dims, &moved).map_err(|_| Miss::NotHere)?;
            return Change::operands(cx, root, [whole.into(), moved.into()]);
        }
        let mut cuts = slicing::cuts(cx, &node, rank)?;
        let shape = cx.shape(part).ok_or(Miss::NotHere)?;
        let cut = cuts.iter_mut().find(|cut| cut.axis == axis).ok_or(Miss::NotHere)?;
        let (start, end) = cut.counted_from_front(&shape[axis]).and_then(|cut| cut.range()).ok_or(Miss::NotHere)?;
        *cut = Cut::known(axis, before + start.min(own), before + end.min(own), 1);
        slicing::slice(cx, root, whole, &cuts)
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

/// The indices that a node takes along an axis: those of a `Gather`, first and last of a `Slice`.
fn picked(cx: &MatchCx<'_>, node: &NodeCx<'_>, rank: usize, axis: usize) -> Found<Vec<i64>> {
    if node.node.is("Gather") {
        let along = cx.attribute(node.id, node.attrs().int_or("axis", 0))?;
        let indices = cx.ints(cx.operand(node.id, 1)?).ok_or(Miss::NotHere)?;
        return if normalize_axis(along, rank) == Some(axis) { Ok(indices) } else { Err(Miss::NotHere) };
    }
    if !node.node.is("Slice") {
        return Err(Miss::NotHere);
    }
    let cuts = slicing::cuts(cx, node, rank)?;
    let cut = cuts.iter().find(|cut| cut.axis == axis && cut.step == 1).ok_or(Miss::NotHere)?;
    match (cut.start.as_const(), cut.end.as_const()) {
        (Some(start), Some(end)) => Ok(vec![start, end]),
        _ => Err(Miss::NotHere),
    }
}
