//! Merges constants that stand side by side in a `Concat`.
//!
//! Before `y = Concat(a, v, w, b)` with constant `v` and `w`; after `y = Concat(a, vw, b)`.
//! Fires if the file does not grow on balance.
//! Exact: the same elements in the same order. Ends: one operand fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use super::super::forms::concat;
use crate::rewrite::{Change, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct MergeConcatConstants;

impl Rule for MergeConcatConstants {
    const NAME: &'static str = "merge-concat-constants";
    const CONTRACT: &'static str = crate::contract!("merge_concat_constants.rs");
    const ROOTS: Roots = Roots::Operators(&["Concat"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        // All of them together are folded.
        if cx.graph().operands(root).flatten().all(|value| cx.constant(value).is_some()) {
            return Err(Miss::NotHere);
        }
        concat::with_runs(cx, root, |operands, axis| {
            let run: Vec<_> = operands.iter().map_while(|&value| cx.constant(value)).collect();
            let joined = if run.len() > 1 { concat::joined(&run, axis) } else { None };
            joined.map(|tensor| (tensor.into(), run.len()))
        })
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
