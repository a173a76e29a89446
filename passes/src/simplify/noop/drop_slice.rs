//! Drops `Slice` that takes everything.
//!
//! Before `y = Slice(x, starts, ends, axes, steps)`; after, every reader of `y` reads `x`.
//! Fires if every step is known and 1, and `x` and `y` have the same extents for certain, so that nothing can be left out.
//! Where a graph output needs the node for its name, it becomes an `Identity`.
//! Exact: the same elements under the same extents. Ends: one such node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use crate::rewrite::{Bypass, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropSlice;

impl Rule for DropSlice {
    const NAME: &'static str = "drop-slice";
    const CONTRACT: &'static str = crate::contract!("drop_slice.rs");
    const ROOTS: Roots = Roots::Operators(&["Slice"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        let node = cx.node(root)?;
        let steps = if node.version < 10 { None } else { cx.int_operand(root, 4)? };
        let every = steps.is_none_or(|steps| steps.iter().all(|&step| step == 1));
        if every && cx.same_shape(cx.operand(root, 0)?, root.port(0)) {
            Bypass::of(cx, root)
        } else {
            Err(Miss::NotHere)
        }
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
