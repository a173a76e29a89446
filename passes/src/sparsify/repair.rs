//! The best weights where it is settled which of them are zero.
//!
//! `min tr((W - T) H (W - T)ᵀ)` over the weights that stay, T being what the layer should be. Each row has zeros of its own, so each would
//! need a system of equations of its own; conjugate gradients solve them all at once with one matrix product an iteration, scaled
//! by the diagonal of H. Where to go from is computed in double precision, the way there in single.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef};
use rayon::prelude::*;

/// The most iterations; errors shrink by about a half in each.
const ITERATIONS: usize = 10;
/// Of a row's first residual, what is left that is not worth an iteration: what is lost goes with its square.
const ENOUGH: f64 = 1e-2;

/// Brings `weights`, row by row, nearer to `target` in a metric, those that are `gone` staying what they are.
pub(super) fn repair(weights: &mut [f64], gone: &[bool], target: &[f64], metric: &Mat<f64>) {
    let columns = metric.nrows();
    let rows = weights.len() / columns.max(1);
    if rows == 0 {
        return;
    }
    let par = faer::get_global_parallelism();
    let difference: Vec<f64> = target.iter().zip(weights.iter()).map(|(t, w)| t - w).collect();
    let mut residual = vec![0.0; difference.len()];
    let into = MatMut::from_row_major_slice_mut(&mut residual, rows, columns);
    matmul(into, Accum::Replace, MatRef::from_row_major_slice(&difference, rows, columns), metric.as_ref(), 1.0, par);
    // Whatever the samples' units, numbers of about one.
    let unit = (0..columns).map(|at| metric[(at, at)]).sum::<f64>() / columns as f64;
    let unit = if unit.is_normal() { unit.recip() } else { 1.0 };
    residual.iter_mut().for_each(|residual| *residual *= unit);
    let single = Mat::from_fn(columns, columns, |i, j| (metric[(i, j)] * unit) as f32);
    let times_metric = |of: &[f64]| {
        let of: Vec<f32> = of.iter().map(|&number| number as f32).collect();
        let mut product = vec![0f32; of.len()];
        let into = MatMut::from_row_major_slice_mut(&mut product, rows, columns);
        matmul(into, Accum::Replace, MatRef::from_row_major_slice(&of, rows, columns), single.as_ref(), 1.0, par);
        product
    };
    let scale: Vec<f64> = (0..columns).map(|at| (unit * metric[(at, at)]).max(f64::MIN_POSITIVE).recip()).collect();
    residual.iter_mut().zip(gone).filter(|(_, gone)| **gone).for_each(|(residual, _)| *residual = 0.0);
    let size = |residual: &[f64]| residual.iter().zip(&scale).map(|(r, s)| r * r * s).sum::<f64>();
    let mut direction: Vec<f64> = residual.iter().enumerate().map(|(at, r)| r * scale[at % columns]).collect();
    let mut sizes: Vec<f64> = residual.par_chunks(columns).map(size).collect();
    let enough: Vec<f64> = sizes.iter().map(|size| size * ENOUGH * ENOUGH).collect();
    for _ in 0..ITERATIONS {
        if sizes.iter().zip(&enough).all(|(size, enough)| size <= enough) {
            break;
        }
        let product = times_metric(&direction);
        let rows = weights.par_chunks_mut(columns).zip(residual.par_chunks_mut(columns));
        let rows = rows.zip(direction.par_chunks_mut(columns)).zip(product.par_chunks(columns));
        let rows = rows.zip(gone.par_chunks(columns)).zip(sizes.par_iter_mut());
        rows.for_each(|(((((weights, residual), direction), product), gone), size_before)| {
            let curvature: f64 = direction.iter().zip(product).map(|(d, p)| d * f64::from(*p)).sum();
            let step = *size_before / curvature;
            // A row that is done has nothing to go along.
            if !step.is_finite() {
                return;
            }
            // Nothing leads to what is gone, whose direction is zero.
            weights.iter_mut().zip(direction.iter()).for_each(|(weight, direction)| *weight += step * direction);
            for ((residual, product), gone) in residual.iter_mut().zip(product).zip(gone) {
                *residual = if *gone { 0.0 } else { *residual - step * f64::from(*product) };
            }
            let now = size(residual);
            let turn = now / *size_before;
            for ((direction, residual), scale) in direction.iter_mut().zip(residual.iter()).zip(&scale) {
                *direction = residual * scale + turn * *direction;
            }
            *size_before = now;
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use faer::Side;
    use faer::linalg::solvers::Solve;

    use super::*;

    #[test]
    fn the_weights_that_stay_are_the_best() {
        let columns = 12;
        let samples = Mat::from_fn(columns, 40, |i, j| (((i * 13 + j * 29 + i * j) % 31) as f64 - 15.0) / 7.0);
        let mut metric = &samples * samples.transpose();
        (0..columns).for_each(|at| metric[(at, at)] += 1.0);
        let target: Vec<f64> = (0..3 * columns).map(|at| ((at * 7 % 19) as f64 - 9.0) / 4.0).collect();
        let gone: Vec<bool> = (0..3 * columns).map(|at| at % 3 == at / columns).collect();
        let mut weights: Vec<f64> = target.iter().zip(&gone).map(|(t, gone)| if *gone { 0.0 } else { *t }).collect();
        repair(&mut weights, &gone, &target, &metric);
        for row in 0..3 {
            let own = row * columns..(row + 1) * columns;
            let (target, gone) = (&target[own.clone()], &gone[own.clone()]);
            let kept: Vec<usize> = (0..columns).filter(|&column| !gone[column]).collect();
            let h = Mat::from_fn(kept.len(), kept.len(), |i, j| metric[(kept[i], kept[j])]);
            let right =
                Mat::from_fn(kept.len(), 1, |i, _| (0..columns).map(|j| metric[(kept[i], j)] * target[j]).sum::<f64>());
            let best = h.llt(Side::Lower).unwrap().solve(&right);
            let mut whole = vec![0.0; columns];
            kept.iter().enumerate().for_each(|(place, &column)| whole[column] = best[(place, 0)]);
            let lost = |weights: &[f64]| {
                let off = Mat::from_fn(columns, 1, |at, _| weights[at] - target[at]);
                (off.transpose() * &metric * &off)[(0, 0)]
            };
            let masked: Vec<f64> = target.iter().zip(gone).map(|(t, gone)| if *gone { 0.0 } else { *t }).collect();
            let (ours, best, unrepaired) = (lost(&weights[own]), lost(&whole), lost(&masked));
            assert!(ours - best < 1e-4 * (unrepaired - best), "row {row}: {ours}, {best} at best, {unrepaired} before");
        }
        assert!(weights.iter().zip(&gone).all(|(weight, gone)| !gone || *weight == 0.0));
    }
}
