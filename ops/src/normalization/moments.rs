//! Mean and variance, and what the normalizing sheets share.

use onnxpress_ir::{Dim, Tensor};

use crate::axes::Axes;
use crate::elementwise::{Kernel, pointwise};
use crate::evaluate::EvalError;
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Infer, Linear, Operator, Quantize};

/// The sheet of an operator that normalizes, but for what is its own.
pub(super) const fn sheet(
    name: &'static str,
    infer: fn(&mut InferCx<'_>) -> Result<(), Undecided>,
    axes: Axes,
    gradient: Gradient,
    kernel: Kernel,
) -> Operator {
    Operator {
        infer: Infer::With(infer),
        axes,
        linear: Linear::None("it scales each element alone"),
        cost: Cost::None("it scales each element alone"),
        ..pointwise(name, Quantize::KeepsFloat("statistics need the range of floats"), gradient, kernel)
    }
}

/// Mean and variance (that of all there is, not an estimate from a sample) of a list.
pub(super) fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count)
}

/// Fails unless operand `index` can be a list of so many numbers, as far as is known.
///
/// # Errors
/// As said.
pub(super) fn expect_list(cx: &InferCx<'_>, index: usize, count: &Dim) -> Result<(), Undecided> {
    match cx.shape(index).map(|shape| &**shape) {
        None => Ok(()),
        Some([own]) if own.equals(count) != Some(false) => Ok(()),
        Some(other) => {
            let found = onnxpress_ir::Shape::from(other);
            Err(Undecided::invalid(format!("operand {index} has the shape {found}, not [{count}]")))
        }
    }
}

/// The elements of a row of so many numbers.
///
/// # Errors
/// Where it is no row, or there are more or fewer.
pub(super) fn list(tensor: &Tensor, count: usize) -> Result<Vec<f64>, EvalError> {
    if tensor.dims() != [count] {
        return Err(EvalError::invalid(format!("a parameter of the extents {:?}, not [{count}]", tensor.dims())));
    }
    Ok(tensor.to_f64s()?)
}
