//! What a layer's output loses as blocks of its input's columns go one after the other, each at the best that the others can do.
//!
//! With `H = E[x xᵀ]` of the rows and `P = Wᵀ W`, block `S` costs `tr(P_SS [H⁻¹]_SS⁻¹)`; once it is gone the weights that remain
//! have moved, `W -= W_S [H⁻¹]_SS⁻¹ [H⁻¹]_S`, and so have `P` and `H⁻¹`. What follows counts what is gone already.
//!
//! All directions of the output count the same. In the metric of the gradients' second moment, `P = Wᵀ E[g gᵀ] W`, to order the indices
//! or also to compare leaves, one model kept a point more and others lost one: what is fitted later is fitted without it.
//!
//! Source: Hassibi and Stork, "Second order derivatives for network pruning" (1993); by blocks Frantar et al., "Optimal brain
//! compression" (2022).

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::{DenseSolveCore, Solve};
use faer::{Accum, Mat, MatRef, Side};

/// Columns of changes that wait until they are taken off together, which is faster than one after the other.
const WAITING: usize = 64;

/// A layer on its way.
pub(super) struct Layer<'b> {
    /// The columns of each index.
    blocks: &'b [Vec<usize>],
    inverse: Mat<f64>,
    products: Mat<f64>,
    /// What both are by now within the block of each index.
    within: Vec<(Mat<f64>, Mat<f64>)>,
    /// What both lack since.
    waiting: Changes,
    /// What a loss is divided by.
    scale: f64,
}

/// Changes of the inverse, `rows movedᵀ`, and of the products, `half movedᵀ + moved halfᵀ`, by the columns that made them.
struct Changes {
    rows: Mat<f64>,
    moved: Mat<f64>,
    half: Mat<f64>,
    count: usize,
}

impl<'b> Layer<'b> {
    /// Of a weight, outputs by columns, and the second moment of its rows with a ridge on its diagonal; `blocks` has the columns of
    /// each index, and losses are divided by `scale`. `None` where the numbers are beyond computing with.
    pub(super) fn new(weight: &Mat<f64>, moment: &Mat<f64>, blocks: &'b [Vec<usize>], scale: f64) -> Option<Self> {
        let inverse = moment.llt(Side::Lower).ok()?.inverse();
        let finite = (0..inverse.ncols()).all(|column| inverse.col(column).iter().all(|value| value.is_finite()));
        let products = weight.transpose() * weight;
        let of = |block: &Vec<usize>| (within(inverse.as_ref(), block), within(products.as_ref(), block));
        let room = blocks.iter().map(Vec::len).fold(WAITING, usize::max);
        let none = || Mat::zeros(inverse.nrows(), room);
        let waiting = Changes { rows: none(), moved: none(), half: none(), count: 0 };
        let within = blocks.iter().map(of).collect();
        finite.then(|| Self { blocks, inverse, products, within, waiting, scale: scale.max(f64::MIN_POSITIVE) })
    }

    /// What it costs now that an index goes.
    pub(super) fn cost(&self, index: usize) -> f64 {
        let (inverse, products) = &self.within[index];
        if inverse.nrows() == 1 {
            return products[(0, 0)] / inverse[(0, 0)] / self.scale;
        }
        let Ok(factor) = inverse.llt(Side::Lower) else { return f64::INFINITY };
        let solved = factor.solve(products);
        (0..solved.nrows()).map(|i| solved[(i, i)]).sum::<f64>() / self.scale
    }

    /// Lets an index go.
    pub(super) fn remove(&mut self, index: usize) {
        let block = &self.blocks[index];
        let Ok(factor) = self.within[index].0.llt(Side::Lower) else { return };
        if self.waiting.count + block.len() > self.waiting.rows.ncols() {
            self.settle();
        }
        let count = self.waiting.count;
        let [rows_before, moved_before, half_before] =
            [&self.waiting.rows, &self.waiting.moved, &self.waiting.half].map(|changes| changes.get(.., ..count));
        let moved_within = picked(moved_before, block);
        let rows = columns(&self.inverse, block) - rows_before * moved_within.transpose();
        let of_block = columns(&self.products, block)
            - half_before * moved_within.transpose()
            - moved_before * picked(half_before, block).transpose();
        // H⁻¹_S [H⁻¹]_SS⁻¹, the change of the others for each unit of the block.
        let moved = factor.solve(rows.transpose()).transpose().to_owned();
        let half = of_block - &moved * &self.within[index].1 * faer::Scale(0.5);
        for (block, (inverse, products)) in self.blocks.iter().zip(&mut self.within) {
            let (rows, moved, half) =
                (picked(rows.as_ref(), block), picked(moved.as_ref(), block), picked(half.as_ref(), block));
            *inverse -= &rows * moved.transpose();
            let change = &half * moved.transpose();
            *products -= &change + change.transpose();
        }
        let Changes { rows: all_rows, moved: all_moved, half: all_half, count } = &mut self.waiting;
        for (all, new) in [(all_rows, &rows), (all_moved, &moved), (all_half, &half)] {
            all.as_mut().subcols_mut(*count, block.len()).copy_from(new);
        }
        *count += block.len();
    }

    /// Takes off what waits.
    fn settle(&mut self) {
        let Changes { rows, moved, half, count } = &mut self.waiting;
        let [rows, moved, half] = [rows, moved, half].map(|changes| changes.get(.., ..*count));
        let pairs = [(&mut self.inverse, rows, moved), (&mut self.products, half, moved)];
        for (whole, left, right) in pairs {
            matmul(whole.as_mut(), Accum::Add, left, right.transpose(), -1.0, faer::get_global_parallelism());
        }
        matmul(self.products.as_mut(), Accum::Add, moved, half.transpose(), -1.0, faer::get_global_parallelism());
        *count = 0;
    }
}

fn columns(matrix: &Mat<f64>, which: &[usize]) -> Mat<f64> {
    Mat::from_fn(matrix.nrows(), which.len(), |i, j| matrix[(i, which[j])])
}

/// Rows of a matrix.
fn picked(matrix: MatRef<'_, f64>, which: &[usize]) -> Mat<f64> {
    Mat::from_fn(which.len(), matrix.ncols(), |i, j| matrix[(which[i], j)])
}

fn within(matrix: MatRef<'_, f64>, block: &[usize]) -> Mat<f64> {
    Mat::from_fn(block.len(), block.len(), |i, j| matrix[(block[i], block[j])])
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
        let blocks = [vec![0, 1], vec![2, 3], vec![6], vec![4], vec![5]];
        let mut layer = Layer::new(&weight, &moment, &blocks, 1.0).unwrap();
        let (mut gone, mut lost) = (Vec::new(), 0.0);
        for (step, index) in [1, 2, 0, 4].into_iter().enumerate() {
            if step == 2 {
                layer.settle();
            }
            lost += layer.cost(index);
            layer.remove(index);
            gone.extend(blocks[index].iter().copied());
            let least = best(&weight, &moment, &gone);
            assert!((lost - least).abs() < 1e-8 * least, "{lost} {least} without {gone:?}");
        }
    }
}
