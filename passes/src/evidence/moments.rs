//! Mean and second moment of the rows that a linear layer multiplies.
//!
//! For a layer `y = W x + b` they are all that its output's error depends on: replacing W by V changes the output by
//! `tr((W - V) E[x xᵀ] (W - V)ᵀ)` in the mean square. Pruning, factorization, rounding and reconstruction all work in that metric.
//! Rows are gathered in single precision and summed in double; of the many windows of a convolution a fixed share of each
//! sample is taken, at places that a seed decides, since neighbours say nearly the same.

use faer::Mat;

/// The second moment of one group's rows, with its mean.
#[derive(Debug, Clone, PartialEq)]
pub struct SecondMoment {
    /// `Σ x xᵀ`, columns by columns, both halves.
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
            sum: Mat::from_fn(columns, columns, |row, column| sum[row * columns + column]),
            total,
            count,
        })
    }

    /// `Σ x` and then `Σ x xᵀ` row by row, as [`from_parts`](Self::from_parts) takes them.
    pub fn sums(&self) -> impl Iterator<Item = f64> + '_ {
        let columns = self.columns();
        let entries = (0..columns).flat_map(move |row| (0..columns).map(move |column| self.sum[(row, column)]));
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
        Mat::from_fn(self.columns(), self.columns(), |row, column| self.sum[(row, column)] * scale)
    }

    /// `E[x xᵀ] - E[x] E[x]ᵀ`.
    pub fn covariance(&self) -> Mat<f64> {
        let (mean, scale) = (self.mean(), 1.0 / self.count.max(1) as f64);
        Mat::from_fn(self.columns(), self.columns(), |row, column| {
            self.sum[(row, column)] * scale - mean[row] * mean[column]
        })
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
        let sum = Mat::from_fn(columns.len(), columns.len(), |row, column| {
            over(&|part| self.sum[(columns[row][part], columns[column][part])])
        });
        let total = columns.iter().map(|columns| over(&|part| self.total[columns[part]])).collect();
        Self { sum, total, count: self.count * parts as u64 }
    }

    /// The same without rows that are a part of it.
    #[must_use]
    pub fn without(&self, part: &Self) -> Self {
        let total = self.total.iter().zip(&part.total).map(|(all, part)| all - part).collect();
        Self { sum: &self.sum - &part.sum, total, count: self.count.saturating_sub(part.count) }
    }

    /// Takes in rows, one after the other.
    pub fn add(&mut self, rows: &[f32]) {
        let columns = self.columns();
        let count = rows.len() / columns.max(1);
        if count == 0 {
            return;
        }
        let product = gram(rows, rows, count, columns, columns);
        for column in 0..columns {
            let product = product.col(column);
            self.sum.col_mut(column).iter_mut().zip(product.iter()).for_each(|(sum, more)| *sum += f64::from(*more));
        }
        for row in rows.chunks_exact(columns) {
            self.total.iter_mut().zip(row).for_each(|(total, value)| *total += f64::from(*value));
        }
        self.count += count as u64;
    }
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

/// `Σ y xᵀ`, `Σ y` and `Σ |y|²` of one group: results of one model against rows of another.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossMoment {
    sum: Mat<f64>,
    total: Vec<f64>,
    energy: f64,
    count: u64,
}

impl CrossMoment {
    /// Of nothing yet.
    pub fn new(outputs: usize, columns: usize) -> Self {
        Self { sum: Mat::zeros(outputs, columns), total: vec![0.0; outputs], energy: 0.0, count: 0 }
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

    /// `E[y]`.
    pub fn mean(&self) -> Vec<f64> {
        self.total.iter().map(|total| total / self.count.max(1) as f64).collect()
    }

    /// `E[|y|²]`, over all outputs.
    pub fn energy(&self) -> f64 {
        self.energy / self.count.max(1) as f64
    }

    /// The same without results that are a part of it.
    #[must_use]
    pub fn without(&self, part: &Self) -> Self {
        let total = self.total.iter().zip(&part.total).map(|(all, part)| all - part).collect();
        let (energy, count) = (self.energy - part.energy, self.count.saturating_sub(part.count));
        Self { sum: &self.sum - &part.sum, total, energy, count }
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
            for (total, &value) in self.total.iter_mut().zip(row) {
                *total += f64::from(value);
                self.energy += f64::from(value) * f64::from(value);
            }
        }
        self.count += count as u64;
    }
}
