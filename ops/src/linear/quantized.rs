//! Zero points and scales of integer products: one for all, or one for each row, column or output channel.

use onnxpress_ir::Tensor;

use crate::evaluate::elementwise::broadcast_to;
use crate::evaluate::lanes::volume;
use crate::evaluate::{EvalCx, EvalError};
use crate::node::NodeCx;

/// Which axis of the tensor a list of parameters runs along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Along {
    /// None: there is one parameter.
    Whole,
    /// The first: the output channels of a convolution's weight.
    First,
    /// The last but one: the rows of matrices.
    Rows,
    /// The last: the columns of matrices.
    Columns,
}

/// A parameter for each element of a tensor of these extents, for which there is room. A parameter of more than one axis is
/// broadcast as it is.
///
/// # Errors
/// Where it does not fit.
pub(crate) fn spread(parameter: &Tensor, dims: &[usize], along: Along) -> Result<Vec<f64>, EvalError> {
    let values = parameter.to_f64s()?;
    let fail = || EvalError::invalid(format!("parameters {:?} of a tensor {dims:?}", parameter.dims()));
    if let [one] = values.as_slice() {
        return Ok(vec![*one; volume(dims)]);
    }
    let ones = |count: usize| std::iter::repeat_n(1, count);
    let own: Vec<usize> = match (along, parameter.dims()) {
        (Along::Whole, _) => return Err(fail()),
        (Along::First, &[count]) => std::iter::once(count).chain(ones(dims.len().saturating_sub(1))).collect(),
        (Along::First, _) => return Err(fail()),
        // One row: what would be a matrix of one row is a vector.
        (Along::Rows, &[count]) if dims.len() > 1 => vec![count, 1],
        (Along::Rows | Along::Columns, own) => own.to_vec(),
    };
    let array = ndarray::ArrayD::from_shape_vec(ndarray::IxDyn(&own), values)?;
    Ok(broadcast_to(&array, dims).map_err(|_| fail())?.iter().copied().collect())
}

/// The elements less their zero points.
///
/// # Errors
/// Where the zero points do not fit.
pub(crate) fn centered(
    cx: &EvalCx<'_>,
    tensor: &Tensor,
    zero_point: Option<&Tensor>,
    along: Along,
) -> Result<Vec<f64>, EvalError> {
    cx.room_for(tensor.dims())?;
    let mut values = tensor.to_f64s()?;
    if let Some(zero_point) = zero_point {
        let zeros = spread(zero_point, tensor.dims(), along)?;
        values.iter_mut().zip(zeros).for_each(|(value, zero)| *value -= zero);
    }
    Ok(values)
}

/// The axes of parameters: `letter` where there is a list of them, nothing where there is one.
pub(crate) fn axes_of(cx: &NodeCx<'_>, operand: usize, letter: &'static str) -> &'static str {
    match cx.shape(operand).map(|shape| &**shape) {
        Some([]) => "",
        Some([count]) if count.as_const() == Some(1) => "1",
        Some([_]) => letter,
        _ => "*",
    }
}

/// Numbers quantized by one scale and zero point, whose type the result has: rounded to nearest, ties to even, and cut off at
/// the ends of the type.
///
/// # Errors
/// Where there is more than one scale or zero point.
pub(crate) fn requantize(
    values: &[f64],
    dims: &[usize],
    scale: &Tensor,
    zero_point: &Tensor,
) -> Result<Tensor, EvalError> {
    let (scale, zero) = match (scale.to_f64s()?.as_slice(), zero_point.to_f64s()?.as_slice()) {
        (&[scale], &[zero]) => (scale, zero),
        _ => return Err(EvalError::invalid("more than one scale or zero point of the result")),
    };
    let dtype = zero_point.dtype();
    let quantized = |&value: &f64| {
        let scaled = value / scale;
        if dtype.is_float() { scaled + zero } else { scaled.round_ties_even() + zero }
    };
    let quantized: Vec<f64> = values.iter().map(quantized).collect();
    Ok(Tensor::from_f64s(dtype, dims, &quantized)?)
}
