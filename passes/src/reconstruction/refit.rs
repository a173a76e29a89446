//! The weights that come closest to what a layer should answer.
//!
//! `min E|y - W x - b|² + ρ |W - W₀|²`, in closed form: with centred moments `W = (E[y xᵀ] + ρ W₀) (E[x xᵀ] + ρ I)⁻¹` and
//! `b = E[y] - W E[x]`. The pull toward the weights at hand keeps what the samples say nothing about.

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

use crate::evidence::{CrossMoment, SecondMoment};

/// Weights and biases of one group.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// Outputs by columns.
    pub weight: Mat<f64>,
    /// One an output; what there was where the layer has no place for one.
    pub bias: Vec<f64>,
}

/// A share of the mean of the diagonal: how strongly weights are pulled.
pub fn ridge(moment: &SecondMoment, share: f64) -> f64 {
    let squares = moment.mean_squares();
    (share * squares.iter().sum::<f64>() / squares.len().max(1) as f64).max(f64::MIN_POSITIVE)
}

/// The weights over `columns` (of the moment's) that come closest to the results. `at_hand` has the weights that they are pulled
/// toward, outputs by the chosen columns. With a `bias` at hand, one is fitted; without, results and rows are taken as they are.
/// `None` where the samples are degenerate beyond what the pull mends.
pub fn refit(
    moment: &SecondMoment,
    cross: &CrossMoment,
    columns: &[usize],
    at_hand: &Mat<f64>,
    fits_bias: bool,
    share: f64,
) -> Option<Fitted> {
    let (mean_x, mean_y) = (moment.mean(), cross.mean());
    let (second, results) = (moment.second(), cross.second());
    let centre = if fits_bias { 1.0 } else { 0.0 };
    let pull = ridge(moment, share);
    let h = Mat::from_fn(columns.len(), columns.len(), |i, j| {
        let (i, j) = (columns[i], columns[j]);
        second[(i, j)] - centre * mean_x[i] * mean_x[j]
    });
    let q = Mat::from_fn(at_hand.nrows(), columns.len(), |o, j| {
        results[(o, columns[j])] - centre * mean_y[o] * mean_x[columns[j]]
    });
    let mut pulled = h;
    (0..columns.len()).for_each(|i| pulled[(i, i)] += pull);
    let right = Mat::from_fn(columns.len(), at_hand.nrows(), |j, o| q[(o, j)] + pull * at_hand[(o, j)]);
    let solved = pulled.llt(Side::Lower).ok()?.solve(&right);
    let weight = solved.transpose().to_owned();
    let bias: Vec<f64> = (0..weight.nrows())
        .map(|o| {
            mean_y[o] - columns.iter().enumerate().map(|(j, &column)| weight[(o, j)] * mean_x[column]).sum::<f64>()
        })
        .map(|bias| centre * bias)
        .collect();
    let finite = (0..weight.nrows()).all(|o| (0..columns.len()).all(|j| weight[(o, j)].is_finite()));
    finite.then_some(Fitted { weight, bias })
}
