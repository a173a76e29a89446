//! States the ends of a `Slice` that are computed.
//!
//! Before `y = Slice(x, starts, ends, axes)` with starts or ends that are computed from extents; after the same with constants: the
//! largest whole number for an end that is the extent of `x` or beyond, `-k` for an index that is `k` less than it.
//! Fires if that says all of them; `k` is at most 2, or the extent is at least `k` for certain.
//! Exact: the same indices for all sizes; an extent below `k` gives an index below 0, which counts from the back, and for `k` up to
//! 2 that comes to the same. Ends: one computed list fewer each time.

use onnxpress_ir::{Dim, Edit, EditError, NodeId};

use super::super::forms::slicing::{self, Cut};
use crate::rewrite::{Change, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct StateSlice;

impl Rule for StateSlice {
    const NAME: &'static str = "state-slice";
    const CONTRACT: &'static str = crate::contract!("state_slice.rs");
    const ROOTS: Roots = Roots::Operators(&["Slice"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        let data = cx.operand(root, 0)?;
        let from = cx.shape(data).ok_or(Miss::NotHere)?;
        let mut cuts = slicing::cuts(cx, &node, from.len())?;
        let known = |cut: &Cut| cut.start.as_const().is_some() && cut.end.as_const().is_some();
        if cuts.iter().all(known) {
            return Err(Miss::NotHere);
        }
        for cut in cuts.iter_mut().filter(|cut| !known(cut)) {
            if cut.step < 0 {
                return Err(Miss::NotHere);
            }
            let extent = &from[cut.axis];
            let beyond = (&cut.end - extent).is_non_negative() == Some(true);
            cut.end = if beyond { Dim::from(i64::MAX) } else { stated(&cut.end, extent).ok_or(Miss::NotHere)? };
            cut.start = stated(&cut.start, extent).ok_or(Miss::NotHere)?;
        }
        slicing::slice(cx, root, data, &cuts)
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

/// An index as a number: as it is, or counted from the end.
fn stated(index: &Dim, extent: &Dim) -> Option<Dim> {
    if index.as_const().is_some() {
        return Some(index.clone());
    }
    let less = (extent - index).as_const().filter(|&less| less > 0)?;
    (less <= 2 || extent.lower_bound()? >= less).then(|| Dim::from(-less))
}
