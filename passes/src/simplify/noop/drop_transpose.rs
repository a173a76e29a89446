//! Drops `Transpose` that leaves every axis where it is.
//!
//! Before `y = Transpose<perm>(x)`; after, every reader of `y` reads `x`.
//! Fires if `perm` counts up; or if it moves only axes of one index past others and the extents come out as they went in. Where
//! a graph output needs the node for its name, it becomes an `Identity`.
//! Exact: the same elements in the same order under the same extents. Ends: one such node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use super::super::forms::regrouping;
use crate::rewrite::{Bypass, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropTranspose;

impl Rule for DropTranspose {
    const NAME: &'static str = "drop-transpose";
    const CONTRACT: &'static str = crate::contract!("drop_transpose.rs");
    const ROOTS: Roots = Roots::Operators(&["Transpose"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        let node = cx.node(root)?;
        let operand = cx.operand(root, 0)?;
        let stays = regrouping::permutation(cx, &node)?.is_sorted();
        if stays || regrouping::is_one(cx, &node) && cx.same_shape(operand, root.port(0)) {
            Bypass::of(cx, root)
        } else {
            Err(Miss::NotHere)
        }
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
