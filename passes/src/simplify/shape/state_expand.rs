//! States the shape of an `Expand` that is computed.
//!
//! Before `y = Expand(x, s)` with an `s` that is computed from extents; after `y = Expand(x, shape)` with a constant: 1 for an extent that
//! `x` has already, what is known as it is.
//! Fires if that says all entries, and the file does not grow on balance.
//! Exact: 1 keeps the extent. Ends: one computed shape fewer each time.

use onnxpress_ir::{Dim, Edit, EditError, NodeId};

use crate::rewrite::{Change, Found, MatchCx, Miss, Reads, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct StateExpand;

impl Rule for StateExpand {
    const NAME: &'static str = "state-expand";
    const CONTRACT: &'static str = crate::contract!("state_expand.rs");
    const ROOTS: Roots = Roots::Operators(&["Expand"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let (data, shape) = (cx.operand(root, 0)?, cx.operand(root, 1)?);
        if cx.constant(shape).is_some() {
            return Err(Miss::NotHere);
        }
        let (from, to) = (cx.shape(data).ok_or(Miss::NotHere)?, cx.shape(root.port(0)).ok_or(Miss::NotHere)?);
        let new_axes = to.len().checked_sub(from.len()).ok_or(Miss::NotHere)?;
        let entry = |(axis, extent): (usize, &Dim)| {
            let before = axis.checked_sub(new_axes).and_then(|axis| from.get(axis));
            match before {
                Some(before) if before.equals(extent) == Some(true) => Some(1),
                _ => extent.as_const(),
            }
        };
        let entries: Option<Vec<i64>> = to.iter().enumerate().map(entry).collect();
        Change::operands(cx, root, [data.into(), Reads::ints(entries.ok_or(Miss::NotHere)?)])
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
