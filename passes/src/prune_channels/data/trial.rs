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
use onnxpress_ops::evaluate::Value;

use super::consumers::Consumer;
use crate::evidence::{EvidenceError, EvidenceSource, Moments, SecondMoment};
use crate::reconstruction::{BiasSite, Lockstep, bias_site};

/// Samples at a time.
const BATCH: usize = 16;
/// The shares of a leaf that go for a trial each.
const PARTS: [f64; 3] = [0.15, 0.4, 0.7];
/// Ratios beyond these say more of the trial than of the leaf.
const RANGE: std::ops::RangeInclusive<f64> = 1e-3..=1e3;
/// The most samples of a trial.
const SAMPLES: usize = 64;
/// About how many multiply-accumulates all trials of a model may take together: a minute or two.
const AFFORDABLE: f64 = 2e12;

/// How many samples are worth their time where so many leaves are tried and a sample takes so many multiply-accumulates.
pub(crate) fn samples(leaves: usize, macs: f64) -> usize {
    let each = macs.max(1.0) * (PARTS.len() * leaves.max(1)) as f64;
    ((AFFORDABLE / each) as usize).clamp(BATCH, SAMPLES)
}

/// Samples on their way through the model, and what it answers. What comes before the layers that a trial changes is not run again.
pub(crate) struct Trial<'s> {
    lockstep: Lockstep<'s>,
    answers: Vec<Vec<f32>>,
    /// How much the answers vary from sample to sample, in sum.
    energy: f64,
}

impl<'s> Trial<'s> {
    /// With all samples of the source.
    ///
    /// # Errors
    /// Where the samples do not suit the model, or it cannot be run.
    pub(crate) fn new(model: &Model, source: &'s dyn EvidenceSource) -> Result<Self, EvidenceError> {
        let lockstep = Lockstep::new(model, source, BATCH)?;
        let found = lockstep.answers(&[])?;
        let energy = found.iter().map(|(outputs, size)| spread(&floats(outputs), *size)).sum();
        let answers = found.iter().map(|(outputs, _)| floats(outputs)).collect();
        Ok(Self { lockstep, answers, energy })
    }

    /// The first of some nodes that samples come to, and how far that is.
    pub(crate) fn first(&self, nodes: impl Iterator<Item = NodeId>) -> Option<(usize, NodeId)> {
        let order = self.lockstep.order();
        nodes.filter_map(|node| Some((order.iter().position(|&other| other == node)?, node))).min()
    }

    /// Goes on to just before a node, from where on constants can be others.
    ///
    /// # Errors
    /// Where the model cannot be run.
    pub(crate) fn advance(&mut self, node: NodeId) -> Result<(), EvidenceError> {
        self.lockstep.advance(node)
    }

    /// What the answers are off with other constants, as a share of how much they vary.
    ///
    /// # Errors
    /// Where the model cannot be run.
    pub(crate) fn error(&self, constants: &[(ValueId, Tensor)]) -> Result<f64, EvidenceError> {
        let answers = self.lockstep.answers(constants)?;
        let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
        let off = |(a, (b, _)): (&Vec<f32>, &(Vec<Value>, usize))| a.iter().zip(&floats(b)).map(square).sum::<f64>();
        Ok(self.answers.iter().zip(&answers).map(off).sum::<f64>() / self.energy)
    }

    /// Makes what the readers of a leaf lose what the outputs do: `lost` says for each index what is lost by the time it has gone.
    /// `from` is the [first](Self::first) of the readers; samples go on to it, so leaves come in that order.
    ///
    /// # Errors
    /// Where the model cannot be run.
    pub(super) fn weigh(
        &mut self,
        from: NodeId,
        readers: &[(&Consumer, &Moments)],
        lost: &mut [f64],
    ) -> Result<(), EvidenceError> {
        self.lockstep.advance(from)?;
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
            let model = self.lockstep.original();
            let made = readers.iter().filter_map(|(consumer, moments)| made_up(model, consumer, moments, gone));
            let without: Vec<(ValueId, Tensor)> = made.flatten().collect();
            let ratio = self.error(&without)? / foretold;
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
}

/// The numbers of all outputs.
fn floats(outputs: &[Value]) -> Vec<f32> {
    let numbers = |value: &Value| match value {
        Value::Tensor(tensor) if tensor.dtype().is_float() => tensor.to_f32s().ok(),
        _ => None,
    };
    outputs.iter().filter_map(numbers).flatten().collect()
}

/// The sum of squares of what the answers to a batch of `size` samples are off their mean.
fn spread(answers: &[f32], size: usize) -> f64 {
    let columns = (answers.len() / size.max(1)).max(1);
    let rows = answers.len() / columns;
    let of_column = |column: usize| {
        let of = |row: usize| f64::from(answers[row * columns + column]);
        let mean = (0..rows).map(of).sum::<f64>() / rows.max(1) as f64;
        (0..rows).map(|row| (of(row) - mean).powi(2)).sum::<f64>()
    };
    (0..columns).map(of_column).sum()
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
