//! What quantizing one part alone does to the outputs, and which parts to leave in float for the whole to fit a budget.
//!
//! The loss is the energy of the difference in the outputs as a share of the energy of the outputs, on some of the samples:
//! a hundredth is 20 dB of signal-to-noise. Nothing has to be known of what the outputs mean.

use onnxpress_ir::Model;
use onnxpress_ops::evaluate::Value;

use super::adapt::Rounded;
use super::options::Relief;
use super::plan::QuantizePlan;
use super::write::{self, As, WriteError};
use crate::evidence::{EvidenceError, EvidenceSource};

/// The most samples that the whole is run on: a mean over outputs needs fewer than a range does.
const SAMPLES: usize = 32;
/// The most that each part alone is run on, which only tells in what order parts go.
const ALONE: usize = 8;
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
        trial.outputs = trial.run(model, &trial.batches)?;
        Ok(trial)
    }

    /// For each of these batches, the elements of each output of numbers.
    fn run(&self, model: &Model, batches: &[Held]) -> Result<Vec<Vec<Vec<f32>>>, TrialError> {
        let mut session = self.source.load(model)?;
        let mut all = Vec::with_capacity(batches.len());
        for (inputs, len, size) in batches {
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
        self.loss_on(&self.batches, model)
    }

    /// The same on the first batches.
    fn loss_on(&self, batches: &[Held], model: &Model) -> Result<f64, TrialError> {
        let outputs = self.run(model, batches)?;
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

    /// The loss of each part of a plan, quantized alone, in the plan's order.
    ///
    /// # Errors
    /// Where the plan does not suit the model, or it cannot be run.
    pub fn losses(&self, plan: &QuantizePlan) -> Result<Vec<f64>, TrialError> {
        let mut held = 0;
        let first = self.batches.iter().take_while(|(_, len, _)| {
            held += len;
            held <= ALONE
        });
        let batches = &self.batches[..first.count().max(1).min(self.batches.len())];
        let parts = plan.parts();
        let one = |part: usize| {
            self.source.progress("measure layers", part + 1, parts);
            self.loss_on(batches, &faked(&plan.alone(part), self.model)?)
        };
        let losses = (0..parts).map(one).collect();
        self.source.progress("measure layers", 0, 0);
        losses
    }

    /// The plan with the parts that hurt most relieved, as many as it takes for the loss to be at most `budget`.
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
        let (layers, names) = (plan.layers.len(), |part: &usize| plan.part_name(*part).to_owned());
        // Of a weight that is codes in the file alone nothing is read in 16 bits.
        let wide: Vec<usize> = worst.iter().copied().filter(|&part| part < layers).collect();
        let mut widest = plan.clone();
        if relief == Relief::Sixteen {
            widest = plan.widened(&wide);
            if fits(&widest)? {
                let count = fewest(wide.len(), |count| fits(&plan.widened(&wide[..count])))?;
                let names = wide[..count].iter().map(names).collect();
                return Ok(Relieved { plan: plan.widened(&wide[..count]), wide: names, gone: Vec::new() });
            }
        }
        // With nothing quantized nothing is lost.
        let gone = fewest(worst.len(), |count| fits(&widest.without(&worst[..count])))?;
        let gone = &worst[..gone];
        let left = |part: &&usize| relief == Relief::Sixteen && !gone.contains(part);
        Ok(Relieved {
            plan: widest.without(gone),
            wide: wide.iter().filter(left).map(names).collect(),
            gone: gone.iter().map(names).collect(),
        })
    }
}

/// A plan with some parts relieved.
#[derive(Debug, Clone, PartialEq)]
pub struct Relieved {
    /// The plan.
    pub plan: QuantizePlan,
    /// Layers that read 16 bits, by name.
    pub wide: Vec<String>,
    /// Parts that stay in float, by name.
    pub gone: Vec<String>,
}

/// The fewest parts, at least one and at most `all`, that are enough, as long as the loss falls with each.
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
