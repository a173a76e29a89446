//! Kernels of elementwise operators: each says what it does to one number, in whole numbers and in floats.
//!
//! Arithmetic on floats is done in binary64 and rounded once to the tensor's own type; on whole numbers exactly, then wrapped
//! to the tensor's own width, as runtimes do.

use ndarray::{ArrayD, ArrayViewD, IxDyn};
use onnxpress_ir::Tensor;

use super::whole::{from_wholes, to_wholes};
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

/// `f` of each pair of values, both repeated to `dims`.
///
/// # Errors
/// Where they cannot be broadcast to them.
pub fn zip_broadcast<T: Copy, U>(
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

/// A result of whole numbers, for which no value may be defined (a quotient by 0).
fn defined(values: Vec<Option<i128>>) -> Result<Vec<i128>, EvalError> {
    let all: Option<Vec<i128>> = values.into_iter().collect();
    all.ok_or_else(|| EvalError::invalid("an element has no defined result (as of a division by 0)"))
}

fn expect_same_type(a: &Tensor, b: &Tensor) -> Result<(), EvalError> {
    if a.dtype() == b.dtype() {
        return Ok(());
    }
    Err(EvalError::invalid(format!("operands of {} and {}", a.dtype(), b.dtype())))
}

/// Two operands of one numeric type, and a result of the same. `whole` answers `None` where no result is defined.
///
/// # Errors
/// Where the operands are missing, of different or not of numeric types, or cannot be broadcast together.
pub fn binary(
    cx: &EvalCx<'_>,
    whole: impl Fn(i128, i128) -> Option<i128>,
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
    whole: impl Fn(i128, i128) -> Option<i128>,
    float: impl Fn(f64, f64) -> f64,
) -> Result<Tensor, EvalError> {
    expect_same_type(a, b)?;
    let dims = broadcast_dims(cx, a.dims(), b.dims())?;
    Ok(if a.dtype().is_float() {
        let values = zip_broadcast(&dims, (a.to_f64s()?, a.dims()), (b.to_f64s()?, b.dims()), float)?;
        Tensor::from_f64s(a.dtype(), &dims, &values)?
    } else {
        let values = zip_broadcast(&dims, (to_wholes(a)?, a.dims()), (to_wholes(b)?, b.dims()), whole)?;
        from_wholes(a.dtype(), &dims, &defined(values)?)?
    })
}

/// Two operands of one numeric type, and a truth value.
///
/// # Errors
/// As [`binary`].
pub fn compare(
    cx: &EvalCx<'_>,
    whole: impl Fn(i128, i128) -> bool,
    float: impl Fn(f64, f64) -> bool,
) -> Result<Vec<Value>, EvalError> {
    let (a, b) = (cx.tensor(0)?, cx.tensor(1)?);
    expect_same_type(a, b)?;
    let dims = broadcast_dims(cx, a.dims(), b.dims())?;
    let values = if a.dtype().is_float() {
        zip_broadcast(&dims, (a.to_f64s()?, a.dims()), (b.to_f64s()?, b.dims()), float)?
    } else {
        zip_broadcast(&dims, (to_wholes(a)?, a.dims()), (to_wholes(b)?, b.dims()), whole)?
    };
    Ok(vec![Tensor::from_values(&dims, values)?.into()])
}

/// Two operands of strings, and a truth value.
///
/// # Errors
/// Where an operand is missing or has no strings, or they cannot be broadcast together.
pub fn compare_strings(cx: &EvalCx<'_>, holds: impl Fn(&[u8], &[u8]) -> bool) -> Result<Vec<Value>, EvalError> {
    let (a, b) = (cx.tensor(0)?, cx.tensor(1)?);
    expect_same_type(a, b)?;
    let (Some(left), Some(right)) = (a.strings(), b.strings()) else {
        return Err(EvalError::invalid(format!("operands of {} instead of strings", a.dtype())));
    };
    let dims = broadcast_dims(cx, a.dims(), b.dims())?;
    // References into the tensors are as cheap to repeat as numbers.
    let values = zip_broadcast(
        &dims,
        (left.iter().collect::<Vec<_>>(), a.dims()),
        (right.iter().collect::<Vec<_>>(), b.dims()),
        |a, b| holds(a, b),
    )?;
    Ok(vec![Tensor::from_values(&dims, values)?.into()])
}

/// Two operands of truth values, and a result of the same.
///
/// # Errors
/// Where an operand is missing or has no truth values, or they cannot be broadcast together.
pub fn logical(cx: &EvalCx<'_>, f: impl Fn(bool, bool) -> bool) -> Result<Vec<Value>, EvalError> {
    let (a, b) = (cx.tensor(0)?, cx.tensor(1)?);
    let dims = broadcast_dims(cx, a.dims(), b.dims())?;
    let truths = |tensor: &Tensor| tensor.values::<bool>().map(std::borrow::Cow::into_owned);
    let values = zip_broadcast(&dims, (truths(a)?, a.dims()), (truths(b)?, b.dims()), f)?;
    Ok(vec![Tensor::from_values(&dims, values)?.into()])
}

/// One operand of a float type, and a result of the same.
///
/// # Errors
/// Where the operand is missing or not of a float type.
pub fn unary_float(cx: &EvalCx<'_>, f: impl Fn(f64) -> f64) -> Result<Vec<Value>, EvalError> {
    Ok(vec![map_floats(cx.tensor(0)?, f)?.into()])
}

/// The same for a tensor at hand.
///
/// # Errors
/// Where the tensor is not of a float type.
pub fn map_floats(x: &Tensor, f: impl Fn(f64) -> f64) -> Result<Tensor, EvalError> {
    if !x.dtype().is_float() {
        return Err(EvalError::invalid(format!("an operand of {}", x.dtype())));
    }
    let values: Vec<f64> = x.to_f64s()?.into_iter().map(f).collect();
    Ok(Tensor::from_f64s(x.dtype(), x.dims(), &values)?)
}

/// One operand of any numeric type, and a result of the same.
///
/// # Errors
/// Where the operand is missing or not of a numeric type.
pub fn unary(
    cx: &EvalCx<'_>,
    whole: impl Fn(i128) -> i128,
    float: impl Fn(f64) -> f64,
) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    if x.dtype().is_float() {
        return unary_float(cx, float);
    }
    let values: Vec<i128> = to_wholes(x)?.into_iter().map(whole).collect();
    Ok(vec![from_wholes(x.dtype(), x.dims(), &values)?.into()])
}

/// One operand of a float type, and a truth value.
///
/// # Errors
/// Where the operand is missing or not of a float type.
pub fn classify(cx: &EvalCx<'_>, f: impl Fn(f64) -> bool) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    if !x.dtype().is_float() {
        return Err(EvalError::invalid(format!("an operand of {}", x.dtype())));
    }
    let values: Vec<bool> = x.to_f64s()?.into_iter().map(f).collect();
    Ok(vec![Tensor::from_values(x.dims(), values)?.into()])
}
