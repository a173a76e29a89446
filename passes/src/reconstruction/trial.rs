//! What a model's outputs lose with other constants in the place of some, on a few samples.
//!
//! How much a layer matters shows only at the outputs. To run the whole model for each thing that is tried would take too long, so
//! samples wait before the first layer that has not been tried, and only what is behind it runs again.

use onnxpress_ir::{Model, NodeId, Tensor, ValueId};
use onnxpress_ops::evaluate::Value;

use super::Lockstep;
use crate::evidence::{EvidenceError, EvidenceSource};

/// Samples at a time.
const BATCH: usize = 16;
/// The most samples of a trial.
const SAMPLES: usize = 64;
/// About how many multiply-accumulates all trials of a model may take together: a minute or two.
const AFFORDABLE: f64 = 2e12;

/// Samples on their way through the model, and what it answers. What comes before the layers that a trial changes is not run again.
pub(crate) struct Trial<'s> {
    lockstep: Lockstep<'s>,
    answers: Vec<Vec<f32>>,
    /// How much the answers vary from sample to sample, in sum.
    energy: f64,
}

impl<'s> Trial<'s> {
    /// How many samples are worth their time for so many trials, where a sample takes so many multiply-accumulates.
    pub(crate) fn samples(trials: usize, macs: f64) -> usize {
        let each = macs.max(1.0) * trials.max(1) as f64;
        ((AFFORDABLE / each) as usize).clamp(BATCH, SAMPLES)
    }

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

    /// The model as it is.
    pub(crate) fn model(&self) -> &Model {
        self.lockstep.original()
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
