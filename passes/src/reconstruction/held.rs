//! How strongly fitted weights are pulled toward those at hand: as suits samples that they were not fitted to.
//!
//! Where a layer has more columns than the samples have to say, a weak pull fits what is accidental in them. So a part of the
//! samples is held back, the layer is fitted to the others with pulls of several strengths, and the one whose loss on the part held
//! back is least is taken for the fit to all. All outputs of a group share one metric, so some of them tell what suits all, and the
//! search costs a factorization for each pull and little more.

use faer::Mat;

use super::refit::Equations;
use super::{BiasSite, Seen};
use crate::evidence::{CrossMoment, SecondMoment};

/// Strengths beyond the least, as multiples of it.
const STRONGER: [f64; 4] = [1.0, 10.0, 100.0, 1000.0];
/// The most outputs of a group that are asked.
const ASKED: usize = 64;

/// A group: what its weights have to solve for the samples that they are fitted to, and how far they are off on the others.
struct Held {
    at_hand: Mat<f64>,
    equations: Equations,
    loss: Loss,
}

/// The strength, of `least` and multiples of it, at which a layer that is fitted without the samples held back answers them best.
/// `uses` says which columns of a group may hold something. `least` where nothing is held back or nothing can be fitted.
pub(crate) fn held_ridge(
    seen: &Seen,
    weights: &[Mat<f64>],
    uses: impl Fn(usize, usize) -> bool,
    site: BiasSite,
    least: f64,
) -> f64 {
    if seen.held.is_empty() || seen.results.len() != weights.len() || site == BiasSite::Fixed {
        return least;
    }
    let has_bias = matches!(site, BiasSite::Own(_) | BiasSite::Added(_));
    let parts: Vec<Held> = weights
        .iter()
        .zip(&seen.held)
        .enumerate()
        .map(|(group, (weight, (rows, results)))| {
            let columns: Vec<usize> = (0..weight.ncols()).filter(|&column| uses(group, column)).collect();
            let asked: Vec<usize> = (0..weight.nrows()).step_by(weight.nrows().div_ceil(ASKED).max(1)).collect();
            let at_hand = Mat::from_fn(asked.len(), columns.len(), |at, place| weight[(asked[at], columns[place])]);
            let results = results.of_outputs(&asked);
            let others = (seen.rows[group].without(rows), seen.results[group].of_outputs(&asked).without(&results));
            let equations = Equations::of(&others.0, &others.1, &columns, has_bias);
            Held { at_hand, equations, loss: Loss::of(rows, &results, &columns) }
        })
        .collect();
    let lost = |strength: f64| -> f64 {
        let of = |part: &Held| {
            let found = part.equations.solve(&part.at_hand, least * strength);
            found.map_or(f64::INFINITY, |it| part.loss.at(&it.weight, &it.bias))
        };
        parts.iter().map(of).sum()
    };
    let mut best = (f64::INFINITY, 1.0);
    for strength in STRONGER {
        let lost = lost(strength);
        if lost < best.0 {
            best = (lost, strength);
        } else if best.0.is_finite() {
            // From the best pull on, a stronger one only loses more.
            break;
        }
    }
    least * best.1
}

/// `E|y - W x - b|²` over some samples.
#[derive(Debug)]
pub(super) struct Loss {
    /// `E[x xᵀ]`, `E[y xᵀ]`, `E[x]`, `E[y]`, `E|y|²`.
    rows: Mat<f64>,
    cross: Mat<f64>,
    x: Vec<f64>,
    y: Vec<f64>,
    energy: f64,
}

impl Loss {
    /// Over samples with these moments, weights having these columns.
    pub(super) fn of(rows: &SecondMoment, results: &CrossMoment, columns: &[usize]) -> Self {
        let (second, cross, mean) = (rows.second(), results.second(), rows.mean());
        Self {
            rows: Mat::from_fn(columns.len(), columns.len(), |i, j| second[(columns[i], columns[j])]),
            cross: Mat::from_fn(cross.nrows(), columns.len(), |output, j| cross[(output, columns[j])]),
            x: columns.iter().map(|&column| mean[column]).collect(),
            y: results.mean(),
            energy: results.energy(),
        }
    }

    /// What these weights and biases lose.
    pub(super) fn at(&self, weight: &Mat<f64>, bias: &[f64]) -> f64 {
        let product = weight * &self.rows;
        let mut loss = self.energy;
        for (output, &bias) in bias.iter().enumerate() {
            let mut mean = 0.0;
            for (place, x) in self.x.iter().enumerate() {
                loss += weight[(output, place)] * (product[(output, place)] - 2.0 * self.cross[(output, place)]);
                mean += weight[(output, place)] * x;
            }
            loss += bias * (bias + 2.0 * (mean - self.y[output]));
        }
        loss
    }
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::random::SplitMix64;

    use super::*;

    /// Rows of independent noise, and what a weight of ones answers, with some noise of its own.
    fn seen(samples: usize, noise: f32) -> Seen {
        let columns = 40;
        let mut random = SplitMix64::new(7);
        let mut draw = || random.unit() as f32 - 0.5;
        let empty = || (SecondMoment::new(columns), CrossMoment::new(1, columns));
        let ((mut rows, mut results), mut held) = (empty(), empty());
        for sample in 0..samples {
            let x: Vec<f32> = (0..columns).map(|_| draw()).collect();
            let y = [x.iter().sum::<f32>() + noise * draw()];
            rows.add(&x);
            results.add(&y, &x);
            if sample % 4 == 0 {
                held.0.add(&x);
                held.1.add(&y, &x);
            }
        }
        Seen { rows: vec![rows], results: vec![results], held: vec![held] }
    }

    #[test]
    fn few_samples_ask_for_a_strong_pull() {
        let at_hand = [Mat::from_fn(1, 40, |_, column| 1.0 + 0.1 * (column % 2) as f64)];
        let strength = |seen: &Seen| held_ridge(seen, &at_hand, |_, _| true, BiasSite::Nowhere, 1e-3);
        assert_eq!(strength(&seen(4000, 0.0)), 1e-3);
        assert!(strength(&seen(48, 4.0)) > 1e-2);
    }
}
