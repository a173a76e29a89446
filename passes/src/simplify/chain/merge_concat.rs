//! Merges a `Concat` into the one behind it.
//!
//! Before `y = Concat(a, Concat(b, c), d)` along one axis; after `y = Concat(a, b, c, d)`. Operands that have extent 0 along the axis
//! go too, as long as another stays.
//! Fires if nothing else reads what the inner `Concat` gives.
//! Exact: the same elements in the same order. Ends: one node, or one operand, fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId, ValueId};

use super::super::forms::concat;
use crate::rewrite::{Change, Found, MatchCx, Miss, Reads, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct MergeConcat;

impl Rule for MergeConcat {
    const NAME: &'static str = "merge-concat";
    const CONTRACT: &'static str = crate::contract!("merge_concat.rs");
    const ROOTS: Roots = Roots::Operators(&["Concat"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        let axis = concat::axis(cx, &node)?;
        let mut operands: Vec<ValueId> = Vec::new();
        let mut merged = false;
        for value in cx.graph().operands(root).flatten() {
            let extent = cx.shape(value).and_then(|shape| shape.get(axis)?.as_const());
            let inner = cx.operator(value.node, "Concat").ok();
            if extent == Some(0) && node.operand_count() > 1 {
                merged = true;
            } else if let Some(inner) = inner.filter(|_| cx.is_read_once(value))
                && concat::axis(cx, &inner).ok() == Some(axis)
            {
                operands.extend(cx.graph().operands(inner.id).flatten());
                merged = true;
            } else {
                operands.push(value);
            }
        }
        if !merged || operands.is_empty() {
            return Err(Miss::NotHere);
        }
        Change::operands(cx, root, operands.into_iter().map(Reads::Value))
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
