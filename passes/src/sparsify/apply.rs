//! Masks and what they make of the weights, layer by layer.

use std::cell::Cell;
use std::collections::BTreeMap;

use faer::Mat;
use onnxpress_ir::{Model, Tensor, ValueId};

use super::layers::{Layer, Visible};
use super::options::Criterion;
use super::score::{Scoring, metric};
use super::structure::Structure;
use super::{obs, repair, smallest};
use crate::evidence::{EvidenceError, EvidenceSource, SecondMoment, in_parts};
use crate::quantize::tensor;
use crate::reconstruction::{Fit, Seen, Turn, held_ridge, in_turn};

/// How weights are chosen, and what becomes of the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) scoring: Scoring,
    pub(super) structure: Structure,
    /// In how many steps.
    pub(super) steps: usize,
}

/// New tensors by the place of the layer, and new biases.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) weights: BTreeMap<usize, Tensor>,
    pub(super) biases: Vec<(ValueId, Tensor)>,
}

impl Way {
    /// Masks a weight, whose other elements stay.
    fn masked(&self, model: &Model, layer: &Layer, share: f64, moments: Option<&[SecondMoment]>) -> Option<Tensor> {
        let (tensor, _) = tensor(model, &layer.weight)?;
        if self.scoring.criterion == Criterion::Magnitude && self.structure == Structure::Single {
            return smallest::removed(tensor, share);
        }
        let mut flat = layer.flat(tensor)?;
        let scores = self.scoring.scores(layer, &flat, moments)?;
        // Without samples all there is to go by are magnitudes, which one comparison is made of.
        let among = if moments.is_some() { self.scoring.criterion.among() } else { super::structure::Among::All };
        let gone = self.structure.choose(&scores, layer.matrices.columns(), layer.run, share, among);
        flat.iter_mut().zip(gone).filter(|(_, gone)| *gone).for_each(|(weight, _)| *weight = 0.0);
        layer.unflattened(&flat, tensor)
    }

    /// What becomes of layers whose shares are given, weights that stay being what they were.
    ///
    /// # Errors
    /// Where the samples do not suit the model, or it cannot be run.
    pub(super) fn mask(
        &self,
        model: &Model,
        layers: &[(&Layer, f64)],
        source: Option<&dyn EvidenceSource>,
    ) -> Result<Made, EvidenceError> {
        let mut made = Made::default();
        let mut visible = Vec::new();
        for (place, (layer, share)) in layers.iter().enumerate() {
            match layer.visible.as_ref().ok().filter(|_| source.is_some()) {
                Some(seen) => visible.push((place, seen)),
                None => made.weights.extend(self.masked(model, layer, *share, None).map(|tensor| (place, tensor))),
            }
        }
        if let Some(source) = source {
            let wanted: Vec<_> = visible.iter().map(|(_, seen)| (seen.node, &seen.layer)).collect();
            in_parts(model, &wanted, source, &mut |at, moments| {
                let place = visible[at].0;
                let (layer, share) = layers[place];
                let masked = self.masked(model, layer, share, Some(&moments.groups));
                made.weights.extend(masked.map(|tensor| (place, tensor)));
            })?;
        }
        Ok(made)
    }

    /// What becomes of layers that are fitted one after the other to what the original answers.
    ///
    /// # Errors
    /// Where the samples do not suit the model, or it cannot be run.
    pub(super) fn rebuild(
        &self,
        model: &Model,
        layers: &[(&Layer, f64)],
        source: &dyn EvidenceSource,
    ) -> Result<Made, EvidenceError> {
        let mut made = Made::default();
        let mut visible: Vec<(usize, &Layer, &Visible, f64)> = Vec::new();
        for (place, (layer, share)) in layers.iter().enumerate() {
            match &layer.visible {
                Ok(seen) => visible.push((place, layer, seen, *share)),
                Err(_) => made.weights.extend(self.masked(model, layer, *share, None).map(|tensor| (place, tensor))),
            }
        }
        let turns: Vec<Turn<'_>> = visible
            .iter()
            .map(|(_, layer, seen, _)| Turn {
                node: seen.node,
                layer: &seen.layer,
                weight: layer.weight.site.constant.port(0),
                matrices: &layer.matrices,
                bias: seen.bias,
            })
            .collect();
        // What goes is weighed, and made up for, in the metric that the layer was fitted in: its pull included.
        let strength = Cell::new(self.scoring.ridge);
        let pull = |seen: &Seen, weights: &[Mat<f64>], site| {
            strength.set(held_ridge(seen, weights, |_, _| true, site, self.scoring.ridge));
            strength.get()
        };
        let results = in_turn(model, &[], &turns, &pull, source, &mut |at, seen, fit| {
            let (_, layer, visible, share) = visible[at];
            self.sparse(layer, visible, seen, fit, (share, strength.get()))
        })?;
        for ((place, ..), result) in visible.iter().zip(results) {
            made.weights.extend(result.weight.map(|tensor| (*place, tensor)));
            made.biases.extend(result.bias);
        }
        Ok(made)
    }

    /// Removes a share of the weights of a layer that was fitted with a pull of some strength, the others making up for them.
    fn sparse(
        &self,
        layer: &Layer,
        visible: &Visible,
        seen: &Seen,
        fit: Fit,
        (share, strength): (f64, f64),
    ) -> Option<Fit> {
        let (mut weights, mut bias) = (Vec::new(), fit.bias);
        let (order, columns) = (layer.order(), layer.matrices.columns());
        for (group, fitted) in fit.weight.iter().enumerate() {
            let moment = &seen.rows[group];
            let metric = metric(layer, moment, visible.bias, strength);
            let target: Vec<f64> = (0..fitted.nrows())
                .flat_map(|output| order.iter().map(move |&column| fitted[(output, column)]))
                .collect();
            let root = obs::root_of_inverse(&metric)?;
            let (mut flat, mut gone) = (target.clone(), vec![false; target.len()]);
            for step in 1..=self.steps {
                // Zhu and Gupta 2017: many at first, while there are others to make up for them.
                let left = 1.0 - step as f64 / self.steps as f64;
                obs::remove(&mut flat, &mut gone, &root, self.structure, layer.run, share * (1.0 - left.powi(3)));
                repair::repair(&mut flat, &gone, &target, &metric);
            }
            let mut whole = Mat::zeros(fitted.nrows(), columns);
            for (at, weight) in flat.into_iter().enumerate() {
                whole[(at / columns, order[at % columns])] = weight;
            }
            if let Some(bias) = &mut bias {
                let own = &mut bias[group * fitted.nrows()..(group + 1) * fitted.nrows()];
                Fit::keep_means(own, fitted, &whole, &moment.mean());
            }
            weights.push(whole);
        }
        Some(Fit { weight: weights, bias })
    }
}
