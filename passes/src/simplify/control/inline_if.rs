//! Puts the branch of an `If` that runs in its place.
//!
//! Before `y = If(c) <then_branch, else_branch>`; after, the nodes of one of the branches, and every reader of `y` reads what the
//! branch gives.
//! Fires if `c` is known, and the branch has no sparse constants, which nodes cannot be.
//! Exact: the other branch never runs. Ends: one `If` fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use super::inlined::{Inlined, Taken};
use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct InlineIf;

impl Rule for InlineIf {
    const NAME: &'static str = "inline-if";
    const CONTRACT: &'static str = crate::contract!("inline_if.rs");
    const ROOTS: Roots = Roots::Operators(&["If"]);
    type Match = Inlined;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Inlined> {
        let node = cx.node(root)?;
        let condition = cx.constant(cx.operand(root, 0)?).and_then(|tensor| tensor.to_i64s().ok());
        let branch = match condition.as_deref() {
            Some([0]) => "else_branch",
            Some([_]) => "then_branch",
            _ => return Err(Miss::NotHere),
        };
        let body = node.attrs().graph(branch).ok_or(Miss::NotHere)?;
        let taken = (0u32..).take(node.node.port_count()).map(Taken::Value).collect();
        Inlined::new(cx, root, body, Vec::new(), taken)
    }

    fn apply(&self, found: Inlined, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
