//! What quantizing one layer alone does to the outputs, and which layers to leave in float for the whole to fit a budget.
//!
//! The loss is the energy of the difference in the outputs as a share of the energy of the outputs, on some of the samples:
//! a hundredth is 20 dB of signal-to-noise. Nothing has to be known of what the outputs mean.

use std::collections::BTreeSet;

use onnxpress_ir::{DType, Model};
use onnxpress_ops::evaluate::Value;

use super::adapt::Rounded;
use super::options::Relief;
use super::plan::{PlannedValue, QuantizePlan};
use super::settle::parameters;
use super::write::{self, As, WriteError};
use crate::evidence::{EvidenceError, EvidenceSource};
use crate::quantize::range::Range;

/// The most samples that are run for each layer: a mean over outputs needs fewer than a range does.
const SAMPLES: usize = 32;
/// How many are run at a time.
const BATCH: usize = 8;

/// Why the loss is not known.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TrialError {
    /// The samples do not suit the model, or it cannot be run.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The plan does not suit the model.
    #[error("{0}")]
    Plan(String),
}

impl From<WriteError> for TrialError {
    fn from(error: WriteError) -> Self {
        Self::Plan(error.to_string())
    }
}

/// Inputs of a batch, the samples in it that count, and how many there are.
type Held = (Vec<Option<Value>>, usize, usize);

/// A model with some samples and what it makes of them, for others to be held against it.
pub struct Trial<'a> {
    model: &'a Model,
    source: &'a dyn EvidenceSource,
    batches: Vec<Held>,
    outputs: Vec<Vec<Vec<f32>>>,
}

impl std::fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trial on {} batches", self.batches.len())
    }
}

impl<'a> Trial<'a> {
    /// Runs a model on some of the samples.
    ///
    /// # Errors
    /// Where they do not suit it, or it cannot be run.
    pub fn of(model: &'a Model, source: &'a dyn EvidenceSource) -> Result<Self, TrialError> {
        let (mut batches, mut held) = (Vec::new(), 0);
        source.feed(model, BATCH, &mut |feed| {
            if held < SAMPLES {
                batches.push((feed.inputs.to_vec(), feed.len, feed.size));
                held += feed.len;
            }
            Ok(())
        })?;
        let mut trial = Self { model, source, batches, outputs: Vec::new() };
        trial.outputs = trial.run(model)?;
        Ok(trial)
    }

    /// For each batch, the elements of each output of numbers.
    fn run(&self, model: &Model) -> Result<Vec<Vec<Vec<f32>>>, TrialError> {
        let mut session = self.source.load(model)?;
        let mut all = Vec::with_capacity(self.batches.len());
        for (inputs, len, size) in &self.batches {
            let outputs = session.run(inputs)?.into_iter().map(|value| numbers(value, *len, *size));
            all.push(outputs.collect());
        }
        Ok(all)
    }

    /// The energy of what another model's outputs are off, as a share of the energy of the outputs; the mean over outputs.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub fn loss(&self, model: &Model) -> Result<f64, TrialError> {
        let outputs = self.run(model)?;
        let count = self.outputs.first().map_or(0, Vec::len);
        let (mut off, mut all) = (vec![0f64; count], vec![0f64; count]);
        for (exact, found) in self.outputs.iter().zip(&outputs) {
            for (number, (exact, found)) in exact.iter().zip(found).enumerate() {
                for (exact, found) in exact.iter().zip(found) {
                    off[number] += f64::from(exact - found).powi(2);
                    all[number] += f64::from(*exact).powi(2);
                }
            }
        }
        let shares: Vec<f64> =
            off.iter().zip(&all).filter(|(_, all)| **all > 0.0).map(|(off, all)| off / all).collect();
        Ok(shares.iter().sum::<f64>() / shares.len().max(1) as f64)
    }

    /// The loss of each layer of a plan, quantized alone, in the plan's order.
    ///
    /// # Errors
    /// Where the plan does not suit the model, or it cannot be run.
    pub fn losses(&self, plan: &QuantizePlan) -> Result<Vec<f64>, TrialError> {
        let one = |layer: usize| {
            self.source.progress("measure layers", layer + 1, plan.layers.len());
            self.loss(&faked(&plan.alone(layer), self.model)?)
        };
        let losses = (0..plan.layers.len()).map(one).collect();
        self.source.progress("measure layers", 0, 0);
        losses
    }

    /// The plan with the layers that hurt most relieved, as many as it takes for the loss to be at most `budget`.
    ///
    /// # Errors
    /// Where the plan does not suit the model, or it cannot be run.
    pub fn within(&self, plan: &QuantizePlan, budget: f64, relief: Relief) -> Result<Relieved, TrialError> {
        let fits = |plan: &QuantizePlan| Ok::<_, TrialError>(self.loss(&faked(plan, self.model)?)? <= budget);
        if fits(plan)? {
            return Ok(Relieved { plan: plan.clone(), wide: Vec::new(), gone: Vec::new() });
        }
        let losses = self.losses(plan)?;
        let mut worst: Vec<usize> = (0..losses.len()).collect();
        worst.sort_by(|&a, &b| losses[b].total_cmp(&losses[a]).then(a.cmp(&b)));
        let widened = |count: usize| plan.widened(&worst[..count]);
        let mut wide = 0;
        if relief == Relief::Sixteen {
            wide = worst.len();
            if fits(&widened(wide))? {
                wide = fewest(wide, |count| fits(&widened(count)))?;
                return Ok(Relieved { plan: widened(wide), wide: worst[..wide].to_vec(), gone: Vec::new() });
            }
        }
        // With nothing quantized nothing is lost.
        let all = widened(wide);
        let gone = fewest(worst.len(), |count| fits(&all.without(&worst[..count])))?;
        let wide = worst[..wide].iter().skip(gone).copied().collect();
        Ok(Relieved { plan: all.without(&worst[..gone]), wide, gone: worst[..gone].to_vec() })
    }
}

/// A plan with some layers relieved.
#[derive(Debug, Clone, PartialEq)]
pub struct Relieved {
    /// The plan.
    pub plan: QuantizePlan,
    /// Layers that read 16 bits, by number.
    pub wide: Vec<usize>,
    /// Layers that stay in float, by number.
    pub gone: Vec<usize>,
}

/// The fewest layers, at least one and at most `all`, that are enough, as long as the loss falls with each.
fn fewest(all: usize, enough: impl Fn(usize) -> Result<bool, TrialError>) -> Result<usize, TrialError> {
    let (mut too_few, mut found) = (0, all);
    while found - too_few > 1 {
        let middle = too_few.midpoint(found);
        if enough(middle)? { found = middle } else { too_few = middle }
    }
    Ok(found)
}

/// The elements of a value without the samples that only fill up its batch; none where it is no tensor of numbers.
fn numbers(value: Value, len: usize, size: usize) -> Vec<f32> {
    let Value::Tensor(tensor) = value else { return Vec::new() };
    if !tensor.dtype().is_float() {
        return Vec::new();
    }
    let mut values = tensor.to_f32s().unwrap_or_default();
    if len < size && tensor.dims().first() == Some(&size) {
        values.truncate(values.len() / size * len);
    }
    values
}

/// The model with the standard's fake quantization in the places of the plan.
///
/// # Errors
/// Where the plan does not suit the model.
pub fn faked(plan: &QuantizePlan, prepared: &Model) -> Result<Model, TrialError> {
    let mut model = prepared.clone();
    write::write(plan, &mut model, As::Floats, &Rounded::default())?;
    Ok(model)
}

impl QuantizePlan {
    /// The plan for one layer and what it reads alone.
    #[must_use]
    pub fn alone(&self, layer: usize) -> Self {
        let mut plan = self.clone();
        plan.layers = self.layers.get(layer).cloned().into_iter().collect();
        plan.tables.clear();
        plan.stored.clear();
        let id = plan.layers.first().map(|layer| layer.id);
        plan.values.iter_mut().for_each(|value| value.readers.retain(|reader| Some(reader.node) == id));
        plan.values.retain(|value| !value.readers.is_empty());
        plan
    }

    /// The plan with values in 16 bits where some layers read them, and whatever shares parameters with these. They reach over all that
    /// was seen: steps are so fine that there is nothing to gain by clipping.
    #[must_use]
    pub fn widened(&self, layers: &[usize]) -> Self {
        let mut plan = self.clone();
        let wide: BTreeSet<usize> = layers.iter().filter_map(|&layer| Some(self.layers.get(layer)?.id)).collect();
        let read = |value: &&PlannedValue| value.readers.iter().any(|reader| wide.contains(&reader.node));
        let groups: BTreeSet<usize> = self.values.iter().filter(read).map(|value| value.group).collect();
        for value in plan.values.iter_mut().filter(|value| groups.contains(&value.group)) {
            let dtype = match value.dtype.as_str() {
                "uint8" => DType::Uint16,
                "int8" => DType::Int16,
                _ => continue,
            };
            let middle = value.dtype == "int8" && value.zero_point == 0;
            let range = Range::new(f64::from(value.seen.0), f64::from(value.seen.1));
            (value.scale, value.zero_point) = parameters(range, onnxpress_ir::tensor::range(dtype), middle);
            value.dtype = dtype.to_string();
        }
        plan
    }

    /// The plan without some layers.
    #[must_use]
    pub fn without(&self, layers: &[usize]) -> Self {
        let mut plan = self.clone();
        let gone: BTreeSet<usize> = layers.iter().filter_map(|&layer| Some(self.layers.get(layer)?.id)).collect();
        plan.layers.retain(|layer| !gone.contains(&layer.id));
        plan.values.iter_mut().for_each(|value| value.readers.retain(|reader| !gone.contains(&reader.node)));
        plan.values.retain(|value| !value.readers.is_empty());
        plan
    }
}
