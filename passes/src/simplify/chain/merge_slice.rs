//! Merges a `Slice` into the one behind it.
//!
//! Before `y = Slice(Slice(x, …), …)`; after `y = Slice(x, …)` with the cuts of both.
//! Fires if nothing else reads what is between, all cuts are known, and along every axis that both cut each takes a run of indices
//! counted from the front, or from the back where the extent is known.
//! Exact: the same elements, also where cuts reach beyond the end. Ends: one node fewer each time.

use onnxpress_ir::{Dim, Edit, EditError, NodeId};

use super::super::forms::slicing::{self, Cut};
use crate::rewrite::{Change, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct MergeSlice;

impl Rule for MergeSlice {
    const NAME: &'static str = "merge-slice";
    const CONTRACT: &'static str = crate::contract!("merge_slice.rs");
    const ROOTS: Roots = Roots::Operators(&["Slice"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        let inner = cx.producer(root, 0, "Slice")?;
        let data = cx.operand(inner.id, 0)?;
        let between = inner.id.port(0);
        let (from, extents) = (cx.shape(data).ok_or(Miss::NotHere)?, cx.shape(between).ok_or(Miss::NotHere)?);
        let mut all = slicing::cuts(cx, &inner, from.len())?;
        let later = slicing::cuts(cx, &node, from.len())?;
        if !cx.is_read_once(between) {
            return Err(Miss::NotHere);
        }
        for cut in later {
            let Some(earlier) = all.iter_mut().find(|earlier| earlier.axis == cut.axis) else {
                all.push(cut);
                continue;
            };
            let range = |cut: &Cut, extent: &Dim| {
                cut.counted_from_front(extent).and_then(|cut| cut.range()).ok_or(Miss::NotHere)
            };
            let (start, end) = range(earlier, &from[cut.axis])?;
            let (first, last) = range(&cut, &extents[cut.axis])?;
            *earlier = Cut::known(cut.axis, start.saturating_add(first), end.min(start.saturating_add(last)), 1);
        }
        all.sort_by_key(|cut| cut.axis);
        slicing::slice(cx, root, data, &all)
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
