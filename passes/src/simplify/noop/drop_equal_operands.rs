//! Drops operators that give their operands back where these are equal.
//!
//! Before `y = And(x, x)`, or `Or`, `Max`, `Min`, `BitwiseAnd`, `BitwiseOr` of nothing but one value; after, every reader of `y`
//! reads `x`.
//! Fires at each of them. Where a graph output needs the node for its name, it becomes an `Identity`.
//! Exact: each is idempotent. Ends: one such node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use crate::rewrite::{Bypass, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropEqualOperands;

impl Rule for DropEqualOperands {
    const NAME: &'static str = "drop-equal-operands";
    const CONTRACT: &'static str = crate::contract!("drop_equal_operands.rs");
    const ROOTS: Roots = Roots::Operators(&["And", "Or", "Max", "Min", "BitwiseAnd", "BitwiseOr"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        let node = cx.node(root)?;
        let first = cx.operand(root, 0)?;
        let equal = node.operand_count() > 1 && cx.graph().operands(root).all(|operand| operand == Some(first));
        if equal { Bypass::of(cx, root) } else { Err(Miss::NotHere) }
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
