//! Merges constants that stand side by side in a `Concat`.
//!
//! Before `y = Concat(a, v, w, b)` with constant `v` and `w`; after `y = Concat(a, vw, b)`.
//! Fires if the file does not grow on balance.
//! Exact: the same elements in the same order. Ends: one operand fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId, ValueId};

use super::super::forms::concat;
use crate::rewrite::{Change, Found, MatchCx, Miss, Reads, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct MergeConcatConstants;

impl Rule for MergeConcatConstants {
    const NAME: &'static str = "merge-concat-constants";
    const CONTRACT: &'static str = crate::contract!("merge_concat_constants.rs");
    const ROOTS: Roots = Roots::Operators(&["Concat"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        let axis = concat::axis(cx, &node)?;
        let operands: Vec<ValueId> = cx.graph().operands(root).flatten().collect();
        let known: Vec<_> = operands.iter().map(|&value| cx.constant(value)).collect();
        let mut reads: Vec<Reads> = Vec::new();
        let mut at = 0;
        while at < operands.len() {
            let run = known[at..].iter().map_while(|tensor| *tensor).collect::<Vec<_>>();
            if run.len() > 1 {
                reads.push(concat::joined(&run, axis).ok_or(Miss::NotHere)?.into());
                at += run.len();
            } else {
                reads.push(operands[at].into());
                at += 1;
            }
        }
        if reads.len() == operands.len() || reads.len() == 1 {
            return Err(Miss::NotHere);
        }
        Change::operands(cx, root, reads)
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
