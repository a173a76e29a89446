//! What a layer loses at each rank, and the basis in which it loses least.
//!
//! Of all weights of rank r the one that changes the output least, in the mean square over rows with second moment H, is
//! `U Uᵀ W` with the r leading eigenvectors U of `W H Wᵀ` (the output's own covariance), and what it loses is the sum of the other
//! eigenvalues: principal components of the output. With `H = I` that is the truncated singular value decomposition of W.
//! It takes one symmetric eigenproblem and no inverse, so degenerate samples do no harm.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Side};
use onnxpress_ir::random::SplitMix64;

/// From so many weights on the product of a weight with itself is computed in single precision, which takes half as long.
pub(super) const LARGE: usize = 1 << 22;

/// Columns that are multiplied at a time.
const COLUMNS: usize = 2048;
/// Of a weight that is larger than this along both axes the few leading components that are asked for are looked for by chance.
const VAST: usize = 2048;
/// Directions beyond those that are asked for.
pub(super) const BEYOND: usize = 16;
/// How often directions go through the weight and back, which turns them toward the leading ones.
pub(super) const TURNS: usize = 2;

/// The eigenvalues of one group's output, and their vectors.
#[derive(Debug, Clone)]
pub(super) struct Spectrum {
    /// From the largest to the smallest, none negative.
    pub(super) values: Vec<f64>,
    /// Outputs by as many columns as there are values; where it is turned, columns by as many.
    pub(super) basis: Mat<f64>,
    /// What the weight has beside them.
    pub(super) beyond: f64,
    /// Whether its vectors are those of the weight's columns, not of its outputs.
    pub(super) is_turned: bool,
}

impl Spectrum {
    /// Of a weight, outputs by columns; in the metric of its rows' second moment where that is known. `None` where the numbers
    /// are beyond what can be computed with.
    pub(super) fn of(weight: &Mat<f64>, rows: Option<&Mat<f64>>) -> Option<Self> {
        let (outputs, columns) = (weight.nrows(), weight.ncols());
        if rows.is_none() && outputs > columns {
            // The smaller of the two problems: W V = U S.
            let (values, right) = eigen(weight.transpose() * weight)?;
            let mut basis = weight * &right;
            for (column, value) in values.iter().enumerate() {
                let scale = if *value > values[0] * 1e-20 { value.sqrt().recip() } else { 0.0 };
                basis.col_mut(column).iter_mut().for_each(|entry| *entry *= scale);
            }
            return Some(Self { values, basis, beyond: 0.0, is_turned: false });
        }
        let covariance = match rows {
            Some(rows) => weight * (rows * weight.transpose()),
            None if outputs * columns > LARGE => in_singles(weight),
            None => weight * weight.transpose(),
        };
        let (mut values, basis) = eigen(covariance)?;
        let full = outputs.min(columns);
        values.truncate(full);
        let basis = basis.get(.., ..full).to_owned();
        Some(Self { values, basis, beyond: 0.0, is_turned: false })
    }

    /// The leading components of a vast weight, as many as asked for, from drawn directions that went through it: `W ≈ Q (Qᵀ W)`, and the
    /// components of that. What is lost beside them is `|W|² - |V|²`, whatever was drawn.
    ///
    /// Source: N. Halko, P. Martinsson and J. Tropp, "Finding structure with randomness" (2011), algorithms 4.4 and 5.1. With `k`
    /// directions beyond a rank `r` the loss is at most `1 + r / (k - 1)` times the least there is, in the mean (theorem 10.5), and turns
    /// through the weight bring it nearer.
    pub(super) fn drawn(weight: &Mat<f64>, rank: usize) -> Option<Self> {
        let single = Mat::from_fn(weight.nrows(), weight.ncols(), |row, column| weight[(row, column)] as f32);
        let mut random = SplitMix64::new(0);
        let count = (rank + BEYOND).min(weight.nrows()).min(weight.ncols());
        let start = Mat::from_fn(weight.ncols(), count, |_, _| random.nearly_normal() as f32);
        let mut range = orthogonal(&(&single * start));
        for _ in 0..TURNS {
            let back = orthogonal(&(single.transpose() * &range));
            range = orthogonal(&(&single * back));
        }
        let within = widened(&(range.transpose() * &single));
        let (_, leading) = eigen(&within * within.transpose())?;
        // Directions of single precision are not quite at right angles.
        let basis = (widened(&range) * leading.get(.., ..rank.min(count))).qr().compute_thin_Q();
        let kept = basis.transpose() * weight;
        let values: Vec<f64> = (0..kept.nrows()).map(|row| kept.row(row).squared_norm_l2()).collect();
        let beyond = (weight.squared_norm_l2() - values.iter().sum::<f64>()).max(0.0);
        Some(Self { values, basis, beyond, is_turned: false })
    }

    /// All that the weight has.
    pub(super) fn energy(&self) -> f64 {
        self.values.iter().sum::<f64>() + self.beyond
    }

    /// What is lost at each rank, from zero to the full one, or the last that is known.
    pub(super) fn losses(&self) -> Vec<f64> {
        let mut losses = vec![self.beyond; self.values.len() + 1];
        for rank in (0..self.values.len()).rev() {
            losses[rank] = losses[rank + 1] + self.values[rank];
        }
        losses
    }

    /// The factors of a weight at a rank: outputs by rank, and rank by columns.
    pub(super) fn factors(&self, weight: &Mat<f64>, rank: usize) -> (Mat<f64>, Mat<f64>) {
        let own = self.basis.get(.., ..rank).to_owned();
        if self.is_turned {
            return (weight * &own, own.transpose().to_owned());
        }
        let other = own.transpose() * weight;
        (own, other)
    }
}

/// Whether so few components of a weight whose shorter side is `least` are asked for that chance finds them sooner than they are computed.
pub(super) fn is_vast(least: usize, rank: usize) -> bool {
    least > VAST && 8 * (rank + BEYOND) < least
}

pub(super) fn orthogonal(matrix: &Mat<f32>) -> Mat<f32> {
    matrix.qr().compute_thin_Q()
}

pub(super) fn widened(matrix: &Mat<f32>) -> Mat<f64> {
    Mat::from_fn(matrix.nrows(), matrix.ncols(), |row, column| f64::from(matrix[(row, column)]))
}

/// The factors of a weight at its full rank, of which one is the weight and the other the identity: nothing is rounded.
pub(super) fn whole(weight: &Mat<f64>) -> (Mat<f64>, Mat<f64>) {
    let identity = |size| Mat::identity(size, size);
    if weight.nrows() <= weight.ncols() {
        (identity(weight.nrows()), weight.clone())
    } else {
        (weight.clone(), identity(weight.ncols()))
    }
}

/// `W Wᵀ`, multiplied in single precision. Its eigenvectors are as orthogonal as any, so the full rank is as exact as otherwise; which
/// of those go whose values are below a millionth of the largest is of no weight.
fn in_singles(weight: &Mat<f64>) -> Mat<f64> {
    let mut product = Mat::<f32>::zeros(weight.nrows(), weight.nrows());
    // Some columns at a time: a copy of all would be half of what the weight takes.
    for first in (0..weight.ncols()).step_by(COLUMNS) {
        let count = COLUMNS.min(weight.ncols() - first);
        let some = Mat::from_fn(weight.nrows(), count, |row, column| weight[(row, first + column)] as f32);
        let threads = faer::get_global_parallelism();
        matmul(product.as_mut(), Accum::Add, some.as_ref(), some.transpose(), 1.0, threads);
    }
    widened(&product)
}

/// Eigenvalues, the largest first, and their vectors. The matrix, whose lower half is looked at, goes as soon as it can.
pub(super) fn eigen<T: faer::traits::RealField + Into<f64>>(matrix: Mat<T>) -> Option<(Vec<f64>, Mat<T>)> {
    let size = matrix.nrows();
    let is_finite = |column: usize| (column..size).all(|row| matrix[(row, column)].clone().into().is_finite());
    if !(0..size).all(is_finite) {
        return None;
    }
    let found = matrix.self_adjoint_eigen(Side::Lower).ok()?;
    drop(matrix);
    // They come in ascending order.
    let values = found.S().column_vector().iter().rev().map(|value| value.clone().into().max(0.0)).collect();
    Some((values, found.U().reverse_cols().to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn numbers(rows: usize, columns: usize) -> Mat<f64> {
        Mat::from_fn(rows, columns, |row, column| (((row * 13 + column * 7 + row * column) % 23) as f64 - 11.0) / 5.0)
    }

    fn norm(matrix: &Mat<f64>) -> f64 {
        (0..matrix.ncols()).map(|column| matrix.col(column).iter().map(|value| value * value).sum::<f64>()).sum()
    }

    #[test]
    fn what_is_lost_is_as_foretold() {
        for (rows, columns) in [(5, 8), (8, 5), (6, 6)] {
            let weight = numbers(rows, columns);
            let spectrum = Spectrum::of(&weight, None).unwrap();
            for (rank, loss) in spectrum.losses().into_iter().enumerate() {
                let (u, v) = spectrum.factors(&weight, rank);
                let lost = norm(&(&weight - &u * &v));
                assert!((lost - loss).abs() < 1e-8 * norm(&weight), "{rows}x{columns} at {rank}: {lost} {loss}");
            }
        }
    }

    #[test]
    fn the_metric_of_the_rows_counts() {
        let (weight, samples) = (numbers(4, 6), numbers(6, 40));
        let rows = &samples * samples.transpose();
        let spectrum = Spectrum::of(&weight, Some(&rows)).unwrap();
        for (rank, loss) in spectrum.losses().into_iter().enumerate() {
            let (u, v) = spectrum.factors(&weight, rank);
            let lost = norm(&((&weight - &u * &v) * &samples));
            assert!((lost - loss).abs() < 1e-8 * norm(&(&weight * &samples)), "{rank}: {lost} {loss}");
            let (u, v) = Spectrum::of(&weight, None).unwrap().factors(&weight, rank);
            assert!(lost <= norm(&((&weight - &u * &v) * &samples)) + 1e-9, "no worse than without samples");
        }
    }

    #[test]
    fn what_chance_finds_loses_little_more_than_the_least() {
        let mut random = SplitMix64::new(3);
        let mut normal = |rows, columns| Mat::from_fn(rows, columns, |_, _| random.nearly_normal());
        // Singular values that fall as those of weights do, slowly in the end.
        let (left, right) = (normal(90, 70), normal(70, 120));
        let scaled = Mat::from_fn(90, 70, |row, column| left[(row, column)] / (1.0 + column as f64));
        let weight = scaled * right;
        let whole = norm(&weight);
        let losses = Spectrum::of(&weight, None).unwrap().losses();
        for rank in [1, 5, 20, 40] {
            let spectrum = Spectrum::drawn(&weight, rank).unwrap();
            let (u, v) = spectrum.factors(&weight, rank);
            let told = spectrum.losses()[rank];
            let lost = norm(&(&weight - &u * &v));
            assert!((lost - told).abs() < 1e-6 * whole, "{rank}: {lost}, told {told}");
            let bound = 1.0 + rank as f64 / (BEYOND - 1) as f64;
            assert!(lost <= losses[rank] * bound && lost >= losses[rank] * 0.999, "{rank}: {lost} {}", losses[rank]);
            assert!(lost <= 1.02 * losses[rank], "turns bring it near: {rank}: {lost} {}", losses[rank]);
            assert_eq!((u.ncols(), v.nrows()), (rank, rank));
        }
        assert!(!is_vast(70, 5));
    }

    #[test]
    fn what_is_no_number_has_no_spectrum() {
        let mut weight = numbers(3, 3);
        weight[(1, 1)] = f64::NAN;
        assert!(Spectrum::of(&weight, None).is_none());
    }
}
