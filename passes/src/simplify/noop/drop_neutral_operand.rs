//! Drops arithmetic with a neutral element.
//!
//! Before `y = Add(x, 0)`, `Sub(x, 0)`, `Mul(x, 1)`, `Div(x, 1)`, `Pow(x, 1)`, `And(x, true)`, `Or(x, false)`, `Xor(x, false)`,
//! `BitwiseOr(x, 0)`, `BitwiseXor(x, 0)` or `BitShift(x, 0)`, also with the operands the other way round where that is the same;
//! after, every reader of `y` reads `x`.
//! Fires if every element of the other operand is the neutral one (a constant, or what is spread from one), `x` and `y` have
//! the same type and extents for certain, so that nothing is broadcast. Where a graph output needs the node for its name, it
//! becomes an `Identity`.
//! Exact: but for the sign of a zero, `-0 + 0` being 0. Ends: one such node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use super::super::forms::splat::splat;
use crate::rewrite::{Bypass, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropNeutralOperand;

impl Rule for DropNeutralOperand {
    const NAME: &'static str = "drop-neutral-operand";
    const CONTRACT: &'static str = crate::contract!("drop_neutral_operand.rs");
    const ROOTS: Roots = Roots::Operators(&[
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Pow",
        "And",
        "Or",
        "Xor",
        "BitwiseOr",
        "BitwiseXor",
        "BitShift",
    ]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        let node = cx.node(root)?;
        let op = node.node.op_type.to_str();
        // Before version 7 attributes said how operands are broadcast.
        if node.version < 7 || node.operand_count() != 2 {
            return Err(Miss::NotHere);
        }
        let commutes = !matches!(&*op, "Sub" | "Div" | "Pow" | "BitShift");
        let (old, neutral) = (root.port(0), neutral_element(&op));
        for (kept, other) in [(0, 1), (1, 0)].into_iter().take(if commutes { 2 } else { 1 }) {
            let (new, other) = (cx.operand(root, kept)?, cx.operand(root, other)?);
            let is_neutral =
                splat(cx, other).and_then(|scalar| scalar.to_f64s().ok()).is_some_and(|all| all == [neutral]);
            if is_neutral && cx.same_shape(old, new) && cx.ty(old).dtype() == cx.ty(new).dtype() {
                return Bypass::between(cx, old, new);
            }
        }
        Err(Miss::NotHere)
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

/// What leaves the other operand as it is; truth values as numbers.
fn neutral_element(op: &str) -> f64 {
    if matches!(op, "Mul" | "Div" | "Pow" | "And") { 1.0 } else { 0.0 }
}
