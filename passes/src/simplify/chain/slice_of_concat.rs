//! Takes a slice, or single indices, from the operand of a `Concat` that has them.
//!
//! Before `y = Slice(Concat(a, b, c), …)` or `y = Gather(Concat(a, b, c), i)`; after `y = Slice(b, …)` or `y = Gather(b, i')`.
//! Fires if the indices along the axis of the `Concat` are known and lie in one operand, counted from the front or from the back over
//! operands of known extent.
//! Exact: the same elements. Ends: one node fewer on the way to `y` each time.

use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{Edit, EditError, NodeId, Tensor};

use super::super::forms::concat;
use super::super::forms::slicing::{self, Cut};
use crate::rewrite::{Change, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct SliceOfConcat;

impl Rule for SliceOfConcat {
    const NAME: &'static str = "slice-of-concat";
    const CONTRACT: &'static str = crate::contract!("slice_of_concat.rs");
    const ROOTS: Roots = Roots::Operators(&["Slice", "Gather"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        let concat = cx.producer(root, 0, "Concat")?;
        let axis = concat::axis(cx, &concat)?;
        let parts = concat::Parts::of(cx, &concat, axis);
        if node.node.is("Gather") {
            let rank = cx.shape(concat.id.port(0)).ok_or(Miss::NotHere)?.len();
            let along = cx.attribute(root, node.attrs().int_or("axis", 0))?;
            let indices = cx.operand(root, 1)?;
            let known = cx.ints(indices).filter(|known| !known.is_empty()).ok_or(Miss::NotHere)?;
            if normalize_axis(along, rank) != Some(axis) {
                return Err(Miss::NotHere);
            }
            let (part, offset) = parts.holding(known.iter().copied()).ok_or(Miss::NotHere)?;
            let moved: Vec<i64> = known.iter().map(|index| index - offset).collect();
            let ty = cx.ty(indices).as_tensor().ok_or(Miss::NotHere)?;
            let dims = ty.shape.as_ref().and_then(|shape| shape.as_consts()).ok_or(Miss::NotHere)?;
            let moved = Tensor::from_i64s(ty.dtype.ok_or(Miss::NotHere)?, &dims, &moved).map_err(|_| Miss::NotHere)?;
            return Change::operands(cx, root, [part.into(), moved.into()]);
        }
        let rank = cx.shape(concat.id.port(0)).ok_or(Miss::NotHere)?.len();
        let mut cuts = slicing::cuts(cx, &node, rank)?;
        let cut = cuts.iter_mut().find(|cut| cut.axis == axis && cut.step == 1).ok_or(Miss::NotHere)?;
        let extent = &cx.shape(concat.id.port(0)).ok_or(Miss::NotHere)?[axis];
        let (start, end) = match (cut.counted_from_front(extent).and_then(|cut| cut.range()), extent.as_const()) {
            (Some((start, end)), Some(extent)) => (start, end.min(extent)),
            _ => (cut.start.as_const().ok_or(Miss::NotHere)?, cut.end.as_const().ok_or(Miss::NotHere)?),
        };
        let from_back = start < 0;
        let last = match (from_back, end >= 0) {
            (true, true) if end >= BEYOND => -1,
            (false, true) | (true, false) if end > start => end - 1,
            _ => return Err(Miss::NotHere),
        };
        let (part, offset) = parts.holding([start, last]).ok_or(Miss::NotHere)?;
        let end = if from_back && last + 1 == offset { i64::MAX } else { last + 1 - offset };
        *cut = Cut::known(axis, start - offset, end, 1);
        slicing::slice(cx, root, part, &cuts)
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

/// From here on an end stands for the end of whatever extent.
const BEYOND: i64 = i32::MAX as i64;
