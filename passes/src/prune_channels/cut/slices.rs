//! Slices of tensors: the kept indices of some axes, whatever the element type.

use bytes::Bytes;
use onnxpress_ir::{DType, Tensor, TensorError};

/// Which indices of each axis are kept; `None` for all.
pub(crate) type Kept = Vec<Option<Vec<usize>>>;

/// The tensor with only the kept indices of each axis, in order.
///
/// # Errors
/// Where the result is no tensor, which indices out of range would make it.
pub(crate) fn slice(tensor: &Tensor, kept: &Kept) -> Result<Tensor, TensorError> {
    let mut result = tensor.clone();
    for (axis, indices) in kept.iter().enumerate() {
        if let Some(indices) = indices {
            result = along(&result, axis, indices)?;
        }
    }
    Ok(result)
}

fn along(tensor: &Tensor, axis: usize, indices: &[usize]) -> Result<Tensor, TensorError> {
    let mut dims = tensor.dims().to_vec();
    let extent = dims[axis];
    dims[axis] = indices.len();
    let outer: usize = dims[..axis].iter().product();
    let inner: usize = dims[axis + 1..].iter().product();
    let starts = || (0..outer).flat_map(|row| indices.iter().map(move |&index| (row * extent + index) * inner));
    if let Some(strings) = tensor.strings() {
        let taken = starts().flat_map(|start| strings[start..start + inner].iter().cloned()).collect();
        return Tensor::from_strings(&dims, taken);
    }
    let bytes = tensor.bytes().cloned().unwrap_or_default();
    let bits = bits(tensor.dtype());
    if bits.is_multiple_of(8) {
        let width = bits / 8;
        let mut taken = Vec::with_capacity(outer * indices.len() * inner * width);
        for start in starts() {
            taken.extend_from_slice(&bytes[start * width..(start + inner) * width]);
        }
        return Tensor::from_bytes(tensor.dtype(), &dims, Bytes::from(taken));
    }
    // Elements that share a byte, from the low bits up.
    let per_byte = 8 / bits;
    let mask = (1u8 << bits) - 1;
    let mut taken = vec![0u8; (outer * indices.len() * inner).div_ceil(per_byte)];
    for (to, from) in starts().flat_map(|start| start..start + inner).enumerate() {
        let element = bytes[from / per_byte] >> (from % per_byte * bits) & mask;
        taken[to / per_byte] |= element << (to % per_byte * bits);
    }
    Tensor::from_bytes(tensor.dtype(), &dims, Bytes::from(taken))
}

/// Bits of one element; strings have none of their own.
fn bits(dtype: DType) -> usize {
    // Eight elements fill whole bytes in every type.
    dtype.packed_len(8).unwrap_or(8)
}

/// The tensor with what is not kept along an axis put to zero, or to one where zero has no meaning.
///
/// # Errors
/// Where zeros or ones cannot be made of its element type.
pub(crate) fn masked(tensor: &Tensor, kept: &Kept, one: bool) -> Result<Tensor, TensorError> {
    if tensor.dtype() == DType::String {
        return Ok(tensor.clone());
    }
    let fill = Tensor::from_f64s(tensor.dtype(), &[1], &[if one { 1.0 } else { 0.0 }])?;
    let (bits, pattern) = (bits(tensor.dtype()), fill.bytes().cloned().unwrap_or_default());
    let mut bytes = tensor.bytes().map(|bytes| bytes.to_vec()).unwrap_or_default();
    let dims = tensor.dims();
    for (axis, indices) in kept.iter().enumerate() {
        let Some(indices) = indices else { continue };
        let mut gone = vec![true; dims[axis]];
        indices.iter().for_each(|&index| gone[index] = false);
        let outer: usize = dims[..axis].iter().product();
        let inner: usize = dims[axis + 1..].iter().product();
        for row in 0..outer {
            for index in (0..dims[axis]).filter(|&index| gone[index]) {
                let start = (row * dims[axis] + index) * inner;
                if bits.is_multiple_of(8) {
                    let width = bits / 8;
                    for place in bytes[start * width..(start + inner) * width].chunks_exact_mut(width) {
                        place.copy_from_slice(&pattern[..width]);
                    }
                    continue;
                }
                let per_byte = 8 / bits;
                let mask = (1u8 << bits) - 1;
                for place in start..start + inner {
                    let shift = place % per_byte * bits;
                    bytes[place / per_byte] = bytes[place / per_byte] & !(mask << shift) | (pattern[0] & mask) << shift;
                }
            }
        }
    }
    Tensor::from_bytes(tensor.dtype(), dims, Bytes::from(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn kept_indices_of_several_axes() {
        let tensor = Tensor::from_values(&[2, 3, 2], (0i64..12).collect()).unwrap();
        let kept = vec![Some(vec![1]), Some(vec![0, 2]), None];
        let cut = slice(&tensor, &kept).unwrap();
        assert_eq!((cut.dims(), &*cut.values::<i64>().unwrap()), (&[1, 2, 2][..], &[6, 7, 10, 11][..]));
        let zeroed = masked(&tensor, &kept, false).unwrap();
        assert_eq!(*zeroed.values::<i64>().unwrap(), [0, 0, 0, 0, 0, 0, 6, 7, 0, 0, 10, 11]);
    }

    #[test]
    fn elements_that_share_a_byte() {
        let tensor = Tensor::from_f64s(DType::Int4, &[5], &[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let kept = vec![Some(vec![0, 2, 3])];
        assert_eq!(slice(&tensor, &kept).unwrap().to_f64s().unwrap(), [1.0, 3.0, 4.0]);
        assert_eq!(masked(&tensor, &kept, true).unwrap().to_f64s().unwrap(), [1.0, 1.0, 3.0, 4.0, 1.0]);
    }
}
