//! Mean and second moment of the rows that a linear layer multiplies.
//!
//! For a layer `y = W x + b` they are all that its output's error depends on: replacing W by V changes the output by
//! `tr((W - V) E[x xᵀ] (W - V)ᵀ)` in the mean square. Pruning, factorization, rounding and reconstruction all work in that metric.
//! Rows are gathered in single precision and summed in double; of the many windows of a convolution a fixed share of each
//! sample is taken, at places that a seed decides, since neighbours say nearly the same.

use faer::Mat;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use rayon::prelude::*;

/// The second moment of one group's rows, with its mean.
#[derive(Debug, Clone, PartialEq)]
pub struct SecondMoment {
    /// `Σ x xᵀ`, columns by columns, the lower half.
    sum: Mat<f64>,
    /// `Σ x`.
    total: Vec<f64>,
    /// Rows so far.
    count: u64,
}

impl SecondMoment {
    /// Of no rows yet.
    pub fn new(columns: usize) -> Self {
        Self { sum: Mat::zeros(columns, columns), total: vec![0.0; columns], count: 0 }
    }

    /// From its parts: `Σ x xᵀ` row by row, `Σ x`, and how many rows; `None` where their sizes do not fit.
    pub fn from_parts(sum: &[f64], total: Vec<f64>, count: u64) -> Option<Self> {
        let columns = total.len();
        (sum.len() == columns * columns).then(|| Self {
            sum: lower(columns, |row, column| sum[row * columns + column]),
            total,
            count,
        })
    }

    /// `Σ x` and then `Σ x xᵀ` row by row, as [`from_parts`](Self::from_parts) takes them.
    pub fn sums(&self) -> impl Iterator<Item = f64> + '_ {
        let columns = self.columns();
        let entries = (0..columns).flat_map(move |row| (0..columns).map(move |column| self.at(row, column)));
        self.total.iter().copied().chain(entries)
    }

    /// Entries of a row.
    pub fn columns(&self) -> usize {
        self.total.len()
    }

    /// Rows that went in.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// `E[x]`.
    pub fn mean(&self) -> Vec<f64> {
        self.total.iter().map(|total| total / self.count.max(1) as f64).collect()
    }

    /// `E[x xᵀ]`.
    pub fn second(&self) -> Mat<f64> {
        let scale = 1.0 / self.count.max(1) as f64;
        self.whole(|row, column| self.at(row, column) * scale)
    }

    /// `E[x xᵀ] - E[x] E[x]ᵀ`.
    pub fn covariance(&self) -> Mat<f64> {
        let (mean, scale) = (self.mean(), 1.0 / self.count.max(1) as f64);
        self.whole(|row, column| self.at(row, column) * scale - mean[row] * mean[column])
    }

    /// `E[x²]` of each column: the diagonal.
    pub fn mean_squares(&self) -> Vec<f64> {
        (0..self.columns()).map(|column| self.sum[(column, column)] / self.count.max(1) as f64).collect()
    }

    /// That of shorter rows: of each row the first of all columns, the second of all, and so on; all have as many.
    #[must_use]
    pub fn taken_apart(&self, columns: &[Vec<usize>]) -> Self {
        let parts = columns.iter().map(Vec::len).min().unwrap_or(0);
        let over = |of: &dyn Fn(usize) -> f64| (0..parts).map(of).sum::<f64>();
        let sum = lower(columns.len(), |row, column| over(&|part| self.at(columns[row][part], columns[column][part])));
        let total = columns.iter().map(|columns| over(&|part| self.total[columns[part]])).collect();
        Self { sum, total, count: self.count * parts as u64 }
    }

    /// The same without rows that are a part of it.
    #[must_use]
    pub fn without(&self, part: &Self) -> Self {
        let total = self.total.iter().zip(&part.total).map(|(all, part)| all - part).collect();
        Self { sum: &self.sum - &part.sum, total, count: self.count.saturating_sub(part.count) }
    }

    /// Takes in what another, of as many columns, has taken in.
    pub fn merge(&mut self, other: &Self) {
        self.sum += &other.sum;
        self.total.iter_mut().zip(&other.total).for_each(|(total, more)| *total += more);
        self.count += other.count;
    }

    /// An entry of `Σ x xᵀ`.
    fn at(&self, row: usize, column: usize) -> f64 {
        self.sum[(row.max(column), row.min(column))]
    }

    /// A matrix of these entries.
    fn whole(&self, entry: impl Fn(usize, usize) -> f64 + Sync) -> Mat<f64> {
        let mut whole = Mat::zeros(self.columns(), self.columns());
        whole.par_col_iter_mut().enumerate().for_each(|(column, entries)| {
            entries.iter_mut().enumerate().for_each(|(row, into)| *into = entry(row, column));
        });
        whole
    }

    /// Takes in rows, one after the other.
    pub fn add(&mut self, rows: &[f32]) {
        let columns = self.columns();
        let count = rows.len() / columns.max(1);
        if count == 0 {
            return;
        }
        let product = square(rows, count, columns);
        for column in 0..columns {
            let sums = self.sum.col_mut(column).iter_mut().zip(product.col(column).iter()).skip(column);
            sums.for_each(|(sum, more)| *sum += f64::from(*more));
        }
        for row in rows.chunks_exact(columns) {
            self.total.iter_mut().zip(row).for_each(|(total, value)| *total += f64::from(*value));
        }
        self.count += count as u64;
    }
}

/// A second moment of few rows, nearer to what one of many would be: toward equal columns that do not depend on each other, as far as its
/// rows are few for its columns. Directions in which no row lies would otherwise count nothing, though other samples lie there. How far
/// is "oracle approximating shrinkage": Chen, Wiesel, Eldar and Hero, "Shrinkage algorithms for MMSE covariance estimation" (2010),
/// equation 23.
pub(crate) fn shrunk(mut moment: Mat<f64>, rows: u64) -> Mat<f64> {
    let columns = moment.ncols();
    let (p, n) = (columns as f64, rows as f64);
    let trace: f64 = (0..columns).map(|at| moment[(at, at)]).sum();
    let squares = moment.squared_norm_l2();
    let (above, below) =
        ((1.0 - 2.0 / p) * squares + trace * trace, (n + 1.0 - 2.0 / p) * (squares - trace * trace / p));
    let share = if below > above { above / below } else { 1.0 };
    if share.is_finite() && trace.is_finite() {
        moment *= faer::Scale(1.0 - share);
        (0..columns).for_each(|at| moment[(at, at)] += share * trace / p);
    }
    moment
}

/// A matrix of these entries in its lower half.
fn lower(columns: usize, entry: impl Fn(usize, usize) -> f64) -> Mat<f64> {
    Mat::from_fn(columns, columns, |row, column| if row < column { 0.0 } else { entry(row, column) })
}

/// The lower half of `aᵀ a`, as [`gram`].
fn square(a: &[f32], count: usize, columns: usize) -> Mat<f32> {
    let mut product = Mat::zeros(columns, columns);
    let a = faer::MatRef::from_column_major_slice(a, columns, count);
    triangular::matmul(
        product.as_mut(),
        BlockStructure::TriangularLower,
        faer::Accum::Replace,
        a,
        BlockStructure::Rectangular,
        a.transpose(),
        BlockStructure::Rectangular,
        1.0,
        faer::get_global_parallelism(),
    );
    product
}

/// `aᵀ b` for matrices of `count` rows, which stand one after the other. In single precision: the number of rows is that of one batch.
fn gram(a: &[f32], b: &[f32], count: usize, of_a: usize, of_b: usize) -> Mat<f32> {
    let mut product = Mat::zeros(of_a, of_b);
    // Row-major rows of `count` are column-major columns of the transposed matrix.
    let a = faer::MatRef::from_column_major_slice(a, of_a, count);
    let b = faer::MatRef::from_column_major_slice(b, of_b, count);
    faer::linalg::matmul::matmul(
        product.as_mut(),
        faer::Accum::Replace,
        a,
        b.transpose(),
        1.0,
        faer::get_global_parallelism(),
    );
    product
}

/// The moments of a layer: of its rows, group by group, and of its results with them, where those are to be seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// One a group.
    pub groups: Vec<SecondMoment>,
}

/// `Σ y xᵀ`, `Σ y` and `Σ y²` of one group: results of one model against rows of another.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossMoment {
    sum: Mat<f64>,
    total: Vec<f64>,
    /// `Σ y²`, one an output.
    energy: Vec<f64>,
    count: u64,
}

impl CrossMoment {
    /// Of nothing yet.
    pub fn new(outputs: usize, columns: usize) -> Self {
        Self { sum: Mat::zeros(outputs, columns), total: vec![0.0; outputs], energy: vec![0.0; outputs], count: 0 }
    }

    /// Rows that went in.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// `E[y xᵀ]`, outputs by columns.
    pub fn second(&self) -> Mat<f64> {
        let scale = 1.0 / self.count.max(1) as f64;
        Mat::from_fn(self.sum.nrows(), self.sum.ncols(), |row, column| self.sum[(row, column)] * scale)
    }

    /// `E[y xᵀ] - E[y] E[x]ᵀ`, where `E[x]` is that of the same rows.
    pub fn covariance(&self, of_rows: &[f64]) -> Mat<f64> {
        let (mean, scale) = (self.mean(), 1.0 / self.count.max(1) as f64);
        Mat::from_fn(self.sum.nrows(), self.sum.ncols(), |row, column| {
            self.sum[(row, column)] * scale - mean[row] * of_rows[column]
        })
    }

    /// `E[y]`.
    pub fn mean(&self) -> Vec<f64> {
        self.total.iter().map(|total| total / self.count.max(1) as f64).collect()
    }

    /// `E[|y|²]`, over all outputs.
    pub fn energy(&self) -> f64 {
        self.energy.iter().sum::<f64>() / self.count.max(1) as f64
    }

    /// The same without results that are a part of it.
    #[must_use]
    pub fn without(&self, part: &Self) -> Self {
        let less = |all: &[f64], part: &[f64]| all.iter().zip(part).map(|(all, part)| all - part).collect();
        let (total, energy) = (less(&self.total, &part.total), less(&self.energy, &part.energy));
        Self { sum: &self.sum - &part.sum, total, energy, count: self.count.saturating_sub(part.count) }
    }

    /// Of some of the outputs.
    #[must_use]
    pub fn of_outputs(&self, outputs: &[usize]) -> Self {
        let of = |numbers: &[f64]| outputs.iter().map(|&output| numbers[output]).collect();
        let sum = Mat::from_fn(outputs.len(), self.sum.ncols(), |place, column| self.sum[(outputs[place], column)]);
        Self { sum, total: of(&self.total), energy: of(&self.energy), count: self.count }
    }

    /// Takes in what another, of as many outputs and columns, has taken in.
    pub fn merge(&mut self, other: &Self) {
        let more = |all: &mut [f64], other: &[f64]| all.iter_mut().zip(other).for_each(|(all, other)| *all += other);
        self.sum += &other.sum;
        more(&mut self.total, &other.total);
        more(&mut self.energy, &other.energy);
        self.count += other.count;
    }

    /// Takes in results with the rows that belong to them, one after the other.
    pub fn add(&mut self, results: &[f32], rows: &[f32]) {
        let (outputs, columns) = (self.sum.nrows(), self.sum.ncols());
        let count = rows.len() / columns.max(1);
        if count == 0 || results.len() != count * outputs {
            return;
        }
        let product = gram(results, rows, count, outputs, columns);
        for column in 0..columns {
            let product = product.col(column);
            self.sum.col_mut(column).iter_mut().zip(product.iter()).for_each(|(sum, more)| *sum += f64::from(*more));
        }
        for row in results.chunks_exact(outputs) {
            for ((total, energy), &value) in self.total.iter_mut().zip(&mut self.energy).zip(row) {
                *total += f64::from(value);
                *energy += f64::from(value) * f64::from(value);
            }
        }
        self.count += count as u64;
    }
}
