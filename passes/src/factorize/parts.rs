//! A large weight, of which a few columns or rows are read at a time, in single precision.
//!
//! A copy of it in doubles would take twice what it has in the file, and so would each product with it. What the eigenproblem needs is
//! the product of the weight's short side with itself, which sums up over parts of the long side; the factor of the long side is made part
//! by part, as it is stored. So no copy of the weight is ever made: beside the product and its eigenvectors only the factors take memory.

use std::ops::Range;

use bytes::Bytes;
use faer::linalg::matmul::{matmul, triangular};
use faer::{Accum, Mat};
use onnxpress_ir::random::SplitMix64;
use onnxpress_ir::{DType, Tensor};

use super::form::{Form, Size};
use super::layers::Layer;
use super::spectrum::{BEYOND, LARGE, Spectrum, TURNS, eigen, is_vast, orthogonal, widened};
use super::stages::Packed;
use crate::reconstruction::LayerWeight;

/// Columns or rows of the long side that are read at a time.
const TOGETHER: usize = 1024;

/// What makes the rows of a matrix that belong to a part of the long side.
type Right<'r> = dyn FnMut(&Range<usize>, &Mat<f32>) -> Mat<f32> + 'r;

/// A weight of floats in the file, and where its elements stand.
pub(super) struct Parts<'a> {
    matrices: &'a LayerWeight,
    bytes: &'a Bytes,
}

impl<'a> Parts<'a> {
    /// Of a layer whose weight is so large, one matrix of floats, and has no forms but two factors.
    pub(super) fn of(layer: &'a Layer, tensor: &'a Tensor) -> Option<Self> {
        let is_plain = layer.matrices.groups() == 1 && layer.extents.forms() == [Form::Channel];
        let is_large = tensor.len() > LARGE && tensor.dtype() == DType::Float;
        let bytes = tensor.bytes().filter(|_| is_plain && is_large)?;
        Some(Self { matrices: &layer.matrices, bytes })
    }

    /// Whether the short side is that of the columns.
    fn is_turned(&self) -> bool {
        self.matrices.outputs() > self.matrices.columns()
    }

    fn short(&self) -> usize {
        self.matrices.outputs().min(self.matrices.columns())
    }

    fn long(&self) -> usize {
        self.matrices.outputs().max(self.matrices.columns())
    }

    fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let long = self.long();
        (0..long).step_by(TOGETHER).map(move |from| from..(from + TOGETHER).min(long))
    }

    /// The short side by some of the long one.
    fn part(&self, range: &Range<usize>) -> Mat<f32> {
        let turned = self.is_turned();
        let mut part = Mat::zeros(self.short(), range.len());
        // Elements that are neighbours in the file are read together.
        let mut read = |short: usize, long: usize| {
            let (output, column) = if turned { (range.start + long, short) } else { (short, range.start + long) };
            let at = 4 * self.matrices.place(0, output, column);
            let number = self.bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            part[(short, long)] = number.map_or(f32::NAN, f32::from_le_bytes);
        };
        if turned {
            (0..range.len()).for_each(|long| (0..self.short()).for_each(|short| read(short, long)));
        } else {
            (0..self.short()).for_each(|short| (0..range.len()).for_each(|long| read(short, long)));
        }
        part
    }

    /// Its spectrum; of a rank that is asked for only the leading components, where chance finds them sooner.
    pub(super) fn spectrum(&self, rank: Option<usize>) -> Option<Spectrum> {
        if let Some(rank) = rank.filter(|&rank| is_vast(self.short(), rank)) {
            return self.drawn(rank);
        }
        let mut product = Mat::<f32>::zeros(self.short(), self.short());
        let threads = faer::get_global_parallelism();
        for range in self.ranges() {
            let part = self.part(&range);
            use triangular::BlockStructure::{Rectangular, TriangularLower};
            let (into, right) = (product.as_mut(), part.transpose());
            triangular::matmul(into, TriangularLower, Accum::Add, &part, Rectangular, right, Rectangular, 1.0, threads);
        }
        let (values, vectors) = eigen(product)?;
        Some(Spectrum { values, basis: widened(&vectors), beyond: 0.0, is_turned: self.is_turned() })
    }

    /// The same as [`Spectrum::drawn`].
    fn drawn(&self, rank: usize) -> Option<Spectrum> {
        let mut random = SplitMix64::new(0);
        let count = (rank + BEYOND).min(self.short());
        // W B, where `of` makes the rows of B that belong to a part.
        let times = |of: &mut Right<'_>| {
            let mut sum = Mat::<f32>::zeros(self.short(), count);
            for range in self.ranges() {
                let part = self.part(&range);
                let right = of(&range, &part);
                matmul(sum.as_mut(), Accum::Add, &part, &right, 1.0, faer::get_global_parallelism());
            }
            sum
        };
        let start = times(&mut |range, _| Mat::from_fn(range.len(), count, |_, _| random.nearly_normal() as f32));
        let mut range = orthogonal(&start);
        for _ in 0..TURNS {
            range = orthogonal(&times(&mut |_, part| part.transpose() * &range));
        }
        // The components within, told by Qᵀ W Wᵀ Q.
        let mut within = Mat::<f64>::zeros(count, count);
        for columns in self.ranges() {
            let seen = widened(&(range.transpose() * self.part(&columns)));
            within += &seen * seen.transpose();
        }
        let (_, leading) = eigen(within)?;
        let basis = (widened(&range) * leading.get(.., ..rank.min(count))).qr().compute_thin_Q();
        let (mut values, mut whole) = (vec![0.0; basis.ncols()], 0.0);
        for columns in self.ranges() {
            let part = widened(&self.part(&columns));
            let kept = basis.transpose() * &part;
            values.iter_mut().enumerate().for_each(|(row, value)| *value += kept.row(row).squared_norm_l2());
            whole += part.squared_norm_l2();
        }
        let beyond = (whole - values.iter().sum::<f64>()).max(0.0);
        whole.is_finite().then_some(Spectrum { values, basis, beyond, is_turned: self.is_turned() })
    }

    /// The factors at a size, as they are stored; the spectrum is known or not.
    pub(super) fn packed(&self, size: Size, known: Option<&Spectrum>) -> Option<Packed> {
        let (short, long, rank) = (self.short(), self.long(), size.rank);
        let basis = match known {
            // At the full rank one factor is the weight: nothing is rounded.
            _ if rank == short => Mat::<f32>::identity(short, short),
            Some(known) if known.basis.ncols() >= rank => narrowed(known, rank),
            _ => narrowed(&self.spectrum(Some(rank))?, rank),
        };
        // The factor of the long side, rows of the rank or columns of it, as the tensor has them.
        let turned = self.is_turned();
        let mut other = vec![0.0f32; rank * long];
        for range in self.ranges() {
            let made = basis.transpose() * self.part(&range);
            for row in 0..rank {
                for (place, at) in range.clone().enumerate() {
                    other[if turned { at * rank + row } else { row * long + at }] = made[(row, place)];
                }
            }
        }
        let own = match turned {
            true => (0..rank * short).map(|at| basis[(at % short, at / short)]).collect::<Vec<f32>>(),
            false => (0..short * rank).map(|at| basis[(at / rank, at % rank)]).collect(),
        };
        if !other.iter().all(|value| value.is_finite()) {
            return None;
        }
        let (v, u) = if turned {
            (Tensor::from_values(&[rank, short], own), Tensor::from_values(&[long, rank], other))
        } else {
            (Tensor::from_values(&[rank, long], other), Tensor::from_values(&[short, rank], own))
        };
        Some(Packed { v: v.ok()?, core: None, u: u.ok()? })
    }
}

/// The leading vectors of a spectrum.
fn narrowed(spectrum: &Spectrum, rank: usize) -> Mat<f32> {
    Mat::from_fn(spectrum.basis.nrows(), rank, |row, column| spectrum.basis[(row, column)] as f32)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::Model;

    use super::*;
    use crate::evidence::Extents;
    use crate::evidence::testing::typed;
    use crate::factorize::layers::layers;

    /// A layer of one weight, large enough in the eyes of nobody but this test.
    fn tried(model: &Model, each: impl FnOnce(&Parts<'_>, &Layer, &Tensor)) {
        let (found, _) = layers(&model.graph, &Extents::default());
        let tensor = model.graph.constant(found[0].weight).unwrap();
        assert!(Parts::of(&found[0], tensor).is_none());
        let parts = Parts { matrices: &found[0].matrices, bytes: tensor.bytes().unwrap() };
        each(&parts, &found[0], tensor);
    }

    #[test]
    fn parts_tell_what_the_whole_does() {
        // Longer than what is read at a time, on either side, and as its operator has it or not.
        for (dims, transposed) in [([1500, 40], 1), ([40, 1500], 1), ([1500, 40], 0), ([40, 1500], 0)] {
            let inputs = dims[usize::from(transposed == 1)];
            let text = format!(
                "<ir_version: 8, opset_import: [\"\" : 17]> net (float[N,{inputs}] x) => (y)
                 <float[{},{}] w = normal(seed=1, std=0.5)> {{ y = Gemm<transB = {transposed}>(x, w) }}",
                dims[0], dims[1]
            );
            tried(&typed(&text), |parts, layer, tensor| {
                let whole = &layer.matrices.matrices(tensor).unwrap()[0];
                let (known, made) = (Spectrum::of(whole, None).unwrap(), parts.spectrum(None).unwrap());
                let energy = known.energy();
                let drawn = parts.drawn(10).unwrap();
                for rank in [0, 3, 10, 39, 40] {
                    let off = (known.losses()[rank] - made.losses()[rank]).abs();
                    assert!(off < 1e-5 * energy, "{dims:?} at {rank}: {off} of {energy}");
                }
                let least = known.losses()[10];
                assert!(drawn.losses()[10] < 1.2 * least && drawn.losses()[10] > 0.999 * least);
                for (rank, spectrum) in [(3, &made), (10, &drawn), (40, &made)] {
                    let size = Size { form: Form::Channel, rank, inner: rank };
                    let stages = parts.packed(size, Some(spectrum)).unwrap().stages().unwrap();
                    assert_eq!((stages.u.nrows(), stages.u.ncols()), (whole.nrows(), rank));
                    let lost = (whole - stages.product(&layer.extents, Form::Channel)).squared_norm_l2();
                    let told = if rank == 40 { 0.0 } else { spectrum.losses()[rank] };
                    assert!((lost - told).abs() < 1e-5 * energy, "{dims:?} at {rank}: {lost}, told {told}");
                    let (u, v) = spectrum.factors(whole, rank);
                    assert!(rank == 40 || ((u * v) - stages.product(&layer.extents, Form::Channel)).norm_l2() < 1e-3);
                }
            });
        }
    }
}
