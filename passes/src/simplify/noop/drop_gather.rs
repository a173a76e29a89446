//! Drops `Gather` of the only index of an axis.
//!
//! Before `y = Gather(x, [0], axis)`; after, every reader of `y` reads `x`.
//! Fires if `x` has extent 1 along the axis for certain, the indices are known and a vector of one. Where a graph output needs
//! the node for its name, it becomes an `Identity`.
//! Exact: there is no other index. Ends: one such node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use crate::rewrite::{Bypass, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropGather;

impl Rule for DropGather {
    const NAME: &'static str = "drop-gather";
    const CONTRACT: &'static str = crate::contract!("drop_gather.rs");
    const ROOTS: Roots = Roots::Operators(&["Gather"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        let (data, indices) = (cx.operand(root, 0)?, cx.operand(root, 1)?);
        let is_first = cx.ints(indices).is_some_and(|indices| matches!(indices[..], [0 | -1]));
        if is_first && cx.same_shape(data, root.port(0)) { Bypass::of(cx, root) } else { Err(Miss::NotHere) }
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
