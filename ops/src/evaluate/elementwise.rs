//! Kernels of elementwise operators: each says what it does to one number, in whole numbers and in floats.
//!
//! Arithmetic on floats is done in binary64 and rounded once to the tensor's own type; on whole numbers in 64 bits, wrapped
//! to the tensor's own width, as runtimes do.

use ndarray::{ArrayD, ArrayViewD, IxDyn};
use onnxpress_ir::{DType, Tensor};

use super::{EvalCx, EvalError, Value};

/// The extents that both broadcast to.
///
/// # Errors
/// Where they cannot be broadcast together, or the result is larger than the caller allows.
pub fn broadcast_dims(cx: &EvalCx<'_>, a: &[usize], b: &[usize]) -> Result<Vec<usize>, EvalError> {
    let rank = a.len().max(b.len());
    let extent = |dims: &[usize], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(1, |axis| dims[axis]);
    let mut dims = Vec::with_capacity(rank);
    for axis in 0..rank {
        dims.push(match (extent(a, axis), extent(b, axis)) {
            (x, y) if x == y => x,
            (1, y) => y,
            (x, 1) => x,
            _ => return Err(EvalError::invalid(format!("{a:?} and {b:?} cannot be broadcast together"))),
        });
    }
    cx.room_for(&dims)?;
    Ok(dims)
}

/// A view of the values repeated to the extents.
///
/// # Errors
/// Where they cannot be broadcast to them.
pub fn broadcast_to<'a, T>(array: &'a ArrayD<T>, dims: &[usize]) -> Result<ArrayViewD<'a, T>, EvalError> {
    array
        .broadcast(IxDyn(dims))
        .ok_or_else(|| EvalError::invalid(format!("{:?} cannot be broadcast to {dims:?}", array.shape())))
}

fn zip<T: Copy, U>(
    dims: &[usize],
    (a, a_dims): (Vec<T>, &[usize]),
    (b, b_dims): (Vec<T>, &[usize]),
    f: impl Fn(T, T) -> U,
) -> Result<Vec<U>, EvalError> {
    if a_dims == b_dims {
        return Ok(a.into_iter().zip(b).map(|(a, b)| f(a, b)).collect());
    }
    let a = ArrayD::from_shape_vec(IxDyn(a_dims), a)?;
    let b = ArrayD::from_shape_vec(IxDyn(b_dims), b)?;
    Ok(broadcast_to(&a, dims)?.iter().zip(broadcast_to(&b, dims)?.iter()).map(|(&a, &b)| f(a, b)).collect())
}

/// Two operands of one numeric type, and a result of the same.
///
/// # Errors
/// Where the operands are missing, of different or not of numeric types, or cannot be broadcast together.
pub fn binary(
    cx: &EvalCx<'_>,
    whole: impl Fn(i64, i64) -> i64,
    float: impl Fn(f64, f64) -> f64,
) -> Result<Vec<Value>, EvalError> {
    let (a, b) = (cx.tensor(0)?, cx.tensor(1)?);
    Ok(vec![binary_tensors(cx, a, b, whole, float)?.into()])
}

/// The same for tensors at hand.
///
/// # Errors
/// As [`binary`].
pub fn binary_tensors(
    cx: &EvalCx<'_>,
    a: &Tensor,
    b: &Tensor,
    whole: impl Fn(i64, i64) -> i64,
    float: impl Fn(f64, f64) -> f64,
) -> Result<Tensor, EvalError> {
    if a.dtype() != b.dtype() {
        return Err(EvalError::invalid(format!("operands of {} and {}", a.dtype(), b.dtype())));
    }
    let dims = broadcast_dims(cx, a.dims(), b.dims())?;
    Ok(if a.dtype().is_float() {
        let values = zip(&dims, (a.to_f64s()?, a.dims()), (b.to_f64s()?, b.dims()), float)?;
        Tensor::from_f64s(a.dtype(), &dims, &values)?
    } else {
        let values = zip(&dims, (a.to_i64s()?, a.dims()), (b.to_i64s()?, b.dims()), whole)?;
        Tensor::from_i64s(a.dtype(), &dims, &values)?
    })
}

/// Two operands of one numeric type, and a truth value.
///
/// # Errors
/// As [`binary`].
pub fn compare(
    cx: &EvalCx<'_>,
    whole: impl Fn(i64, i64) -> bool,
    float: impl Fn(f64, f64) -> bool,
) -> Result<Vec<Value>, EvalError> {
    let (a, b) = (cx.tensor(0)?, cx.tensor(1)?);
    if a.dtype() != b.dtype() {
        return Err(EvalError::invalid(format!("operands of {} and {}", a.dtype(), b.dtype())));
    }
    let dims = broadcast_dims(cx, a.dims(), b.dims())?;
    let values = if a.dtype().is_float() {
        zip(&dims, (a.to_f64s()?, a.dims()), (b.to_f64s()?, b.dims()), float)?
    } else {
        zip(&dims, (a.to_i64s()?, a.dims()), (b.to_i64s()?, b.dims()), whole)?
    };
    Ok(vec![Tensor::from_values(&dims, values)?.into()])
}

/// One operand of a float type, and a result of the same.
///
/// # Errors
/// Where the operand is missing or not of a float type.
pub fn unary_float(cx: &EvalCx<'_>, f: impl Fn(f64) -> f64) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    if !x.dtype().is_float() {
        return Err(EvalError::invalid(format!("an operand of {}", x.dtype())));
    }
    let values: Vec<f64> = x.to_f64s()?.into_iter().map(f).collect();
    Ok(vec![Tensor::from_f64s(x.dtype(), x.dims(), &values)?.into()])
}

/// One operand of any numeric type, and a result of the same.
///
/// # Errors
/// Where the operand is missing or not of a numeric type.
pub fn unary(cx: &EvalCx<'_>, whole: impl Fn(i64) -> i64, float: impl Fn(f64) -> f64) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    if x.dtype().is_float() {
        return unary_float(cx, float);
    }
    let values: Vec<i64> = x.to_i64s()?.into_iter().map(whole).collect();
    Ok(vec![Tensor::from_i64s(x.dtype(), x.dims(), &values)?.into()])
}

/// Whether the type is one that these kernels compute with.
pub fn is_numeric(dtype: DType) -> bool {
    dtype.is_float() || dtype.is_integer()
}
