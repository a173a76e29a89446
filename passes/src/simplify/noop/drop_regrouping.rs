//! Drops `Reshape`, `Flatten`, `Squeeze` and `Unsqueeze` where the shape comes out that once went in.
//!
//! Before `y = Reshape(x, shape)`, or a chain of such nodes from `x` to `y`; after, every reader of `y` reads `x`.
//! Fires if `x` and `y` have the same extents for certain, symbols included. Nodes on the way may have other readers. Where a
//! graph output needs the node for its name, it becomes an `Identity`.
//! Exact: the same elements in the same order under the same extents. Ends: one such node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use super::super::forms::regrouping;
use crate::rewrite::{Bypass, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropRegrouping;

impl Rule for DropRegrouping {
    const NAME: &'static str = "drop-regrouping";
    const CONTRACT: &'static str = crate::contract!("drop_regrouping.rs");
    const ROOTS: Roots = Roots::Operators(&["Reshape", "Flatten", "Squeeze", "Unsqueeze"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        let old = root.port(0);
        let mut new = cx.operand(root, 0)?;
        for _ in 0..REACH {
            if cx.same_shape(old, new) {
                return Bypass::between(cx, old, new);
            }
            new = regrouping::source(cx, new)?.1;
        }
        Err(Miss::NotHere)
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

/// Nodes of a chain that are looked at.
const REACH: usize = 8;
