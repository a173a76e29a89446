//! Lets `Gather` keep or drop the axis along which it takes one index.
//!
//! Before `y = Unsqueeze(Gather(x, i))` or `y = Squeeze(Slice(x, i, i + 1))`, with `Reshape` and the like for either; after
//! `y = Gather(x, i)` with a scalar `i`, or a vector of one.
//! Fires if the index is known, `y` has the extents of `x` but for the axis, which is gone or has extent 1, and nothing else reads what is
//! between.
//! Exact: the same elements. Ends: one node fewer each time.

use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{Attr, DType, Dim, Edit, EditError, NodeId, Tensor};

use super::super::forms::slicing;
use crate::rewrite::{Change, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct GatherOneIndex;

impl Rule for GatherOneIndex {
    const NAME: &'static str = "gather-one-index";
    const CONTRACT: &'static str = crate::contract!("gather_one_index.rs");
    const ROOTS: Roots = Roots::Operators(&["Reshape", "Flatten", "Squeeze", "Unsqueeze"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let between = cx.operand(root, 0)?;
        let inner = cx.node(between.node)?;
        let data = cx.operand(inner.id, 0)?;
        let from = cx.shape(data).ok_or(Miss::NotHere)?;
        let (axis, index) = if inner.node.is("Gather") {
            let axis = cx.attribute(inner.id, inner.attrs().int_or("axis", 0))?;
            (normalize_axis(axis, from.len()).ok_or(Miss::NotHere)?, cx.ints(cx.operand(inner.id, 1)?))
        } else if inner.node.is("Slice") {
            let cuts = slicing::cuts(cx, &inner, from.len())?;
            let [cut] = cuts.as_slice() else { return Err(Miss::NotHere) };
            let start = cut.start.as_const().ok_or(Miss::NotHere)?;
            let one = cx.shape(between).is_some_and(|shape| shape[cut.axis].as_const() == Some(1));
            // Counted from the back, or clamped, the first index would be another.
            let there = start >= 0 || from[cut.axis].as_const().is_some_and(|extent| extent >= -start) || start == -1;
            (cut.axis, (one && there && cut.step == 1).then(|| vec![start]))
        } else {
            return Err(Miss::NotHere);
        };
        let index = match index.as_deref() {
            Some([index]) => *index,
            _ => return Err(Miss::NotHere),
        };
        let to = cx.shape(root.port(0)).ok_or(Miss::NotHere)?;
        let kept = to.len() == from.len();
        let mut expected = from.to_vec();
        if kept {
            expected[axis] = Dim::from(1);
        } else {
            expected.remove(axis);
        }
        let same = expected.len() == to.len() && expected.iter().zip(to).all(|(a, b)| a.equals(b) == Some(true));
        // Which of several axes of extent 1 is gone does not matter: the elements stand in the same order.
        if !same || !cx.is_read_once(between) {
            return Err(Miss::NotHere);
        }
        let dims: &[usize] = if kept { &[1] } else { &[] };
        let indices = Tensor::from_i64s(DType::Int64, dims, &[index]).map_err(|_| Miss::NotHere)?;
        Change::new(cx, root, "Gather", [data.into(), indices.into()], vec![Attr::int("axis", axis as i64)])
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
