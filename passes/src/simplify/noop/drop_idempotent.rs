//! Drops an operator that was applied just before and changes nothing the second time.
//!
//! Before `y = Abs(Abs(x))`, or `Ceil`, `Floor`, `Round` of any of these three, `Sign(Sign(x))`; after, every reader of `y` reads the inner one.
//! Fires at each of them. Where a graph output needs the node for its name, it becomes an `Identity`.
//! Exact: whole numbers are rounded to themselves, signs and absolute values are their own. Ends: one such node fewer each
//! time.

use onnxpress_ir::{Edit, EditError, NodeId};

use crate::rewrite::{Bypass, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropIdempotent;

impl Rule for DropIdempotent {
    const NAME: &'static str = "drop-idempotent";
    const CONTRACT: &'static str = crate::contract!("drop_idempotent.rs");
    const ROOTS: Roots = Roots::Operators(&["Abs", "Ceil", "Floor", "Round", "Sign"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        let op = cx.node(root)?.node.op_type.to_str();
        let operand = cx.operand(root, 0)?;
        let inner = cx.node(operand.node)?;
        const ROUNDING: [&str; 3] = ["Ceil", "Floor", "Round"];
        let same = match ROUNDING.contains(&&*op) {
            true => ROUNDING.iter().any(|rounding| inner.node.is(rounding)),
            false => inner.node.is(&op),
        };
        if same { Bypass::of(cx, root) } else { Err(Miss::NotHere) }
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
