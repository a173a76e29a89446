//! Leaves out optional operands that say what holds without them.
//!
//! Before `y = LSTM(x, w, r, b, lengths, h, c)` with an initial state of zeros; after, without it. The same for the bias, the states and
//! the peepholes of `LSTM`, `GRU` and `RNN`, the bias of `Conv`, `ConvTranspose`, `Gemm` (from version 11 on) and `LayerNormalization`, and the
//! value that `Pad` adds.
//! Fires if every element of the operand is 0 (a constant, or what is spread from one).
//! Exact: the standard's default is zeros. Ends: one operand fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use super::super::forms::splat::splat;
use crate::rewrite::{Change, Found, MatchCx, Miss, Reads, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct OmitDefault;

impl Rule for OmitDefault {
    const NAME: &'static str = "omit-default";
    const CONTRACT: &'static str = crate::contract!("omit_default.rs");
    const ROOTS: Roots =
        Roots::Operators(&["LSTM", "GRU", "RNN", "Conv", "ConvTranspose", "Gemm", "LayerNormalization", "Pad"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        let optional: &[usize] = match &*node.node.op_type.to_str() {
            "LSTM" => &[3, 5, 6, 7],
            "GRU" | "RNN" => &[3, 5],
            "Gemm" if node.version < 11 => &[],
            "Pad" if node.version < 11 => &[],
            _ => &[2],
        };
        let is_zero = |value| splat(cx, value).and_then(|scalar| scalar.to_f64s().ok()).is_some_and(|all| all == [0.0]);
        let needless = |&index: &usize| node.operand(index).is_some_and(is_zero);
        let needless: Vec<usize> = optional.iter().copied().filter(needless).collect();
        if needless.is_empty() {
            return Err(Miss::NotHere);
        }
        let kept = |index: usize| node.operand(index).filter(|_| !needless.contains(&index));
        let reads = (0..node.operand_count()).map(|index| kept(index).map_or(Reads::Nothing, Reads::Value));
        Change::operands(cx, root, reads)
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
