//! Drops `Pad` that adds nothing.
//!
//! Before `y = Pad(x, pads)`; after, every reader of `y` reads `x`.
//! Fires if all pads are known and 0. Where a graph output needs the node for its name, it becomes an `Identity`.
//! Exact: nothing is added, whatever would be. Ends: one such node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use super::super::forms::pads::Pads;
use crate::rewrite::{Bypass, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropPad;

impl Rule for DropPad {
    const NAME: &'static str = "drop-pad";
    const CONTRACT: &'static str = crate::contract!("drop_pad.rs");
    const ROOTS: Roots = Roots::Operators(&["Pad"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        let node = cx.node(root)?;
        let rank = cx.shape(cx.operand(root, 0)?).ok_or(Miss::NotHere)?.len();
        if Pads::of(cx, &node, rank)?.are_none() { Bypass::of(cx, root) } else { Err(Miss::NotHere) }
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
