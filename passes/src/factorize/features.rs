//! Features of the rows that a layer multiplies, and what can be told of its results from them.
//!
//! A first factor `V` mixes over `a` at column `a · span + b`, and so makes a feature of each of its rows and each `b`. Which `V` tells most
//! is an eigenproblem where features of different `b` are taken for uncorrelated, which is how second moments of a convolution's
//! windows are nearly alike from place to place; with no samples it is the singular value decomposition of the unfolded weight. What the last
//! factor makes of the features is then a regression in the true metric, and one triangular factor tells for all ranks at once what
//! each explains.

use faer::linalg::solvers::Solve;
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Mat, Side};

use super::spectrum::{Spectrum, eigen};

/// The share of the mean of the features' mean squares that is added to each where only losses are told.
const LEAST: f64 = 1e-6;
/// The same where weights are fitted, which are pulled to those that need no samples.
const PULL: f64 = 1e-3;

/// The features that `v` makes of something with a row for each column of the weight.
pub(super) fn project(v: &Mat<f64>, of: &Mat<f64>, span: usize) -> Mat<f64> {
    if span == 1 {
        return v * of;
    }
    let (inner, count) = (v.ncols(), of.ncols());
    let mut made = Mat::zeros(v.nrows() * span, count);
    for b in 0..span {
        let part = Mat::from_fn(inner, count, |a, column| of[(a * span + b, column)]);
        let product = v * part;
        for column in 0..count {
            (0..v.nrows()).for_each(|row| made[(row * span + b, column)] = product[(row, column)]);
        }
    }
    made
}

/// The weight that multiplies the features of `v` by `last`, outputs by features.
pub(super) fn expand(last: &Mat<f64>, v: &Mat<f64>, span: usize) -> Mat<f64> {
    if span == 1 {
        return last * v;
    }
    let mut made = Mat::zeros(last.nrows(), v.ncols() * span);
    for b in 0..span {
        let part = Mat::from_fn(last.nrows(), v.nrows(), |output, row| last[(output, row * span + b)]);
        let product = part * v;
        for a in 0..v.ncols() {
            (0..last.nrows()).for_each(|output| made[(output, a * span + b)] = product[(output, a)]);
        }
    }
    made
}

/// Orthonormal rows, those first whose features tell most of what the weight answers; all of them tell everything.
pub(super) fn basis(weight: &Mat<f64>, metric: Option<&Mat<f64>>, span: usize) -> Option<Mat<f64>> {
    let (unfolded, inner) = (weight.nrows() * span, weight.ncols() / span);
    let matrix = Mat::from_fn(unfolded, inner, |row, a| weight[(row / span, a * span + row % span)]);
    let rows = metric.map(|metric| {
        Mat::from_fn(inner, inner, |i, j| (0..span).map(|b| metric[(i * span + b, j * span + b)]).sum::<f64>())
    });
    let full = unfolded.min(inner);
    let mut spanning = if unfolded <= inner {
        let (_, v) = Spectrum::of(&matrix, rows.as_ref())?.factors(&matrix, full);
        v.transpose().to_owned()
    } else {
        // The smaller problem: with R² = H, the leading directions of R Mᵀ M R, told by M.
        let square = matrix.transpose() * &matrix;
        let through = match &rows {
            Some(rows) => square * root(rows)?,
            None => square,
        };
        let symmetric = match &rows {
            Some(rows) => root(rows)? * &through,
            None => through.clone(),
        };
        through * eigen(symmetric)?.1
    };
    normalize(&mut spanning);
    let orthonormal = spanning.qr().compute_thin_Q();
    let finite = orthonormal.col_iter().all(|column| column.iter().all(|value| value.is_finite()));
    finite.then(|| orthonormal.transpose().to_owned())
}

/// Makes columns of length one of all that are not zero.
pub(super) fn normalize(matrix: &mut Mat<f64>) {
    for mut column in matrix.col_iter_mut() {
        let norm = column.as_ref().iter().map(|value| value * value).sum::<f64>().sqrt();
        if norm > 0.0 {
            column.as_mut().iter_mut().for_each(|value| *value /= norm);
        }
    }
}

/// The symmetric root of a second moment.
fn root(moment: &Mat<f64>) -> Option<Mat<f64>> {
    let (values, vectors) = eigen(moment.clone())?;
    let scaled = Mat::from_fn(moment.nrows(), moment.nrows(), |i, j| vectors[(i, j)] * values[j].sqrt());
    Some(&scaled * vectors.transpose())
}

/// Second moments of the features, and of them with the weight's answers, features by outputs.
fn moments(v: &Mat<f64>, weight: &Mat<f64>, metric: &Mat<f64>, span: usize) -> (Mat<f64>, Mat<f64>) {
    let through = project(v, metric, span);
    let square = project(v, &through.transpose().to_owned(), span);
    (square, through * weight.transpose())
}

fn lifted(mut square: Mat<f64>, share: f64) -> (Mat<f64>, f64) {
    let size = square.nrows();
    let mean = (0..size).map(|at| square[(at, at)]).sum::<f64>() / size.max(1) as f64;
    let lift = (share * mean).max(f64::MIN_POSITIVE);
    (0..size).for_each(|at| square[(at, at)] += lift);
    (square, lift)
}

/// For each feature, in order, and each output what the feature tells beyond those before it: squares sum up to what is explained.
pub(super) fn explained(v: &Mat<f64>, weight: &Mat<f64>, metric: Option<&Mat<f64>>, span: usize) -> Option<Mat<f64>> {
    let Some(metric) = metric else { return Some(project(v, &weight.transpose().to_owned(), span)) };
    let (square, mut told) = moments(v, weight, metric, span);
    let factor = lifted(square, LEAST).0.llt(Side::Lower).ok()?;
    solve_lower_triangular_in_place(factor.L(), told.as_mut(), faer::get_global_parallelism());
    Some(told)
}

/// What comes nearest to the weight of what multiplies the features of `v`, outputs by features, and the features' second moment, where
/// there is a metric.
pub(super) fn last(
    v: &Mat<f64>,
    weight: &Mat<f64>,
    metric: Option<&Mat<f64>>,
    span: usize,
) -> Option<(Mat<f64>, Option<Mat<f64>>)> {
    let plain = project(v, &weight.transpose().to_owned(), span);
    let Some(metric) = metric else { return Some((plain.transpose().to_owned(), None)) };
    let (square, told) = moments(v, weight, metric, span);
    let solved = regress(&square, &told, &plain)?;
    Some((solved.transpose().to_owned(), Some(square)))
}

/// The regression on features with this second moment, pulled to `plain`; features by outputs, as all that is given.
pub(super) fn regress(square: &Mat<f64>, told: &Mat<f64>, plain: &Mat<f64>) -> Option<Mat<f64>> {
    let (lifted, lift) = lifted(square.clone(), PULL);
    let right = Mat::from_fn(told.nrows(), told.ncols(), |i, j| told[(i, j)] + lift * plain[(i, j)]);
    Some(lifted.llt(Side::Lower).ok()?.solve(&right))
}

/// The first rows.
pub(super) fn head(v: &Mat<f64>, count: usize) -> Mat<f64> {
    v.get(..count.min(v.nrows()), ..).to_owned()
}

/// `tr(D H Dᵀ)`: what a difference of weights changes.
pub(super) fn energy(difference: &Mat<f64>, metric: Option<&Mat<f64>>) -> f64 {
    let product = metric.map(|metric| difference * metric);
    let product = product.as_ref().unwrap_or(difference);
    let column = |at: usize| product.col(at).iter().zip(difference.col(at).iter()).map(|(a, b)| a * b).sum::<f64>();
    (0..difference.ncols()).map(column).sum()
}
