//! What the model's outputs lose when a little of one leaf goes, measured.
//!
//! What a reader's output loses says nothing of how much that output matters: a channel of a residual stream is read by every block
//! behind it, one inside a block by one layer. So shares of each leaf's indices go for a trial, with its readers making up for them as
//! well as they can, and what the outputs lose, on samples that nothing was fitted to, is held against what the readers do: that
//! ratio, which is another for much than for little, makes the losses of leaves compare.

use std::collections::HashSet;

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};
use onnxpress_ir::{Model, NodeId, Tensor, ValueId};

use super::consumers::Consumer;
use crate::evidence::{EvidenceError, Moments, SecondMoment};
use crate::reconstruction::{BiasSite, Trial, bias_site};

/// The shares of a leaf that go for a trial each.
pub(super) const PARTS: [f64; 3] = [0.15, 0.4, 0.7];
/// Ratios beyond these say more of the trial than of the leaf.
const RANGE: std::ops::RangeInclusive<f64> = 1e-3..=1e3;

/// Makes what the readers of a leaf lose what the outputs do: `lost` says for each index what is lost by the time it has gone.
/// `from` is the [first](Trial::first) of the readers; samples go on to it, so leaves come in that order.
///
/// # Errors
/// Where the model cannot be run.
pub(super) fn weigh(
    trial: &mut Trial<'_>,
    from: NodeId,
    readers: &[(&Consumer, &Moments)],
    lost: &mut [f64],
) -> Result<(), EvidenceError> {
    trial.advance(from)?;
    let mut order: Vec<usize> = (0..lost.len()).collect();
    order.sort_by(|&a, &b| lost[a].total_cmp(&lost[b]).then(a.cmp(&b)));
    let most = lost.len().saturating_sub(1);
    // What is nothing to its readers tells nothing.
    let least = order.iter().position(|&index| lost[index] > 1e-6).map_or(most, |place| place + 1);
    let mut found: Vec<(usize, f64)> = Vec::new();
    for part in PARTS {
        let count = ((part * lost.len() as f64).round() as usize).max(least).min(most);
        let Some(foretold) = count.checked_sub(1).map(|last| lost[order[last]]).filter(|loss| *loss > 1e-9) else {
            continue;
        };
        if found.last().is_some_and(|&(before, _)| before >= count) {
            continue;
        }
        let gone = &order[..count];
        let model = trial.model();
        let made = readers.iter().filter_map(|(consumer, moments)| made_up(model, consumer, moments, gone));
        let without: Vec<(ValueId, Tensor)> = made.flatten().collect();
        let ratio = trial.error(&without)? / foretold;
        found.push((count, if ratio.is_finite() { ratio.clamp(*RANGE.start(), *RANGE.end()) } else { 1.0 }));
    }
    let mut before = 0.0f64;
    for (place, &index) in order.iter().enumerate() {
        // What has gone cannot come to matter less.
        before = before.max(lost[index] * between(&found, place + 1));
        lost[index] = before;
    }
    Ok(())
}

/// What was found for so many, or between those next to it; beyond them what is nearest. One where nothing was.
fn between(found: &[(usize, f64)], count: usize) -> f64 {
    let after = found.partition_point(|&(at, _)| at < count);
    match (after.checked_sub(1).map(|before| found[before]), found.get(after)) {
        (Some((from, a)), Some(&(to, b))) => {
            let share = (count - from) as f64 / (to - from) as f64;
            // Ratios are compared as ratios.
            (a.ln() * (1.0 - share) + b.ln() * share).exp()
        }
        (Some((_, nearest)), None) | (None, Some(&(_, nearest))) => nearest,
        (None, None) => 1.0,
    }
}

/// The weight of a reader without some indices, the others making up for them, and the bias that goes with it.
fn made_up(model: &Model, consumer: &Consumer, moments: &Moments, gone: &[usize]) -> Option<Vec<(ValueId, Tensor)>> {
    let plain = &consumer.plain;
    let tensor = model.graph.constant(plain.weight)?;
    let weights = plain.matrices.matrices(tensor).ok()?;
    let site = bias_site(&model.graph, plain.node, &plain.layer, plain.matrices.groups() * plain.matrices.outputs());
    let bias = match site {
        BiasSite::Own(value) | BiasSite::Added(value) => Some((value, model.graph.constant(value)?)),
        BiasSite::Free | BiasSite::Fixed | BiasSite::Nowhere => None,
    };
    let columns: HashSet<usize> = gone.iter().flat_map(|&index| consumer.columns[index].iter().copied()).collect();
    let mut biases = bias.map(|(_, tensor)| tensor.to_f64s()).transpose().ok()?;
    let mut made = Vec::new();
    for (group, (weight, moment)) in weights.iter().zip(&moments.groups).enumerate() {
        let kept: Vec<usize> = (0..weight.ncols()).filter(|column| !columns.contains(column)).collect();
        let best = without(weight, moment, &kept, biases.is_some())?;
        if let Some(biases) = &mut biases {
            let mean = moment.mean();
            for output in 0..weight.nrows() {
                let off: f64 = (0..weight.ncols()).map(|k| (weight[(output, k)] - best[(output, k)]) * mean[k]).sum();
                biases[group * weight.nrows() + output] += off;
            }
        }
        made.push(best);
    }
    let mut changes = vec![(plain.weight, plain.matrices.tensor(&made, tensor).ok()?)];
    if let (Some((value, like)), Some(biases)) = (bias, biases) {
        changes.push((value, Tensor::from_f64s(like.dtype(), like.dims(), &biases).ok()?));
    }
    Some(changes)
}

/// The weight that is zero outside of `kept` and answers most like this one.
fn without(weight: &Mat<f64>, moment: &SecondMoment, kept: &[usize], has_bias: bool) -> Option<Mat<f64>> {
    let mut metric = if has_bias { moment.covariance() } else { moment.second() };
    let pull = crate::reconstruction::ridge(moment, 1e-3);
    (0..metric.nrows()).for_each(|i| metric[(i, i)] += pull);
    let h = Mat::from_fn(kept.len(), kept.len(), |i, j| metric[(kept[i], kept[j])]);
    let full = &metric * weight.transpose();
    let right = Mat::from_fn(kept.len(), weight.nrows(), |i, o| full[(kept[i], o)]);
    let solved = h.llt(Side::Lower).ok()?.solve(&right);
    let mut best = Mat::zeros(weight.nrows(), weight.ncols());
    for (i, &column) in kept.iter().enumerate() {
        (0..weight.nrows()).for_each(|o| best[(o, column)] = solved[(i, o)]);
    }
    Some(best)
}
