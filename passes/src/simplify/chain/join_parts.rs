//! Takes the whole where a `Concat` puts all of its parts together again.
//!
//! Before `y = Concat(a, p, q, b)` with `p, q = Split(x)` along the same axis, or `p` and `q` taken by `Slice`; after
//! `y = Concat(a, x, b)`.
//! Fires if the parts stand side by side, in their order, and are all of `x`: every output of a `Split`, or slices that take runs of
//! indices along this axis alone, the first from the start, each next from where the one before ends, the last up to the end.
//! Exact: the same elements in the same order. Ends: one operand fewer each time.

use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{Dim, Edit, EditError, NodeId, ValueId};

use super::super::forms::concat;
use super::super::forms::slicing;
use crate::rewrite::{Change, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct JoinParts;

impl Rule for JoinParts {
    const NAME: &'static str = "join-parts";
    const CONTRACT: &'static str = crate::contract!("join_parts.rs");
    const ROOTS: Roots = Roots::Operators(&["Concat"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        concat::with_runs(cx, root, |operands, axis| {
            let run = split(cx, operands, axis).or_else(|_| slices(cx, operands, axis)).ok();
            run.map(|(whole, count)| (whole.into(), count))
        })
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

/// What the first operands are all parts of, and how many they are: outputs of one `Split`.
fn split(cx: &MatchCx<'_>, operands: &[ValueId], axis: usize) -> Found<(ValueId, usize)> {
    let node = cx.operator(operands.first().ok_or(Miss::NotHere)?.node, "Split")?;
    let whole = cx.operand(node.id, 0)?;
    let count = node.node.port_count();
    let along = cx.attribute(node.id, node.attrs().int_or("axis", 0))?;
    let rank = cx.shape(whole).ok_or(Miss::NotHere)?.len();
    let all =
        operands.len() >= count && (0u32..).zip(&operands[..count]).all(|(port, &value)| value == node.id.port(port));
    if count > 1 && all && normalize_axis(along, rank) == Some(axis) { Ok((whole, count)) } else { Err(Miss::NotHere) }
}

/// The same, of slices.
fn slices(cx: &MatchCx<'_>, operands: &[ValueId], axis: usize) -> Found<(ValueId, usize)> {
    let first = cx.operator(operands.first().ok_or(Miss::NotHere)?.node, "Slice")?;
    let whole = cx.operand(first.id, 0)?;
    let shape = cx.shape(whole).ok_or(Miss::NotHere)?;
    let extent = shape.get(axis).ok_or(Miss::NotHere)?;
    let mut reached = Dim::from(0);
    for (count, &value) in (1..).zip(operands) {
        let node = cx.operator(value.node, "Slice")?;
        let cuts = slicing::cuts(cx, &node, shape.len())?;
        let [cut] = cuts.as_slice() else { return Err(Miss::NotHere) };
        let cut = cut.counted_from_front(extent).ok_or(Miss::NotHere)?;
        let follows = cut.start.equals(&reached) == Some(true) && cut.step == 1 && cut.axis == axis;
        if !follows || cx.operand(node.id, 0)? != whole {
            return Err(Miss::NotHere);
        }
        // Up to here there must be that many indices, or the next part begins elsewhere.
        match (&cut.end - extent).is_non_negative() {
            Some(true) if count > 1 => return Ok((whole, count)),
            _ if (extent - &cut.end).is_non_negative() == Some(true) => reached = cut.end,
            _ => return Err(Miss::NotHere),
        }
    }
    Err(Miss::NotHere)
}
