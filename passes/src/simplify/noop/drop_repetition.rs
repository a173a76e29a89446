//! Drops `Expand` and `Tile` that repeat nothing.
//!
//! Before `y = Expand(x, shape)` or `y = Tile(x, repeats)`; after, every reader of `y` reads `x`.
//! Fires if `x` and `y` have the same extents for certain, symbols included. Where a graph output needs the node for its name,
//! it becomes an `Identity`.
//! Exact: of repetitions that leave every extent as it is each takes every index once. Ends: one such node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use crate::rewrite::{Bypass, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropRepetition;

impl Rule for DropRepetition {
    const NAME: &'static str = "drop-repetition";
    const CONTRACT: &'static str = crate::contract!("drop_repetition.rs");
    const ROOTS: Roots = Roots::Operators(&["Expand", "Tile"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        if cx.same_shape(cx.operand(root, 0)?, root.port(0)) { Bypass::of(cx, root) } else { Err(Miss::NotHere) }
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
