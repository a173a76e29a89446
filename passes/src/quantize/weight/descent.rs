//! Codes chosen again, each by what all others of its output leave.
//!
//! Rounding changes a layer's output by `tr(E H Eᵀ)`. With all codes of an output but one as they are, that is a parabola in the one:
//! the number next to its lowest point is the best. Going over all columns until nothing changes only ever lowers the loss. Behind
//! [`super::Feedback`], whose columns make up for earlier ones and never for later ones, it is what is left to be had at these codes.
//!
//! Source: Behdin et al., "QuantEase: optimization-based quantization for language models" (2023).

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat};
use rayon::prelude::*;

/// The most times that all columns are gone over.
const SWEEPS: usize = 8;
/// What a code must at least gain, of what it loses: less is rounding.
const GAIN: f32 = 1e-4;

/// The metric that codes are chosen in.
#[derive(Debug, Clone)]
pub(crate) struct Descent {
    metric: Mat<f32>,
}

impl Descent {
    /// For rows of a second moment; `damping` is the share of the mean of its diagonal that is added to all of it. `None` where
    /// the moment is beyond computing with.
    pub(crate) fn of(second: &Mat<f64>, damping: f64) -> Option<Self> {
        let columns = second.ncols();
        let trace: f64 = (0..columns).map(|column| second[(column, column)]).sum();
        let pull = (damping * trace / columns.max(1) as f64).max(1e-30);
        // By the largest, so that none leaves the numbers that singles tell apart.
        let largest = (0..columns).map(|column| second[(column, column)] + pull).fold(0.0, f64::max);
        if !(largest.is_finite() && largest > 0.0) {
            return None;
        }
        let at = |i: usize, j: usize| ((second[(i, j)] + if i == j { pull } else { 0.0 }) / largest) as f32;
        let metric = Mat::from_fn(columns, columns, at);
        let finite = (0..columns).all(|j| (0..columns).all(|i| metric[(i, j)].is_finite()));
        finite.then_some(Self { metric })
    }

    /// `difference H`, outputs by columns.
    pub(crate) fn weighed(&self, difference: &Mat<f32>) -> Mat<f32> {
        let mut product = Mat::<f32>::zeros(difference.nrows(), difference.ncols());
        matmul(product.as_mut(), Accum::Replace, difference, &self.metric, 1.0, faer::get_global_parallelism());
        product
    }

    /// `tr(E H Eᵀ)`, of the metric's own unit.
    pub(crate) fn lost(&self, difference: &Mat<f32>) -> f64 {
        let product = self.weighed(difference);
        (0..difference.ncols())
            .map(|k| {
                let each = |o: usize| f64::from(product[(o, k)]) * f64::from(difference[(o, k)]);
                (0..difference.nrows()).map(each).sum::<f64>()
            })
            .sum()
    }

    /// The diagonal.
    pub(crate) fn diagonal(&self, column: usize) -> f32 {
        self.metric[(column, column)]
    }

    /// `rounded`, outputs by columns, each number chosen again as comes closest to what `weight` answers. `round` is given output,
    /// column and number.
    pub(crate) fn improved(
        &self,
        weight: &Mat<f32>,
        rounded: &Mat<f32>,
        round: &(impl Fn(usize, usize, f32) -> f32 + Sync),
    ) -> Mat<f32> {
        let (outputs, columns) = (rounded.nrows(), rounded.ncols());
        let slopes = self.weighed(&(rounded - weight));
        let one = |output: usize| {
            let mut own: Vec<f32> = (0..columns).map(|column| rounded[(output, column)]).collect();
            let mut slope: Vec<f32> = (0..columns).map(|column| slopes[(output, column)]).collect();
            for _ in 0..SWEEPS {
                let mut changed = false;
                for column in 0..columns {
                    let steepness = self.metric[(column, column)];
                    let off = slope[column] / steepness;
                    let better = round(output, column, own[column] - off);
                    let step = better - own[column];
                    // Of the parabola: at `own` it is `off²` above its lowest point, at `better` `(off + step)²`.
                    if step == 0.0 || (off + step).powi(2) >= off * off * (1.0 - GAIN) {
                        continue;
                    }
                    own[column] = better;
                    let metric = self.metric.col_as_slice(column);
                    slope.iter_mut().zip(metric).for_each(|(slope, metric)| *slope += step * metric);
                    changed = true;
                }
                if !changed {
                    break;
                }
            }
            own
        };
        let rows: Vec<Vec<f32>> = (0..outputs).into_par_iter().map(one).collect();
        Mat::from_fn(outputs, columns, |output, column| rows[output][column])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Feedback;
    use super::*;

    #[test]
    fn nothing_is_lost_and_much_is_won() {
        let number = |a: usize, b: usize| ((a * 7919 + b * 104_729 + 1) % 1009) as f64 / 504.5 - 1.0;
        let rows = Mat::from_fn(300, 60, |row, column| number(row, 0) + 0.3 * number(row, column));
        let second = rows.transpose() * &rows;
        let weight = Mat::from_fn(5, 60, |output, column| number(output + 50, column + 3));
        let step = |value: f32| (value / 0.25).round_ties_even() * 0.25;
        let descent = Descent::of(&second, 0.01).unwrap();
        let singles = Mat::from_fn(5, 60, |o, k| weight[(o, k)] as f32);
        let fed = Feedback::of(&second, 0.01).unwrap().round(&weight, &|_, _, value| step(value));
        let fed = Mat::from_fn(5, 60, |o, k| fed[(o, k)] as f32);
        let nearest = Mat::from_fn(5, 60, |o, k| step(singles[(o, k)]));
        let lost = |rounded: &Mat<f32>| descent.lost(&(rounded - &singles));
        for (start, most) in [(&fed, 1.0), (&nearest, 0.8)] {
            let better = descent.improved(&singles, start, &|_, _, value| step(value));
            assert!((0..60).all(|k| (0..5).all(|o| step(better[(o, k)]) == better[(o, k)])));
            assert!(lost(&better) <= most * lost(start), "{} of {}", lost(&better), lost(start));
            let again = descent.improved(&singles, &better, &|_, _, value| step(value));
            assert!(lost(&again) <= lost(&better));
        }
    }

    #[test]
    fn what_is_beyond_computing_with() {
        assert!(Descent::of(&Mat::from_fn(2, 2, |_, _| f64::NAN), 0.01).is_none());
        assert!(Descent::of(&Mat::from_fn(2, 2, |_, _| f64::INFINITY), 0.01).is_none());
    }
}
