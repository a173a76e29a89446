//! Drops two operators that undo each other.
//!
//! Before `y = Neg(Neg(x))`, or `Not(Not(x))`, `BitwiseNot(BitwiseNot(x))`; after, every reader of `y` reads `x`.
//! Fires at each of them. What is between may have other readers. Where a graph output needs the node for its name, it becomes
//! an `Identity`.
//! Exact: each is its own inverse, of the lowest whole number too. Ends: one such node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use crate::rewrite::{Bypass, Found, MatchCx, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropInverse;

impl Rule for DropInverse {
    const NAME: &'static str = "drop-inverse";
    const CONTRACT: &'static str = crate::contract!("drop_inverse.rs");
    const ROOTS: Roots = Roots::Operators(&["Neg", "Not", "BitwiseNot"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        let op = cx.node(root)?.node.op_type.to_str();
        let inner = cx.producer(root, 0, &op)?.id;
        Bypass::between(cx, root.port(0), cx.operand(inner, 0)?)
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
