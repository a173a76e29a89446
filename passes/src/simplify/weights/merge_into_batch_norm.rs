//! Merges arithmetic with constants, or another normalization, into a `BatchNormalization` in inference mode.
//!
//! Before `y = Mul(BatchNormalization(x, scale, B, mean, var), c)`, or the two in the other order; after
//! `y = BatchNormalization(x, scale', B', mean, var)`. Where both together are `y = s * x + t` for each channel,
//! `scale' = s * sqrt(var + epsilon)` and `B' = t + s * mean`.
//! Fires for `Mul`, `Div`, `Add`, `Sub` and `BatchNormalization`, if all parameters are constant, of float or double, one
//! number or one for each channel; if nothing else reads what is between the two (graph outputs count); and if the file does
//! not grow.
//! Exact: in real numbers the two are equal; they are rounded differently. Ends: one node fewer each time.

use onnxpress_ir::{DType, Edit, EditError, NodeId, ValueId};

use super::affine::{Affine, Channels, Statistics, Step};
use super::layer::in_range;
use super::refit::Refit;
use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct MergeIntoBatchNorm;

/// The normalization with the parameters that there will be.
#[derive(Debug)]
pub struct Match(Refit);

impl Rule for MergeIntoBatchNorm {
    const NAME: &'static str = "merge-into-batch-norm";
    const CONTRACT: &'static str = crate::contract!("merge_into_batch_norm.rs");
    const ROOTS: Roots = Roots::Operators(&["BatchNormalization", "Mul", "Div", "Add", "Sub"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let operands = cx.graph().operands(root).flatten();
        let (constants, others): (Vec<ValueId>, Vec<ValueId>) =
            operands.partition(|&value| cx.constant(value).is_some());
        let ([data], false) = (&others[..], constants.is_empty()) else { return Err(Miss::NotHere) };
        let before = data.node;
        let is_bn = |id| cx.operator(id, "BatchNormalization").is_ok();
        // The normalization that stays, and the node that goes.
        let (bn, other) = match (is_bn(before), is_bn(root)) {
            (true, _) => (before, root),
            (false, true) => (root, before),
            _ => return Err(Miss::NotHere),
        };
        let channels = channels(cx, bn)?;
        let merged = Step::of(cx, other, channels)?;
        cx.sole_reader(*data, root)?;
        let (own, step) = (Affine::of_batch_norm(cx, bn)?, merged.affine.clone());
        let both = if bn == before { own.then(&step) } else { step.then(&own) };
        let Statistics { mean, deviation, .. } = Statistics::of(cx, &cx.node(bn)?)?;
        let scale: Vec<f64> = deviation.iter().enumerate().map(|(c, deviation)| both.at(c).0 * deviation).collect();
        let shift: Vec<f64> = mean.iter().enumerate().map(|(c, mean)| both.at(c).1 + both.at(c).0 * mean).collect();
        let dtype = cx.required_constant(bn, 1, "scale")?.dtype();
        cx.require(matches!(dtype, DType::Float | DType::Double), bn, format!("its scale is of {dtype}"))?;
        let tensor = |values: &[f64]| in_range(bn, dtype, &[channels.count], values);
        let changes = vec![(bn, 1, tensor(&scale)?), (bn, 2, tensor(&shift)?)];
        let through = if bn == before { before.port(0) } else { merged.data(cx)? };
        Ok(Match(Refit::new(cx, other.port(0), through, changes)?))
    }

    fn apply(&self, Match(refit): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        refit.apply(edit)
    }
}

/// The channels that a normalization works on.
fn channels(cx: &MatchCx<'_>, bn: NodeId) -> Found<Channels> {
    let rank = cx.ty(cx.operand(bn, 0)?).shape().map(|shape| shape.len()).ok_or(Miss::NotHere)?;
    let count = cx.required_constant(bn, 1, "scale")?.len();
    Ok(Channels { count, from_end: rank.checked_sub(2).ok_or(Miss::NotHere)?, rank: Some(rank) })
}
