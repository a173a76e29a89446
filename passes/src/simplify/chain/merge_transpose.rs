//! Merges a `Transpose` into the one behind it.
//!
//! Before `y = Transpose<q>(Transpose<p>(x))`; after `y = Transpose<r>(x)` with `r[i] = p[q[i]]`.
//! Fires if both permutations are known. The first `Transpose` may have other readers.
//! Exact: the same axes at the same places. Ends: one node fewer on the way from `x` to `y` each time.

use onnxpress_ir::{Attr, Edit, EditError, NodeId};

use super::super::forms::regrouping;
use crate::rewrite::{Change, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct MergeTranspose;

impl Rule for MergeTranspose {
    const NAME: &'static str = "merge-transpose";
    const CONTRACT: &'static str = crate::contract!("merge_transpose.rs");
    const ROOTS: Roots = Roots::Operators(&["Transpose"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        let inner = cx.producer(root, 0, "Transpose")?;
        let (outer, first) = (regrouping::permutation(cx, &node)?, regrouping::permutation(cx, &inner)?);
        let merged: Option<Vec<i64>> = outer.iter().map(|&axis| first.get(axis).map(|&axis| axis as i64)).collect();
        let perm = Attr::ints("perm", merged.ok_or(Miss::NotHere)?);
        Change::new(cx, root, "Transpose", [cx.operand(inner.id, 0)?.into()], vec![perm])
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
