//! Drops `Clip`, `Relu` and `Abs` of what is within the limits.
//!
//! Before `y = Relu(x)`, `Clip(x, min, max)` or `Abs(x)`; after, every reader of `y` reads `x`.
//! Fires if `x` is given by an operator whose results are within the limits (`Relu`, `Clip`, `Sigmoid`, `Softmax`, `Exp` and
//! the like, also through operators that only move elements); if the limits are known. Where a graph output needs the node for
//! its name, it becomes an `Identity`.
//! Exact: but for what is no number, of which runtimes make what they like. Ends: one such node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use super::super::forms::bounds::{self, Bounds};
use crate::rewrite::{Bypass, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropLimit;

impl Rule for DropLimit {
    const NAME: &'static str = "drop-limit";
    const CONTRACT: &'static str = crate::contract!("drop_limit.rs");
    const ROOTS: Roots = Roots::Operators(&["Clip", "Relu", "Abs"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        let node = cx.node(root)?;
        let limits = if node.node.is("Abs") { Bounds::NOT_NEGATIVE } else { bounds::limits(cx, &node)? };
        if bounds::of(cx, cx.operand(root, 0)?).within(limits) { Bypass::of(cx, root) } else { Err(Miss::NotHere) }
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
