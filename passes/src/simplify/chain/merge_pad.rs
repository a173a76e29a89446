//! Merges a `Pad` into the one behind it.
//!
//! Before `y = Pad(Pad(x, p), q)`; after `y = Pad(x, p + q)`.
//! Fires if nothing else reads what is between, both add the same known value, all pads are known, and the first takes nothing
//! away.
//! Exact: the same elements between as many of the same value. Ends: one node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use super::super::forms::pads::Pads;
use crate::rewrite::{Change, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct MergePad;

impl Rule for MergePad {
    const NAME: &'static str = "merge-pad";
    const CONTRACT: &'static str = crate::contract!("merge_pad.rs");
    const ROOTS: Roots = Roots::Operators(&["Pad"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        let inner = cx.producer(root, 0, "Pad")?;
        let data = cx.operand(inner.id, 0)?;
        let rank = cx.shape(data).ok_or(Miss::NotHere)?.len();
        let dtype = cx.ty(data).dtype().ok_or(Miss::NotHere)?;
        let (first, second) = (Pads::of(cx, &inner, rank)?, Pads::of(cx, &node, rank)?);
        let fit = first.value.is_some() && first.value == second.value && first.only_add();
        if !fit || !cx.is_read_once(inner.id.port(0)) {
            return Err(Miss::NotHere);
        }
        first.and(&second).ok_or(Miss::NotHere)?.pad(cx, root, data, dtype)
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
