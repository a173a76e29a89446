//! What the model's outputs lose when a layer does, measured.
//!
//! What a layer's output loses says nothing of how much that output matters: of a sum that is normalized afterwards most may go unnoticed,
//! and of what decides between two classes nothing. So each layer is written by factors for a trial, of few weights and of more, all
//! others being as they are, and what the outputs lose is held against what the layer does. Between the two and beyond them that
//! makes losses of layers compare.

use faer::Mat;
use onnxpress_ir::{Model, Tensor, ValueId};

use super::compress::factorized;
use super::features;
use super::form::Form;
use super::layers::Layer;
use super::offer::Known;
use crate::evidence::{EvidenceError, SecondMoment};
use crate::reconstruction::{Fit, Trial, Turned};

/// The shares of its weights that a layer keeps in a trial.
pub(super) const KEPT: [f64; 2] = [0.7, 0.35];

/// Shares that a layer loses with those that the outputs lose, in ascending order; of nothing known, as if they were the same.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Worth(Vec<(f64, f64)>);

impl Worth {
    /// What the outputs lose where the layer loses a share.
    pub(super) fn of(&self, share: f64) -> f64 {
        let after = self.0.partition_point(|&(at, _)| at < share);
        match (after.checked_sub(1).map(|before| self.0[before]), self.0.get(after)) {
            (Some((from, a)), Some(&(to, b))) => {
                let way = (share.ln() - from.ln()) / (to.ln() - from.ln());
                (a.ln() * (1.0 - way) + b.ln() * way).exp()
            }
            (Some((at, lost)), None) | (None, Some(&(at, lost))) => lost * share / at,
            (None, None) => share,
        }
    }

    fn add(&mut self, share: f64, lost: f64) {
        // Who loses more cannot matter less.
        let least = self.0.last().map_or((0.0, f64::MIN_POSITIVE), |&last| last);
        if share > least.0 && share.is_finite() && lost.is_finite() {
            self.0.push((share, lost.max(least.1)));
        }
    }
}

/// Tries a layer, which no earlier one may follow.
///
/// # Errors
/// Where the model cannot be run.
pub(super) fn weigh(
    trial: &mut Trial<'_>,
    model: &Model,
    layer: &Layer,
    known: &Known,
    weights: &[Mat<f64>],
    rows: &[SecondMoment],
) -> Result<Worth, EvidenceError> {
    trial.advance(layer.node)?;
    let (extents, turn) = (&layer.extents, layer.turn());
    let most = extents.price().params / extents.price_of(extents.at(Form::Channel, 1)).params;
    let mut worth = Worth::default();
    for kept in KEPT {
        let size = extents.at(Form::Channel, (kept * most) as usize);
        let whole = Fit { weight: weights.to_vec(), bias: turn.bias.numbers(&model.graph) };
        let Some(like) = model.graph.constant(layer.weight) else { continue };
        let Some((_, fit)) = factorized(extents, like, whole, Some(rows), size, &known.spectra) else { continue };
        // On the samples that are run: others may lose more, and the outputs with them.
        let lost = |((before, after), rows): ((&Mat<f64>, &Mat<f64>), &SecondMoment)| {
            let metric = if fit.bias.is_some() { rows.covariance() } else { rows.second() };
            features::energy(&(before - after), Some(&metric))
        };
        let loss: f64 = weights.iter().zip(&fit.weight).zip(rows).map(lost).sum();
        let Turned { weight, bias } = turn.stored(&fit, &model.graph);
        let weight = weight.map(|weight| (layer.weight, weight));
        let constants: Vec<(ValueId, Tensor)> = weight.into_iter().chain(bias).collect();
        worth.add(known.offer.share(loss), trial.error(&constants)?);
    }
    Ok(worth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_between_trials_and_beyond() {
        let mut worth = Worth::default();
        assert!((worth.of(0.3) - 0.3).abs() < 1e-12);
        worth.add(0.01, 0.1);
        worth.add(0.04, 0.4);
        worth.add(0.04, 0.9);
        worth.add(0.16, 0.2);
        for (share, lost) in [(0.001, 0.01), (0.01, 0.1), (0.02, 0.2), (0.04, 0.4), (0.08, 0.4), (0.32, 0.8)] {
            assert!((worth.of(share) - lost).abs() < 1e-9, "{share}: {}", worth.of(share));
        }
    }
}
