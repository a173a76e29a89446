//! Sparse tensors written out.

use onnxpress_ir::tensor::element_count;
use onnxpress_ir::{SparseTensor, Tensor};
use onnxpress_proto::Bytes;

/// Largest dense form in bytes: a sparse tensor may claim any extents.
const LIMIT: usize = 1 << 32;

/// The tensor with every element; `None` where an index is outside of it, or it is too large, or of strings.
pub(super) fn dense(sparse: &SparseTensor) -> Option<Tensor> {
    let size = sparse.dtype().bits() / 8;
    let count = element_count(&sparse.dims)?;
    let mut data = vec![0; count.checked_mul(size).filter(|&bytes| size > 0 && bytes <= LIMIT)?];
    let stored = sparse.values.bytes()?;
    let indices = sparse.indices.to_i64s().ok()?;
    let per_element = if sparse.indices.rank() == 2 { sparse.dims.len() } else { 1 };
    if per_element.checked_mul(sparse.values.len())? != indices.len() {
        return None;
    }
    for (element, value) in stored.chunks_exact(size).enumerate() {
        let place = &indices[element * per_element..(element + 1) * per_element];
        let linear = match place {
            [linear] if sparse.indices.rank() != 2 => usize::try_from(*linear).ok()?,
            coordinates => coordinates.iter().zip(&sparse.dims).try_fold(0usize, |linear, (&index, &dim)| {
                let index = usize::try_from(index).ok().filter(|&index| index < dim)?;
                Some(linear * dim + index)
            })?,
        };
        data.get_mut(linear.checked_mul(size)?..)?.get_mut(..size)?.copy_from_slice(value);
    }
    Tensor::from_bytes(sparse.dtype(), &sparse.dims, Bytes::from(data)).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::Carried;

    use super::*;

    fn sparse(indices: Tensor) -> SparseTensor {
        SparseTensor { values: Tensor::vector(vec![5i16, 7]), indices, dims: vec![2, 3], carried: Carried::none() }
    }

    #[test]
    fn both_forms_of_indices_lead_to_the_same_tensor() {
        let linear = dense(&sparse(Tensor::vector(vec![1i64, 5]))).unwrap();
        assert_eq!(linear.to_i64s().unwrap(), [0, 5, 0, 0, 0, 7]);
        let coordinates = Tensor::from_values(&[2, 2], vec![0i64, 1, 1, 2]).unwrap();
        assert_eq!(dense(&sparse(coordinates)).unwrap(), linear);
    }

    #[test]
    fn indices_outside_are_refused() {
        assert_eq!(dense(&sparse(Tensor::vector(vec![1i64, 6]))), None);
        assert_eq!(dense(&sparse(Tensor::vector(vec![1i64, -1]))), None);
        assert_eq!(dense(&sparse(Tensor::from_values(&[2, 2], vec![0i64, 1, 0, 3]).unwrap())), None);
        assert_eq!(dense(&sparse(Tensor::vector(vec![1i64]))), None);
        let claim = SparseTensor { dims: vec![1 << 40], ..sparse(Tensor::vector(vec![1i64, 2])) };
        assert_eq!(dense(&claim), None);
    }
}
