//! `recalibrate-batch-norm`: means and variances that a `BatchNormalization` holds, estimated once more.
//!
//! What a compressor changed moves the statistics of everything behind it, and a `BatchNormalization` still normalizes by those of
//! training. No gradient is needed to put that right: the model is run on samples with each of these nodes normalizing by what it
//! sees (`batch_statistics`), so that what is behind it is estimated from what it will be given, all in one pass over the samples.
//!
//! Source: I. Hubara et al., "Accurate post training quantization with small calibration sets" (2021), section 3.4, and what trainers
//! of pruned networks did before.

mod batch_statistics;
#[cfg(test)]
mod tests;

use onnxpress_ir::{Edit, Model, NodeId, Tensor};
use onnxpress_ops::infer::{self, Standard};
use onnxpress_ops::node::NodeCx;

use crate::evidence::{EvidenceError, EvidenceSource};
use crate::pass::{Pass, PassCx, PassError};
use batch_statistics::Instrumented;

/// The fewest samples at a time whose statistics stand for those of all.
const FEWEST: usize = 8;

/// The share of its old variance below which a channel counts as constant: samples that leave it so say nothing of it.
const CONSTANT: f64 = 1e-4;

crate::options! {
    /// Estimates the statistics of batch normalizations again, on samples.
    ///
    /// Needs samples (`--calib`), and no labels. To be run behind what changed the model: `prune-channels`, `factorize`, `sparsify`,
    /// `quantize-weights`. Channels that are constant on all samples keep their statistics.
    pub struct RecalibrateBatchNorm {
        /// Samples at a time, where the model takes any number; each node normalizes by the statistics of as many.
        batch: usize = 100,
    }
}

/// Mean and variance of each channel, as they are gathered batch by batch.
#[derive(Default)]
struct Gathered {
    samples: f64,
    sums: Vec<f64>,
    /// Sums of the batches' mean squares.
    squares: Vec<f64>,
}

impl Gathered {
    fn add(&mut self, samples: usize, means: &[f64], variances: &[f64]) {
        let weight = samples as f64;
        self.samples += weight;
        self.sums.resize(means.len(), 0.0);
        self.squares.resize(means.len(), 0.0);
        for (channel, (mean, variance)) in means.iter().zip(variances).enumerate() {
            self.sums[channel] += weight * mean;
            self.squares[channel] += weight * (variance + mean * mean);
        }
    }

    fn means(&self) -> Vec<f64> {
        self.sums.iter().map(|sum| sum / self.samples.max(1.0)).collect()
    }

    fn variances(&self) -> Vec<f64> {
        let mean_squares = self.squares.iter().map(|sum| sum / self.samples.max(1.0));
        mean_squares.zip(self.means()).map(|(square, mean)| (square - mean * mean).max(0.0)).collect()
    }
}

impl Pass for RecalibrateBatchNorm {
    const NAME: &'static str = "recalibrate-batch-norm";
    const LOSSY: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        if self.batch < FEWEST {
            let text =
                format!("`batch` is {}, expected at least {FEWEST}: of fewer, statistics say little", self.batch);
            return Err(PassError::Request(text));
        }
        let source = cx.data(Self::NAME)?;
        let (instrumented, declined) = Instrumented::of(model)?;
        for (node, reason) in declined {
            cx.declined(Self::NAME, model.graph.describe(node), reason);
        }
        if instrumented.nodes.is_empty() {
            return Ok(());
        }
        let gathered =
            gather(&instrumented, source, self.batch).map_err(|error| PassError::Request(error.to_string()))?;
        let mut changed = 0;
        for (&node, gathered) in instrumented.nodes.iter().zip(&gathered) {
            changed += usize::from(set(model, node, gathered)?);
        }
        if changed > 0 {
            infer::model(model);
            cx.applied(Self::NAME, changed);
            cx.set_witness(model.clone());
        }
        Ok(())
    }
}

/// Runs the model on all samples.
fn gather(
    instrumented: &Instrumented,
    source: &dyn EvidenceSource,
    batch: usize,
) -> Result<Vec<Gathered>, EvidenceError> {
    let mut session = source.load(&instrumented.model)?;
    let mut gathered: Vec<Gathered> = instrumented.nodes.iter().map(|_| Gathered::default()).collect();
    let (mut done, count) = (0, source.samples());
    source.feed(&instrumented.model, batch, &mut |feed| {
        if feed.size < FEWEST.min(count) {
            let text = format!("the model takes {} samples at a time, too few for statistics", feed.size);
            return Err(EvidenceError::Samples(text));
        }
        // Of a batch that is filled up the last sample would count more than others.
        if feed.len < feed.size && done > 0 {
            return Ok(());
        }
        let outputs = session.run(feed.inputs)?;
        let numbers = |index: usize| {
            let value = outputs.get(index).ok_or_else(|| EvidenceError::Run("an output is missing".to_owned()))?;
            let tensor = value.as_tensor().map_err(|error| EvidenceError::Run(error.to_string()))?;
            tensor.to_f64s().map_err(|error| EvidenceError::Run(error.to_string()))
        };
        for (index, gathered) in gathered.iter_mut().enumerate() {
            gathered.add(feed.len, &numbers(2 * index)?, &numbers(2 * index + 1)?);
        }
        done += feed.len;
        source.progress("recalibrate-batch-norm", done, count);
        Ok(())
    })?;
    source.progress("recalibrate-batch-norm", 0, 0);
    Ok(gathered)
}

/// Gives a node its new statistics. Answers whether it has any.
fn set(model: &mut Model, id: NodeId, gathered: &Gathered) -> Result<bool, PassError> {
    let graph = &mut model.graph;
    let Some(cx) = NodeCx::new(graph, id) else { return Ok(false) };
    let old = |index: usize| cx.constant(index).and_then(|tensor| Some((tensor.dtype(), tensor.to_f64s().ok()?)));
    let (Some((dtype, mut means)), Some((_, mut variances))) = (old(3), old(4)) else { return Ok(false) };
    let (new_means, new_variances) = (gathered.means(), gathered.variances());
    if new_means.len() != means.len() || new_variances.len() != variances.len() {
        return Err(PassError::Broken(format!("{} has statistics of another size", graph.describe(id))));
    }
    let mut changed = false;
    for channel in 0..means.len() {
        let (mean, variance) = (new_means[channel], new_variances[channel]);
        if mean.is_finite() && variance.is_finite() && variance > CONSTANT * variances[channel] {
            changed |= (means[channel], variances[channel]) != (mean, variance);
            (means[channel], variances[channel]) = (mean, variance);
        }
    }
    if changed {
        let operands = [graph.operand(id, 3), graph.operand(id, 4)];
        let mut edit = Edit::new(graph, &Standard, RecalibrateBatchNorm::NAME, &[id]);
        for ((index, operand), numbers) in (3..).zip(operands).zip([means, variances]) {
            let Some(operand) = operand else { continue };
            let tensor = Tensor::from_f64s(dtype, &[numbers.len()], &numbers);
            let tensor = tensor.map_err(|error| PassError::Broken(error.to_string()))?;
            if edit.graph().readers(operand).count() == 1 {
                edit.set_constant(operand.node, tensor);
            } else {
                let own = edit.add_constant(None, tensor);
                edit.set_operand(id, index, Some(own));
            }
        }
        edit.commit();
    }
    Ok(changed)
}
