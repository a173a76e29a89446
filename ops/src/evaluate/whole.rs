//! Whole numbers of any width as one type that holds them all, so that a kernel is written once for signed and unsigned.

use onnxpress_ir::{DType, Tensor, TensorError};

/// The elements of an integer tensor, those of `uint64` included, or truth values as 0 and 1.
///
/// # Errors
/// Where the elements are no whole numbers.
pub fn to_wholes(tensor: &Tensor) -> Result<Vec<i128>, TensorError> {
    match tensor.dtype() {
        DType::Uint64 => Ok(tensor.values::<u64>()?.iter().map(|&value| i128::from(value)).collect()),
        _ => Ok(tensor.to_i64s()?.into_iter().map(i128::from).collect()),
    }
}

/// A tensor of whole numbers; out of range they wrap to the type's width, as two's complement does.
///
/// # Errors
/// Where the type has no whole numbers, or there are more or fewer values than the extents say.
pub fn from_wholes(dtype: DType, dims: &[usize], values: &[i128]) -> Result<Tensor, TensorError> {
    let low_halves: Vec<i64> = values.iter().map(|&value| value as i64).collect();
    Tensor::from_i64s(dtype, dims, &low_halves)
}
