//! Codes chosen one column after the other, each making up for what those before it lost.
//!
//! Rounding changes a layer's output by `tr(E H Eᵀ)`, E being the error of the weight and H the second moment of the rows that it
//! multiplies. With `H = R Rᵀ`, R an upper triangle, that is the energy of `E R`, column k of which is
//! `E_k R_kk + Σ_{j<k} E_j R_jk`: what columns before k lost is taken off column k before it is rounded. This is the method of Frantar
//! et al., "GPTQ: accurate post-training quantization for generative pre-trained transformers" (2022), in the form of Chee et al.,
//! "QuIP: 2-bit quantization of large language models with guarantees" (2023), which show that the two are the same; it takes one
//! Cholesky factor and no inverse. Columns of large rows come first, since those behind them have more to make up with.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Side};
use rayon::prelude::*;

/// Columns between two products of matrices: what is carried over within a block is summed column by column.
const BLOCK: usize = 128;
/// Outputs that a thread has at a time.
const CHUNK: usize = 64;

/// How columns of a weight make up for each other.
#[derive(Debug, Clone)]
pub(crate) struct Feedback {
    /// Columns as they are taken.
    order: Vec<usize>,
    /// `R_jk / R_kk` above the diagonal, rows and columns in that order.
    shares: Mat<f32>,
}

impl Feedback {
    /// For rows of a second moment; `damping` is the share of the mean of its diagonal that is added to all of it. `None` where
    /// the moment is beyond computing with.
    pub(crate) fn of(second: &Mat<f64>, damping: f64) -> Option<Self> {
        let columns = second.ncols();
        let diagonal = |column: usize| second[(column, column)];
        let trace: f64 = (0..columns).map(diagonal).sum();
        let pull = (damping * trace / columns.max(1) as f64).max(1e-30);
        let mut order: Vec<usize> = (0..columns).collect();
        order.sort_by(|&a, &b| diagonal(b).total_cmp(&diagonal(a)).then(a.cmp(&b)));
        // The factor of the matrix turned around, turned around, is an upper triangle.
        let last = columns.saturating_sub(1);
        let turned = Mat::from_fn(columns, columns, |i, j| {
            second[(order[last - i], order[last - j])] + if i == j { pull } else { 0.0 }
        });
        let factor = turned.llt(Side::Lower).ok()?;
        let lower = factor.L();
        let shares = Mat::from_fn(columns, columns, |j, k| match j < k {
            true => (lower[(last - j, last - k)] / lower[(last - k, last - k)]) as f32,
            false => 0.0,
        });
        let finite = (0..columns).all(|k| (0..k).all(|j| shares[(j, k)].is_finite()));
        finite.then_some(Self { order, shares })
    }

    /// A root of a moment: errors times it have the energy that they have in the output.
    pub(crate) fn root(second: &Mat<f64>) -> Option<Mat<f64>> {
        let columns = second.ncols();
        let trace: f64 = (0..columns).map(|column| second[(column, column)]).sum();
        let pull = (1e-6 * trace / columns.max(1) as f64).max(1e-30);
        let lifted = Mat::from_fn(columns, columns, |i, j| second[(i, j)] + if i == j { pull } else { 0.0 });
        Some(lifted.llt(Side::Lower).ok()?.L().to_owned())
    }

    /// The weight, outputs by columns, rounded by `round`, which is given output, column and number.
    pub(crate) fn round(&self, weight: &Mat<f64>, round: &(impl Fn(usize, usize, f32) -> f32 + Sync)) -> Mat<f64> {
        let (outputs, columns) = (weight.nrows(), weight.ncols().min(self.order.len()));
        let weight = Mat::from_fn(outputs, columns, |output, place| weight[(output, self.order[place])] as f32);
        let mut errors = Mat::<f32>::zeros(outputs, columns);
        for start in (0..columns).step_by(BLOCK) {
            let width = BLOCK.min(columns - start);
            let mut carried = Mat::<f32>::zeros(outputs, width);
            let (known, shares) = (errors.subcols(0, start), self.shares.submatrix(0, start, start, width));
            matmul(carried.as_mut(), Accum::Replace, known, shares, 1.0, faer::get_global_parallelism());
            let parts: Vec<Vec<f32>> = (0..outputs.div_ceil(CHUNK))
                .into_par_iter()
                .map(|chunk| {
                    let from = chunk * CHUNK;
                    let count = CHUNK.min(outputs - from);
                    // Errors of the block, column after column.
                    let mut own = vec![0f32; count * width];
                    let mut target = vec![0f32; count];
                    for column in 0..width {
                        for (at, target) in target.iter_mut().enumerate() {
                            *target = weight[(from + at, start + column)] - carried[(from + at, column)];
                        }
                        let (before, rest) = own.split_at_mut(column * count);
                        for (earlier, errors) in before.chunks_exact(count).enumerate() {
                            let share = self.shares[(start + earlier, start + column)];
                            target.iter_mut().zip(errors).for_each(|(target, error)| *target -= error * share);
                        }
                        for (at, (error, target)) in rest.iter_mut().zip(&target).enumerate() {
                            let rounded = round(from + at, self.order[start + column], *target);
                            *error = rounded - weight[(from + at, start + column)];
                        }
                    }
                    own
                })
                .collect();
            for (chunk, own) in parts.iter().enumerate() {
                let count = own.len() / width;
                for (column, own) in own.chunks_exact(count).enumerate() {
                    own.iter()
                        .enumerate()
                        .for_each(|(at, &error)| errors[(chunk * CHUNK + at, start + column)] = error);
                }
            }
        }
        let mut rounded = Mat::zeros(outputs, columns);
        for (place, &column) in self.order.iter().enumerate().take(columns) {
            for output in 0..outputs {
                rounded[(output, column)] = f64::from(weight[(output, place)] + errors[(output, place)]);
            }
        }
        rounded
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// `tr((a - b) H (a - b)ᵀ)`: what a layer's output loses in the mean square.
    fn lost(a: &Mat<f64>, b: &Mat<f64>, second: &Mat<f64>) -> f64 {
        let difference = a - b;
        let product = &difference * second;
        (0..a.ncols()).map(|k| (0..a.nrows()).map(|o| product[(o, k)] * difference[(o, k)]).sum::<f64>()).sum()
    }

    /// Rows that depend on each other, and a weight.
    fn example(columns: usize) -> (Mat<f64>, Mat<f64>) {
        let number = |a: usize, b: usize| ((a * 7919 + b * 104_729 + 1) % 1009) as f64 / 504.5 - 1.0;
        let rows = Mat::from_fn(3 * columns, columns, |row, column| {
            number(row, 0) + 0.3 * number(row, column) * (1.0 + column as f64 / 10.0)
        });
        let second = rows.transpose() * &rows;
        (second, Mat::from_fn(5, columns, |output, column| number(output + 50, column + 3)))
    }

    #[test]
    fn later_columns_make_up_for_earlier_ones() {
        for columns in [1, 7, 200] {
            let (second, weight) = example(columns);
            let step = |value: f32| (value / 0.25).round_ties_even() * 0.25;
            let fed = Feedback::of(&second, 0.01).unwrap().round(&weight, &|_, _, value| step(value));
            let nearest = Mat::from_fn(5, columns, |o, k| f64::from(step(weight[(o, k)] as f32)));
            let (ours, plain) = (lost(&fed, &weight, &second), lost(&nearest, &weight, &second));
            assert!(ours <= plain * if columns == 200 { 0.5 } else { 1.0 + 1e-6 }, "{columns}: {ours} of {plain}");
            let stepped = |value: f64| ((value / 0.25).round() * 0.25 - value).abs() < 1e-6;
            assert!((0..columns).all(|k| (0..5).all(|o| stepped(fed[(o, k)]))));
        }
    }

    #[test]
    fn what_does_not_depend_on_each_other_is_rounded_alone() {
        let weight = Mat::from_fn(1, 4, |_, column| 0.3 + column as f64);
        let fed = Feedback::of(&Mat::identity(4, 4), 0.01).unwrap().round(&weight, &|_, _, value| value.round());
        assert_eq!((0..4).map(|k| fed[(0, k)]).collect::<Vec<_>>(), [0.0, 1.0, 2.0, 3.0]);
        assert!(Feedback::of(&Mat::from_fn(2, 2, |_, _| f64::NAN), 0.01).is_none());
        let nothing = Feedback::of(&Mat::zeros(2, 2), 0.01).unwrap();
        assert_eq!(nothing.round(&Mat::from_fn(1, 2, |_, _| 0.6), &|_, _, value| value.round())[(0, 0)], 1.0);
    }
}
