//! Made-up pictures that look to a model as what it was trained on.
//!
//! A `BatchNormalization` holds mean and variance of what it saw in training, and inputs that meet them stand in for samples better than
//! noise does (ZeroQ, Cai et al. 2020, which finds them by gradients). Here they are found by running the model alone. Pictures are drawn
//! from a family that photographs resemble: random fields whose strength falls with frequency, of some brightness and contrast, in
//! channels that are somewhat alike. Four numbers say which; they are tried one after the other, and kept where the statistics are met
//! better.

use onnxpress_ir::random::SplitMix64;
use onnxpress_ir::{DType, Model, Tensor, ValueId};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::node::NodeCx;
use onnxpress_passes::evidence::{ChannelStatistics, EvidenceError, EvidenceSource, Wants, collect};

/// Runs of the model over a few pictures, at most.
const TRIALS: usize = 48;
/// The share of its first size from which on a step is too small to matter.
const FINE: f64 = 1.0 / 16.0;
/// What one channel may add to the distance, so that one that was dead in training does not decide all.
const CAP: f64 = 20.0;

/// Which pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Family {
    /// The mean of all values.
    brightness: f64,
    /// Their standard deviation, as a power of two.
    contrast: f64,
    /// The strength of a wave of twice the length, as a power of two.
    slope: f64,
    /// The share of what channels have in common, as a logit.
    likeness: f64,
}

/// How well made-up inputs meet the statistics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// How many `BatchNormalization` nodes were to be met.
    pub layers: usize,
    /// The mean divergence of what they see from what they saw in training, of plain random inputs (Kullback and Leibler's, in nats, of
    /// normal distributions, channel by channel).
    pub before: f64,
    /// The same of the pictures that were found.
    pub after: f64,
}

impl Family {
    /// Where the search begins, and the first step of each number.
    const START: [[f64; 2]; 4] = [[0.0, 0.5], [0.0, 1.0], [0.5, 0.5], [1.0, 1.0]];

    fn of([brightness, contrast, slope, likeness]: [f64; 4]) -> Self {
        Self { brightness, contrast, slope, likeness }
    }

    /// A batch of pictures of these extents: samples, channels, height, width.
    pub(super) fn draw(&self, dims: [usize; 4], seed: u64) -> Vec<f32> {
        let [samples, channels, height, width] = dims;
        let mut random = SplitMix64::new(seed ^ 0x0070_6963_7475_7265);
        let share = 1.0 / (1.0 + (-self.likeness).exp());
        let mut pictures = Vec::with_capacity(samples * channels * height * width);
        for _ in 0..samples {
            let common = self.field(height, width, &mut random);
            for _ in 0..channels {
                let own = self.field(height, width, &mut random);
                let mixed =
                    common.iter().zip(&own).map(|(common, own)| share.sqrt() * common + (1.0 - share).sqrt() * own);
                pictures.extend(mixed.map(|value| (self.brightness + self.contrast.exp2() * value) as f32));
            }
        }
        pictures
    }

    /// A random field of mean 0 and variance about 1: waves of every length, each twice as long as the one before.
    fn field(&self, height: usize, width: usize, random: &mut SplitMix64) -> Vec<f64> {
        let octaves = usize::BITS - height.max(width).max(1).leading_zeros();
        let mut field = vec![0.0; height * width];
        let mut energy = 0.0;
        for octave in 0..octaves {
            let (cell, strength) = (1usize << octave, (self.slope * f64::from(octave)).exp2());
            let (rows, columns) = (height / cell + 2, width / cell + 2);
            let grid: Vec<f64> = (0..rows * columns).map(|_| random.nearly_normal()).collect();
            for row in 0..height {
                let (top, down) = (row / cell, (row % cell) as f64 / cell as f64);
                for column in 0..width {
                    let (left, right) = (column / cell, (column % cell) as f64 / cell as f64);
                    let at = |row: usize, column: usize| grid[row * columns + column];
                    let above = at(top, left) * (1.0 - right) + at(top, left + 1) * right;
                    let below = at(top + 1, left) * (1.0 - right) + at(top + 1, left + 1) * right;
                    field[row * width + column] += strength * (above * (1.0 - down) + below * down);
                }
            }
            // Between the points of a grid a mean of four is less than each.
            let shrunk = if octave == 0 { 1.0 } else { 4.0 / 9.0 };
            energy += strength * strength * shrunk;
        }
        let scale = 1.0 / f64::sqrt(energy.max(f64::MIN_POSITIVE));
        field.iter_mut().for_each(|value| *value *= scale);
        field
    }
}

/// The extents of a value, where it may be a batch of pictures.
pub(super) fn picture(value: &Value) -> Option<[usize; 4]> {
    let Value::Tensor(tensor) = value else { return None };
    let dims: [usize; 4] = tensor.dims().try_into().ok()?;
    (tensor.dtype() == DType::Float && !tensor.is_empty()).then_some(dims)
}

/// A value of the same extents from a family; what is no batch of pictures stays.
pub(super) fn redrawn(value: Value, family: &Family, seed: u64) -> Value {
    let drawn = picture(&value).and_then(|dims| Tensor::from_values(&dims, family.draw(dims, seed)).ok());
    drawn.map_or(value, Value::Tensor)
}

/// What a `BatchNormalization` saw in training.
struct Target {
    value: ValueId,
    mean: Vec<f64>,
    variance: Vec<f64>,
}

fn targets(model: &Model) -> Vec<Target> {
    let graph = &model.graph;
    let target = |cx: NodeCx<'_>| {
        let numbers = |slot: usize| cx.constant(slot).and_then(|tensor| tensor.to_f64s().ok());
        let in_training = cx.attrs().int_or("training_mode", 0).unwrap_or(1) != 0;
        let (value, mean, variance) = (cx.operand(0)?, numbers(3)?, numbers(4)?);
        let known = mean.len() == variance.len() && variance.iter().all(|variance| *variance > 0.0);
        (known && !in_training && !mean.is_empty()).then_some(Target { value, mean, variance })
    };
    let nodes = graph.nodes().filter(|(_, node)| node.is("BatchNormalization"));
    nodes.filter_map(|(id, _)| target(NodeCx::new(graph, id)?)).collect()
}

/// The mean divergence of one node's channels; `None` where it was not seen.
fn divergence(target: &Target, seen: Option<&ChannelStatistics>) -> Option<f64> {
    let seen = seen.filter(|seen| seen.len() == target.mean.len())?;
    let (means, squares) = (seen.means(), seen.mean_squares());
    let one = |channel: usize| {
        let (mean, variance) = (target.mean[channel], target.variance[channel]);
        let ratio = ((squares[channel] - means[channel].powi(2)) / variance).max(1e-6);
        let lost = 0.5 * (ratio + (means[channel] - mean).powi(2) / variance - 1.0 - ratio.ln());
        if lost.is_finite() { lost.min(CAP) } else { CAP }
    };
    Some((0..target.mean.len()).map(one).sum::<f64>() / target.mean.len() as f64)
}

/// The family of pictures that meets the statistics of a model best, of those that were tried; `source` gives some pictures of a family,
/// or plain random inputs. `None` where the model has no statistics.
///
/// # Errors
/// Where the model cannot be run.
pub(super) fn fit<'s, S: EvidenceSource + 's>(
    model: &Model,
    source: impl Fn(Option<Family>) -> S,
) -> Result<Option<(Family, Fit)>, EvidenceError> {
    let targets = targets(model);
    if targets.is_empty() {
        return Ok(None);
    }
    let mut wants = Wants::default();
    for target in &targets {
        wants.channels(target.value, 1);
    }
    let distance = |family: Option<[f64; 4]>| {
        let evidence = collect(model, &wants, &source(family.map(Family::of)))?;
        let seen = |target: &Target| evidence.values.get(&target.value).and_then(|it| it.channels.as_ref());
        let all: Vec<f64> = targets.iter().filter_map(|target| divergence(target, seen(target))).collect();
        Ok(if all.is_empty() { CAP } else { all.iter().sum::<f64>() / all.len() as f64 })
    };
    let before = distance(None)?;
    let mut at = Family::START.map(|[start, _]| start);
    let mut steps = Family::START.map(|[_, step]| step);
    let mut after = distance(Some(at))?;
    let (mut trials, mut size) = (1, 1.0);
    while trials < TRIALS && size > FINE {
        let mut better = false;
        for number in 0..at.len() {
            // The way that helped is tried first the next time, since the sign of the step remembers it.
            for _ in 0..2 {
                let mut next = at;
                next[number] += size * steps[number];
                let found = distance(Some(next))?;
                trials += 1;
                if found < after {
                    (at, after, better) = (next, found, true);
                    break;
                }
                steps[number] = -steps[number];
            }
        }
        if !better {
            size /= 2.0;
        }
    }
    Ok(Some((Family::of(at), Fit { layers: targets.len(), before, after })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_moments_that_are_asked_for() {
        for slope in [0.0, 0.5, 1.0] {
            let family = Family { brightness: 2.0, contrast: 1.0, slope, likeness: 0.0 };
            let values = family.draw([16, 3, 16, 16], 1);
            let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
            let variance =
                values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / values.len() as f64;
            assert!((mean - 2.0).abs() < 0.8 && (2.0..7.0).contains(&variance), "{slope}: {mean} {variance}");
            assert_eq!(values, family.draw([16, 3, 16, 16], 1));
        }
    }
}
