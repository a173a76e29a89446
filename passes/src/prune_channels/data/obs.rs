//! What a layer's output loses as blocks of its input's columns go one after the other, each at the best that the others can do.
//!
//! With `H = E[x xᵀ]` of the rows and `P = Wᵀ W`, block `S` costs `tr(P_SS [H⁻¹]_SS⁻¹)`; once it is gone the weights that remain
//! have moved, `W -= W_S [H⁻¹]_SS⁻¹ [H⁻¹]_S`, and so have `P` and `H⁻¹`. What follows counts what is gone already.
//!
//! Source: Hassibi and Stork, "Second order derivatives for network pruning" (1993); by blocks Frantar et al., "Optimal brain
//! compression" (2022).

use faer::linalg::solvers::{DenseSolveCore, Solve};
use faer::{Mat, Side};

/// A layer on its way.
pub(super) struct Layer {
    inverse: Mat<f64>,
    products: Mat<f64>,
    /// What a loss is divided by.
    scale: f64,
}

impl Layer {
    /// Of a weight, outputs by columns, and the second moment of its rows with a ridge on its diagonal; losses are divided by `scale`. `None` where
    /// the numbers are beyond computing with.
    pub(super) fn new(weight: &Mat<f64>, moment: &Mat<f64>, scale: f64) -> Option<Self> {
        let inverse = moment.llt(Side::Lower).ok()?.inverse();
        let finite = (0..inverse.ncols()).all(|column| inverse.col(column).iter().all(|value| value.is_finite()));
        finite.then(|| Self { inverse, products: weight.transpose() * weight, scale: scale.max(f64::MIN_POSITIVE) })
    }

    fn block(matrix: &Mat<f64>, rows: &[usize], columns: &[usize]) -> Mat<f64> {
        Mat::from_fn(rows.len(), columns.len(), |i, j| matrix[(rows[i], columns[j])])
    }

    /// What it costs now that a block goes.
    pub(super) fn cost(&self, block: &[usize]) -> f64 {
        if let [only] = *block {
            return self.products[(only, only)] / self.inverse[(only, only)] / self.scale;
        }
        let Ok(factor) = Self::block(&self.inverse, block, block).llt(Side::Lower) else { return f64::INFINITY };
        let solved = factor.solve(&Self::block(&self.products, block, block));
        (0..block.len()).map(|i| solved[(i, i)]).sum::<f64>() / self.scale
    }

    /// Lets a block go.
    pub(super) fn remove(&mut self, block: &[usize]) {
        let all: Vec<usize> = (0..self.inverse.nrows()).collect();
        let Ok(factor) = Self::block(&self.inverse, block, block).llt(Side::Lower) else { return };
        let rows = Self::block(&self.inverse, block, &all);
        // B H⁻¹_S, the change of the others for each unit of the block.
        let moved = factor.solve(&rows);
        let of_block = Self::block(&self.products, &all, block);
        let inner = Self::block(&self.products, block, block);
        let first = &of_block * &moved;
        let change = &first + first.transpose() - moved.transpose() * (&inner * &moved);
        self.products -= change;
        self.inverse -= rows.transpose() * &moved;
        for &gone in block {
            for other in 0..all.len() {
                self.products[(gone, other)] = 0.0;
                self.products[(other, gone)] = 0.0;
                self.inverse[(gone, other)] = 0.0;
                self.inverse[(other, gone)] = 0.0;
            }
            // Never asked for again, but it must not be in the way.
            self.inverse[(gone, gone)] = 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn numbers(rows: usize, columns: usize, seed: usize) -> Mat<f64> {
        Mat::from_fn(rows, columns, |i, j| (((i * 37 + j * 101 + seed * 13 + i * j * 7) % 29) as f64 - 14.0) / 7.0)
    }

    /// The least `tr((W - V) H (W - V)ᵀ)` over all V that are zero in the columns that are gone.
    fn best(weight: &Mat<f64>, moment: &Mat<f64>, gone: &[usize]) -> f64 {
        let kept: Vec<usize> = (0..weight.ncols()).filter(|column| !gone.contains(column)).collect();
        let h = Mat::from_fn(kept.len(), kept.len(), |i, j| moment[(kept[i], kept[j])]);
        let full = moment * weight.transpose();
        let q = Mat::from_fn(kept.len(), weight.nrows(), |i, o| full[(kept[i], o)]);
        let v = h.llt(Side::Lower).unwrap().solve(&q);
        let mut difference = weight.clone();
        for (i, &column) in kept.iter().enumerate() {
            for o in 0..weight.nrows() {
                difference[(o, column)] -= v[(i, o)];
            }
        }
        let product = &difference * moment;
        (0..weight.nrows())
            .map(|o| (0..weight.ncols()).map(|j| product[(o, j)] * difference[(o, j)]).sum::<f64>())
            .sum()
    }

    #[test]
    fn what_is_lost_is_the_least_that_can_be() {
        let (weight, samples) = (numbers(5, 8, 1), numbers(8, 60, 2));
        let mut moment = &samples * samples.transpose();
        (0..8).for_each(|i| moment[(i, i)] += 1.0);
        let mut layer = Layer::new(&weight, &moment, 1.0).unwrap();
        let (mut gone, mut lost) = (Vec::new(), 0.0);
        for block in [vec![2, 3], vec![6], vec![0, 1]] {
            lost += layer.cost(&block);
            layer.remove(&block);
            gone.extend(block);
            let least = best(&weight, &moment, &gone);
            assert!((lost - least).abs() < 1e-8 * least, "{lost} {least} without {gone:?}");
        }
    }
}
