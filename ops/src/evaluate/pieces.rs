//! Tensors of any element type taken apart and put together along an axis: slices, concatenation, stacks.

use bytes::Bytes;
use onnxpress_ir::{DType, Graph, Tensor};

use super::pick::{pick, pick_among};
use super::walk::{concat_places, slice_places};
use super::{EvalCx, EvalError};

/// The slice of `length` indices from `start` on along an axis.
///
/// # Errors
/// Where the tensor has no such axis or indices.
pub fn slice(tensor: &Tensor, axis: usize, start: usize, length: usize) -> Result<Tensor, EvalError> {
    let fail = || EvalError::invalid(format!("no {length} indices from {start} on along axis {axis} of {tensor:?}"));
    let mut dims = tensor.dims().to_vec();
    let extent = *dims.get(axis).ok_or_else(fail)?;
    if start.checked_add(length).is_none_or(|end| end > extent) {
        return Err(fail());
    }
    dims[axis] = length;
    pick(tensor, &dims, slice_places(tensor.dims(), axis, start, length))
}

/// The slice at `index` along an axis, without that axis.
///
/// # Errors
/// Where the tensor has no such axis or index.
pub fn slice_at(tensor: &Tensor, axis: usize, index: usize) -> Result<Tensor, EvalError> {
    let one = slice(tensor, axis, index, 1)?;
    let mut dims = one.dims().to_vec();
    dims.remove(axis);
    Ok(one.reshaped(&dims)?)
}

/// The tensors one after the other along an axis.
///
/// # Errors
/// Where there is none, they differ in type or in another extent, or the result is larger than allowed.
pub fn concat(cx: &EvalCx<'_>, axis: usize, tensors: &[Tensor]) -> Result<Tensor, EvalError> {
    let first = tensors.first().ok_or_else(|| EvalError::invalid("no tensors to put together"))?;
    let mut dims = first.dims().to_vec();
    if axis >= dims.len() {
        return Err(EvalError::invalid(format!("axis {axis} of tensors of rank {}", dims.len())));
    }
    dims[axis] = 0;
    for tensor in tensors {
        let fits = tensor.dtype() == first.dtype()
            && tensor.rank() == first.rank()
            && tensor.dims().iter().zip(first.dims()).enumerate().all(|(at, (a, b))| at == axis || a == b);
        if !fits {
            return Err(EvalError::invalid(format!("{tensor:?} beside {first:?} along axis {axis}")));
        }
        dims[axis] = dims[axis].saturating_add(tensor.dims()[axis]);
    }
    cx.room_for(&dims)?;
    let extents: Vec<&[usize]> = tensors.iter().map(|tensor| tensor.dims()).collect();
    pick_among(&tensors.iter().collect::<Vec<_>>(), &dims, concat_places(&extents, axis))
}

/// The tensors, all of one shape, one after the other along a new axis.
///
/// # Errors
/// As [`concat()`].
pub fn stack(cx: &EvalCx<'_>, axis: usize, tensors: &[Tensor]) -> Result<Tensor, EvalError> {
    let with_axis = |tensor: &Tensor| {
        let mut dims = tensor.dims().to_vec();
        if axis > dims.len() {
            return Err(EvalError::invalid(format!("a new axis {axis} of tensors of rank {}", dims.len())));
        }
        dims.insert(axis, 1);
        Ok(tensor.reshaped(&dims)?)
    };
    concat(cx, axis, &tensors.iter().map(with_axis).collect::<Result<Vec<_>, _>>()?)
}

/// The stack of no slices: what output `index` of the body declares, with a new axis of extent 0.
///
/// # Errors
/// Where the body has no such output, or its type is not known.
pub fn empty_of(body: &Graph, index: usize, axis: i64) -> Result<Tensor, EvalError> {
    let output =
        body.outputs().get(index).copied().ok_or_else(|| EvalError::invalid("the body has too few outputs"))?;
    let ty = &body.output(output).declared;
    let dtype = ty.dtype().ok_or_else(|| EvalError::unsupported("a stack of no slices of unknown type"))?;
    let dims = ty.shape().map_or(&[][..], |shape| shape);
    let mut dims: Vec<usize> =
        dims.iter().map(|dim| dim.as_const().and_then(|extent| usize::try_from(extent).ok()).unwrap_or(0)).collect();
    let axis = onnxpress_ir::shape::normalize_axis(axis, dims.len() + 1)
        .ok_or_else(|| EvalError::invalid(format!("axis {axis} of a stack of rank {}", dims.len() + 1)))?;
    dims.insert(axis, 0);
    match dtype {
        DType::String => Ok(Tensor::from_strings(&dims, Vec::new())?),
        dtype => Ok(Tensor::from_bytes(dtype, &dims, Bytes::new())?),
    }
}

/// A tensor of zeros, or of empty strings.
///
/// # Errors
/// Where it is larger than allowed.
pub fn zeros(cx: &EvalCx<'_>, dtype: DType, dims: &[usize]) -> Result<Tensor, EvalError> {
    let count = cx.room_for(dims)?;
    if dtype == DType::String {
        return Ok(Tensor::from_strings(dims, vec![Bytes::new(); count])?);
    }
    let length = dtype.packed_len(count).ok_or_else(|| EvalError::invalid(format!("{count} elements of {dtype}")))?;
    Ok(Tensor::from_bytes(dtype, dims, vec![0u8; length].into())?)
}
