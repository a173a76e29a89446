//! A kernel as a sum of products of three vectors: over outputs, over channels, over places (CP, or canonical polyadic decomposition).
//!
//! Alternating least squares: with two of the three factors at hand the third is a regression (Carroll and Chang 1970, Harshman 1970).
//! With samples the factor over the outputs is fitted to them in the end. At the rank that is enough for any kernel two factors are
//! indices, and the third is the kernel.

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};
use onnxpress_ir::random::SplitMix64;

use super::features;
use super::form::{Extents, Form, Size};
use super::stages::Stages;

const ITERATIONS: usize = 40;
/// A share of the mean of the diagonal that keeps factors that are alike from growing against each other.
const APART: f64 = 1e-3;
/// From each rank to the next smaller one.
const STEP: f64 = 0.75;
/// How many ranks are looked at.
const RANKS: usize = 8;

/// The ranks that are looked at: from what saves nothing downward, and the full one.
pub(super) fn sizes(extents: &Extents) -> Vec<Size> {
    let one = extents.price_of(extents.at(Form::Cp, 1)).params;
    let most = extents.price().params / one;
    let mut ranks: Vec<usize> =
        (1..=RANKS as i32).rev().map(|step| (most * STEP.powi(step)) as usize).filter(|rank| *rank > 0).collect();
    ranks.dedup();
    let full = extents.full(Form::Cp);
    let below = ranks.into_iter().filter(|rank| *rank < full.rank).map(|rank| extents.at(Form::Cp, rank));
    below.chain([full]).collect()
}

/// What is lost of one group at each of the sizes.
pub(super) fn losses(
    extents: &Extents,
    sizes: &[Size],
    weight: &Mat<f64>,
    metric: Option<&Mat<f64>>,
) -> Option<Vec<f64>> {
    let one = |size: &Size| {
        let product = factors(extents, *size, weight, metric)?.product(extents, Form::Cp);
        Some(features::energy(&(weight - product), metric))
    };
    sizes.iter().map(one).collect()
}

/// The factors of one group.
pub(super) fn factors(extents: &Extents, size: Size, weight: &Mat<f64>, metric: Option<&Mat<f64>>) -> Option<Stages> {
    if size.rank >= extents.full(Form::Cp).rank {
        return Some(indices(extents, weight));
    }
    let [o, c, k] = [extents.outputs, extents.channels, extents.kernel()];
    let rank = size.rank;
    let at = |o: usize, c: usize, place: usize| weight[(o, c * k + place)];
    // Each axis in turn as rows, the other two as columns, the earlier one outermost.
    let unfolded = [
        weight.clone(),
        Mat::from_fn(c, o * k, |c, rest| at(rest / k, c, rest % k)),
        Mat::from_fn(k, o * c, |place, rest| at(rest / c, rest % c, place)),
    ];
    let mut random = SplitMix64::new(1);
    let mut draw = || 2.0 * random.unit() - 1.0;
    let mut factor = [o, c, k].map(|extent| {
        let mut drawn = Mat::zeros(extent, rank);
        drawn.col_iter_mut().for_each(|column| column.iter_mut().for_each(|value| *value = draw()));
        drawn
    });
    for _ in 0..ITERATIONS {
        for axis in 0..3 {
            let (first, second) = match axis {
                0 => (1, 2),
                1 => (0, 2),
                _ => (0, 1),
            };
            factor[axis] = regression(&unfolded[axis], &factor[first], &factor[second])?;
            if axis > 0 {
                features::normalize(&mut factor[axis]);
            }
        }
    }
    let [_, over_channels, over_places] = &factor;
    // The factor over the outputs is the last to be fitted, so that it fits the others.
    let mut over_outputs = regression(&unfolded[0], over_channels, over_places)?;
    if let Some(metric) = metric {
        let features = products(over_channels, over_places);
        let through = features.transpose() * metric;
        let told = &through * weight.transpose();
        let plain = over_outputs.transpose().to_owned();
        over_outputs = features::regress(&(through * &features), &told, &plain)?.transpose().to_owned();
    }
    Some(Stages {
        v: over_channels.transpose().to_owned(),
        core: Some(over_places.transpose().to_owned()),
        u: over_outputs,
    })
}

/// `min |X - A (B ⊙ C)ᵀ|`, over A.
fn regression(unfolded: &Mat<f64>, first: &Mat<f64>, second: &Mat<f64>) -> Option<Mat<f64>> {
    let (a, b) = (first.transpose() * first, second.transpose() * second);
    let rank = a.nrows();
    let mut square = Mat::from_fn(rank, rank, |i, j| a[(i, j)] * b[(i, j)]);
    let mean = (0..rank).map(|at| square[(at, at)]).sum::<f64>() / rank.max(1) as f64;
    (0..rank).for_each(|at| square[(at, at)] += (APART * mean).max(f64::MIN_POSITIVE));
    let told = products(first, second).transpose() * unfolded.transpose();
    Some(square.llt(Side::Lower).ok()?.solve(&told).transpose().to_owned())
}

/// The product of two columns for each pair of rows, the first outermost.
fn products(first: &Mat<f64>, second: &Mat<f64>) -> Mat<f64> {
    let inner = second.nrows();
    Mat::from_fn(first.nrows() * inner, first.ncols(), |row, column| {
        first[(row / inner, column)] * second[(row % inner, column)]
    })
}

/// Any kernel: two of three factors say which index.
fn indices(extents: &Extents, weight: &Mat<f64>) -> Stages {
    let (o, c, k) = (extents.outputs, extents.channels, extents.kernel());
    let is = |a: usize, b: usize| f64::from(u8::from(a == b));
    let (v, core, u): (Mat<f64>, Mat<f64>, Mat<f64>) = if c * k <= (o * c).min(o * k) {
        (
            Mat::from_fn(c * k, c, |r, channel| is(r / k, channel)),
            Mat::from_fn(c * k, k, |r, place| is(r % k, place)),
            weight.clone(),
        )
    } else if o * c <= o * k {
        (
            Mat::from_fn(o * c, c, |r, channel| is(r % c, channel)),
            Mat::from_fn(o * c, k, |r, place| weight[(r / c, r % c * k + place)]),
            Mat::from_fn(o, o * c, |output, r| is(output, r / c)),
        )
    } else {
        (
            Mat::from_fn(o * k, c, |r, channel| weight[(r / k, channel * k + r % k)]),
            Mat::from_fn(o * k, k, |r, place| is(r % k, place)),
            Mat::from_fn(o, o * k, |output, r| is(output, r / k)),
        )
    };
    Stages { v, core: Some(core), u }
}
