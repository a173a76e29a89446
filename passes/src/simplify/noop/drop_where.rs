//! Drops `Where` that always takes the same operand.
//!
//! Before `y = Where(c, a, b)`; after, every reader of `y` reads `a`, or `b`.
//! Fires if every element of `c` is known and the same, or `a` and `b` are one value; if the operand that is taken has the
//! extents of `y` for certain, so that nothing is broadcast. Where a graph output needs the node for its name, it becomes an
//! `Identity`.
//! Exact: each element is that of the operand. Ends: one such node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use super::super::forms::splat::splat;
use crate::rewrite::{Bypass, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropWhere;

impl Rule for DropWhere {
    const NAME: &'static str = "drop-where";
    const CONTRACT: &'static str = crate::contract!("drop_where.rs");
    const ROOTS: Roots = Roots::Operators(&["Where"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        let (condition, yes, no) = (cx.operand(root, 0)?, cx.operand(root, 1)?, cx.operand(root, 2)?);
        let new = match splat(cx, condition).and_then(|scalar| scalar.to_i64s().ok()).as_deref() {
            _ if yes == no => yes,
            Some([0]) => no,
            Some([_]) => yes,
            _ => return Err(Miss::NotHere),
        };
        let old = root.port(0);
        if !cx.same_shape(old, new) {
            return Err(Miss::NotHere);
        }
        Bypass::between(cx, old, new)
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
