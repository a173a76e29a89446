//! Drops `Cast` and `CastLike` to the type that the operand has.
//!
//! Before `y = Cast<to = T>(x)`, `x` of element type `T`; after, every reader of `y` reads `x`.
//! Fires if the element type of `x` is known. Where a graph output needs the node for its name, it becomes an `Identity`.
//! Exact: a conversion to the same type changes no element. Ends: one such node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use crate::rewrite::{Bypass, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropCast;

impl Rule for DropCast {
    const NAME: &'static str = "drop-cast";
    const CONTRACT: &'static str = crate::contract!("drop_cast.rs");
    const ROOTS: Roots = Roots::Operators(&["Cast", "CastLike"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        let node = cx.node(root)?;
        let from = cx.ty(cx.operand(root, 0)?).dtype();
        let to = match node.node.is("CastLike") {
            true => cx.ty(cx.operand(root, 1)?).dtype(),
            false => cx.attribute(root, node.attrs().dtype("to"))?,
        };
        if from.is_none() || from != to {
            return Err(Miss::NotHere);
        }
        Bypass::of(cx, root)
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
