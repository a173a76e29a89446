//! How strongly fitted weights are pulled toward those at hand: as suits samples that they were not fitted to.
//!
//! Where a layer has more columns than the samples have to say, a weak pull fits what is accidental in them. So a part of the
//! samples is held back, the layer is fitted to the others with pulls of several strengths, and the one whose loss on the part held
//! back is least is taken for the fit to all.

use faer::Mat;

use super::{BiasSite, Seen, refit};
use crate::evidence::{CrossMoment, SecondMoment};

/// Strengths beyond the least, as multiples of it.
const STRONGER: [f64; 4] = [1.0, 10.0, 100.0, 1000.0];

/// A group: columns and weights that are fitted, the samples that they are fitted to, and those that are held back.
struct Held<'a> {
    columns: Vec<usize>,
    at_hand: Mat<f64>,
    others: (SecondMoment, CrossMoment),
    rows: &'a SecondMoment,
    results: &'a CrossMoment,
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
    let parts: Vec<Held<'_>> = weights
        .iter()
        .zip(&seen.held)
        .enumerate()
        .map(|(group, (weight, (rows, results)))| {
            let columns: Vec<usize> = (0..weight.ncols()).filter(|&column| uses(group, column)).collect();
            let at_hand = Mat::from_fn(weight.nrows(), columns.len(), |output, place| weight[(output, columns[place])]);
            let others = (seen.rows[group].without(rows), seen.results[group].without(results));
            Held { columns, at_hand, others, rows, results }
        })
        .collect();
    let loss = |strength: f64| -> f64 {
        let of = |part: &Held<'_>| {
            let (rows, results) = &part.others;
            let found = refit(rows, results, &part.columns, &part.at_hand, has_bias, least * strength);
            found.map_or(f64::INFINITY, |it| off(part.rows, part.results, &part.columns, &it.weight, &it.bias))
        };
        parts.iter().map(of).sum()
    };
    let mut best = (f64::INFINITY, 1.0);
    for strength in STRONGER {
        let lost = loss(strength);
        if lost < best.0 {
            best = (lost, strength);
        } else if best.0.is_finite() {
            // From the best pull on, a stronger one only loses more.
            break;
        }
    }
    least * best.1
}

/// `E|y - W x - b|²` over these samples.
pub(super) fn off(
    rows: &SecondMoment,
    results: &CrossMoment,
    columns: &[usize],
    weight: &Mat<f64>,
    bias: &[f64],
) -> f64 {
    let (second, cross, mean_x, mean_y) = (rows.second(), results.second(), rows.mean(), results.mean());
    let h = Mat::from_fn(columns.len(), columns.len(), |i, j| second[(columns[i], columns[j])]);
    let product = weight * &h;
    let mut loss = results.energy();
    for (output, &bias) in bias.iter().enumerate() {
        let mut mean = 0.0;
        for (place, &column) in columns.iter().enumerate() {
            loss += weight[(output, place)] * (product[(output, place)] - 2.0 * cross[(output, column)]);
            mean += weight[(output, place)] * mean_x[column];
        }
        loss += bias * (bias + 2.0 * (mean - mean_y[output]));
    }
    loss
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
