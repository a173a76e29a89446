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

/// What a layer's weights over some columns have to solve, whatever the pull.
#[derive(Debug)]
pub(super) struct Equations {
    /// `E[x xᵀ]`, centred where a bias is fitted.
    metric: Mat<f64>,
    /// `E[y xᵀ]`, centred likewise; outputs by columns.
    results: Mat<f64>,
    /// `E[x]` and `E[y]`, where a bias is fitted.
    means: Option<(Vec<f64>, Vec<f64>)>,
    /// The mean of the diagonal of all columns.
    scale: f64,
}

impl Equations {
    pub(super) fn of(moment: &SecondMoment, cross: &CrossMoment, columns: &[usize], fits_bias: bool) -> Self {
        let (metric, results) = match fits_bias {
            true => (moment.covariance(), cross.covariance(&moment.mean())),
            false => (moment.second(), cross.second()),
        };
        let means = fits_bias.then(|| (columns.iter().map(|&column| moment.mean()[column]).collect(), cross.mean()));
        let whole = columns.len() == moment.columns();
        let of = |all: Mat<f64>, rows: &dyn Fn(usize) -> usize, count: usize| match whole {
            true => all,
            false => Mat::from_fn(count, columns.len(), |row, place| all[(rows(row), columns[place])]),
        };
        let outputs = results.nrows();
        Self {
            metric: of(metric, &|row| columns[row], columns.len()),
            results: of(results, &|row| row, outputs),
            means,
            scale: ridge(moment, 1.0),
        }
    }

    /// The weights, pulled toward those at hand, outputs by columns. `None` where the samples are degenerate beyond what the pull mends.
    pub(super) fn solve(&self, at_hand: &Mat<f64>, share: f64) -> Option<Fitted> {
        let (pull, columns) = ((share * self.scale).max(f64::MIN_POSITIVE), self.metric.ncols());
        let mut pulled = self.metric.clone();
        (0..columns).for_each(|at| pulled[(at, at)] += pull);
        let right = (&self.results + pull * at_hand).transpose().to_owned();
        let weight = pulled.llt(Side::Lower).ok()?.solve(&right).transpose().to_owned();
        let bias = match &self.means {
            Some((x, y)) => {
                let answered =
                    |output: usize| x.iter().enumerate().map(|(at, x)| weight[(output, at)] * x).sum::<f64>();
                y.iter().enumerate().map(|(output, y)| y - answered(output)).collect()
            }
            None => vec![0.0; weight.nrows()],
        };
        weight.is_all_finite().then_some(Fitted { weight, bias })
    }
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
    Equations::of(moment, cross, columns, fits_bias).solve(at_hand, share)
}
