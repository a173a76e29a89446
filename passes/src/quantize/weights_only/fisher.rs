//! How much the numbers of weights matter to the model's answers, as gradients on samples say.
//!
//! Rounding a weight by `Δ` changes the answers, to a first approximation, by `½ Δᵀ F Δ`, where `F` is Fisher's information of what the
//! model answers. Its diagonal is the mean of squares of gradients: what a weight's rounding costs is the sum of `F Δ²` then, of all layers
//! in the same unit, whatever comes behind them (L. Theis et al., "Faster gaze prediction with dense networks and Fisher pruning", 2018).

use std::collections::BTreeMap;

use onnxpress_ir::{Model, NodeId};

use crate::differentiate::on_samples;
use crate::evidence::EvidenceSource;
use crate::pass::PassError;

/// Squares of gradients, of each constant that has some.
pub(super) type Squares = BTreeMap<NodeId, Vec<f64>>;

/// Sums up squares of gradients of these constants over the samples.
///
/// # Errors
/// Where the model cannot be run, or nothing in it has gradients.
pub(super) fn squares(model: &Model, wanted: &[NodeId], source: &dyn EvidenceSource) -> Result<Squares, PassError> {
    let mut found = Squares::new();
    on_samples(model, source, &mut |step, gradients| {
        for (parameter, gradients) in step.parameters.iter().zip(gradients) {
            if wanted.contains(&parameter.constant) {
                let sums = found.entry(parameter.constant).or_insert_with(|| vec![0.0; gradients.len()]);
                sums.iter_mut().zip(gradients).for_each(|(sum, gradient)| *sum += f64::from(*gradient).powi(2));
            }
        }
    })?;
    Ok(found)
}

/// What a difference costs.
pub(super) fn cost(squares: &[f64], difference: &[f64]) -> f64 {
    squares.iter().zip(difference).map(|(square, difference)| square * difference * difference).sum()
}
