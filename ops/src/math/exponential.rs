//! `Exp`, `Log`, `Sqrt`, `Reciprocal`, `Erf`: functions of one number that are no trigonometry.
//!
//! One operand `[s..]`; output `[s..]` of the same type. Outside of a function's domain the result is NaN. `Erf` took whole
//! numbers too in opsets 9 to 12; its results are cut off then, as runtimes do.
//!
//! Source: ONNX operator specification, the operators of these names, opsets 1 (`Erf` 9) to 13.

use std::f64::consts::FRAC_2_SQRT_PI;

use onnxpress_ir::Tensor;

use crate::elementwise::{CURVED, pointwise};
use crate::evaluate::elementwise::unary_float;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::{Gradient, function};
use crate::operator::Operator;

pub(crate) static EXP: Operator =
    pointwise("Exp", CURVED, Gradient::With(|cx| cx.pointwise(|_, y, g| g * y)), |cx| unary_float(cx, f64::exp));
pub(crate) static LOG: Operator =
    pointwise("Log", CURVED, Gradient::With(|cx| cx.pointwise(|x, _, g| g / x)), |cx| unary_float(cx, f64::ln));
pub(crate) static SQRT: Operator =
    pointwise("Sqrt", CURVED, Gradient::With(|cx| cx.pointwise(|_, y, g| 0.5 * g / y)), |cx| {
        unary_float(cx, f64::sqrt)
    });
pub(crate) static RECIPROCAL: Operator =
    pointwise("Reciprocal", CURVED, Gradient::With(|cx| cx.pointwise(|_, y, g| -(g * y.squared()))), |cx| {
        unary_float(cx, f64::recip)
    });
pub(crate) static ERF: Operator = pointwise(
    "Erf",
    CURVED,
    Gradient::With(|cx| cx.pointwise(|x, _, g| g * FRAC_2_SQRT_PI * function("Exp", -x.squared()))),
    erf,
);

fn erf(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let values: Vec<f64> = x.to_f64s()?.into_iter().map(libm::erf).collect();
    Ok(vec![Tensor::from_f64s(x.dtype(), x.dims(), &values)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn values_at_the_edges() {
        assert_eq!(op("Log").floats(&[2], &[0.0, 1.0]).f32s(), [f32::NEG_INFINITY, 0.0]);
        assert!(op("Sqrt").floats(&[1], &[-1.0]).f32s()[0].is_nan());
        assert_eq!(op("Exp").floats(&[2], &[0.0, f32::NEG_INFINITY]).f32s(), [1.0, 0.0]);
        assert_eq!(op("Reciprocal").floats(&[2], &[4.0, -0.0]).f32s(), [0.25, f32::NEG_INFINITY]);
    }

    #[test]
    fn erf_is_odd_and_bounded() {
        let values = op("Erf").floats(&[4], &[0.5, -0.5, 10.0, 0.0]).f32s();
        assert_eq!(values, [0.520_499_9, -0.520_499_9, 1.0, 0.0]);
        assert_eq!(op("Erf").version(9).int64s(&[2], &[0, 3]).i64s(), [0, 0]);
    }
}
