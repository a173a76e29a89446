//! Lets `Shape` give only the extents that are taken of it.
//!
//! Before `s = Slice(Shape(x), a, b)` or `s = Gather(Shape(x), [a, a + 1, …])`; after `s = Shape<start = a, end = b>(x)`.
//! Fires from version 15 on, if the indices are known and in a row, and the rank of `x` is known. The first `Shape` may have other
//! readers.
//! Exact: the same extents. Ends: one node fewer on the way from `x` to `s` each time.

use onnxpress_ir::{Attr, Dim, Edit, EditError, NodeId};

use super::super::forms::slicing;
use crate::rewrite::{Change, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct SliceShape;

impl Rule for SliceShape {
    const NAME: &'static str = "slice-shape";
    const CONTRACT: &'static str = crate::contract!("slice_shape.rs");
    const ROOTS: Roots = Roots::Operators(&["Slice", "Gather"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        let shape = cx.producer(root, 0, "Shape")?;
        let data = cx.operand(shape.id, 0)?;
        let plain = shape.version >= 15 && !shape.attrs().has("start") && !shape.attrs().has("end");
        let rank = cx.shape(data).filter(|_| plain).ok_or(Miss::NotHere)?.len() as i64;
        let (start, end) = if node.node.is("Slice") {
            let cuts = slicing::cuts(cx, &node, 1)?;
            let [cut] = cuts.as_slice() else { return Err(Miss::NotHere) };
            cut.counted_from_front(&Dim::from(rank)).and_then(|cut| cut.range()).ok_or(Miss::NotHere)?
        } else {
            let indices = cx.operand(root, 1)?;
            let vector = cx.shape(indices).is_some_and(|shape| shape.len() == 1);
            let known = cx.ints(indices).filter(|known| vector && !known.is_empty()).ok_or(Miss::NotHere)?;
            let known: Vec<i64> = known.iter().map(|&index| if index < 0 { index + rank } else { index }).collect();
            let first = known[0];
            let in_a_row = (first..).zip(&known).all(|(expected, &index)| index == expected);
            if !in_a_row {
                return Err(Miss::NotHere);
            }
            (first, first + known.len() as i64)
        };
        if start < 0 || start >= rank || end <= start {
            return Err(Miss::NotHere);
        }
        let mut attrs = Vec::new();
        if start > 0 {
            attrs.push(Attr::int("start", start));
        }
        if end < rank {
            attrs.push(Attr::int("end", end));
        }
        Change::new(cx, root, "Shape", [data.into()], attrs)
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
