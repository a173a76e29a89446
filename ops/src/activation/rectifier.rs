//! Rectifiers: `Relu`, `LeakyRelu`, `ThresholdedRelu`, `Elu`, `Celu`, `Selu`, `Shrink`.
//!
//! One operand `[s..]`; output `[s..]` of the same type. All but `Shrink` pass positive numbers (`ThresholdedRelu`: those
//! above a threshold) and differ in what they make of the others; `Shrink` moves both sides toward zero. `Relu` takes signed
//! whole numbers from opset 14 on, `Shrink` all numbers.
//!
//! Source: ONNX operator specification, the operators of these names, opsets 1 (`Shrink` 9, `ThresholdedRelu` 10, `Celu` 12)
//! to 28.

use onnxpress_ir::{Dim, Tensor};

use crate::elementwise::{CURVED, pointwise};
use crate::evaluate::elementwise::{unary, unary_float};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::{Gradient, choose};
use crate::infer::{self, InferCx, Undecided};
use crate::operator::{Infer, Operator, Quantize};

pub(crate) static RELU: Operator = Operator {
    infer: Infer::With(infer_relu),
    ..pointwise(
        "Relu",
        Quantize::Elementwise,
        Gradient::With(|cx| cx.pointwise(|x, _, g| choose(x.above(0.0), g, 0.0))),
        |cx| unary(cx, |x| x.max(0), relu),
    )
};
pub(crate) static LEAKY_RELU: Operator =
    pointwise("LeakyRelu", Quantize::Elementwise, Gradient::With(super::gradient::leaky_relu), |cx| {
        let alpha = f64::from(cx.attrs().float_or("alpha", 0.01)?);
        unary_float(cx, |x| leaky_relu(x, alpha))
    });
pub(crate) static THRESHOLDED_RELU: Operator =
    pointwise("ThresholdedRelu", Quantize::Elementwise, Gradient::With(super::gradient::thresholded_relu), |cx| {
        let alpha = f64::from(cx.attrs().float_or("alpha", 1.0)?);
        unary_float(cx, |x| thresholded_relu(x, alpha))
    });
pub(crate) static ELU: Operator = pointwise("Elu", CURVED, Gradient::With(super::gradient::elu), |cx| {
    let alpha = f64::from(cx.attrs().float_or("alpha", 1.0)?);
    unary_float(cx, |x| elu(x, alpha))
});
pub(crate) static CELU: Operator = pointwise("Celu", CURVED, Gradient::With(super::gradient::celu), |cx| {
    let alpha = f64::from(cx.attrs().float_or("alpha", 1.0)?);
    unary_float(cx, |x| if x < 0.0 { alpha * (x / alpha).exp_m1() } else { x })
});
pub(crate) static SELU: Operator = pointwise("Selu", CURVED, Gradient::With(super::gradient::selu), |cx| {
    let alpha = f64::from(cx.attrs().float_or("alpha", 1.673_263_2)?);
    let gamma = f64::from(cx.attrs().float_or("gamma", 1.050_701)?);
    unary_float(cx, |x| gamma * elu(x, alpha))
});
pub(crate) static SHRINK: Operator = pointwise("Shrink", CURVED, Gradient::With(super::gradient::shrink), shrink);

/// `max(x, 0)`; NaN stays.
pub(crate) fn relu(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

/// `x`, or `alpha * x` below 0.
pub(crate) fn leaky_relu(x: f64, alpha: f64) -> f64 {
    if x < 0.0 { alpha * x } else { x }
}

/// `x` above `alpha`, else 0.
pub(crate) fn thresholded_relu(x: f64, alpha: f64) -> f64 {
    if x > alpha { x } else { 0.0 }
}

/// `x`, or `alpha * (exp(x) - 1)` below 0.
pub(crate) fn elu(x: f64, alpha: f64) -> f64 {
    if x < 0.0 { alpha * x.exp_m1() } else { x }
}

fn infer_relu(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::same_as_first(cx)?;
    infer::elements_of_each(cx, cx.dtype(0), |x| x.max(Dim::from(0)));
    Ok(())
}

fn shrink(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let bias = f64::from(cx.attrs().float_or("bias", 0.0)?);
    let lambda = f64::from(cx.attrs().float_or("lambd", 0.5)?);
    let toward_zero = |x: f64| match x {
        _ if x < -lambda => x + bias,
        _ if x > lambda => x - bias,
        _ => 0.0,
    };
    let values: Vec<f64> = x.to_f64s()?.into_iter().map(toward_zero).collect();
    Ok(vec![Tensor::from_f64s(x.dtype(), x.dims(), &values)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn positive_numbers_pass_and_nan_stays() {
        for name in ["Relu", "LeakyRelu", "Elu", "Celu"] {
            let y = op(name).floats(&[3], &[2.5, 0.0, f32::NAN]).f32s();
            assert!(y[0] == 2.5 && y[1] == 0.0 && y[2].is_nan(), "{name}: {y:?}");
        }
    }

    #[test]
    fn each_has_its_own_idea_of_the_others() {
        let below = |name: &'static str| op(name).floats(&[1], &[-1.0]).f32s()[0];
        assert_eq!(below("Relu"), 0.0);
        assert_eq!(below("LeakyRelu"), -0.01);
        assert_eq!(below("ThresholdedRelu"), 0.0);
        assert_eq!(below("Elu"), (-1f32).exp_m1());
        assert!((below("Selu") + 1.111_330_7).abs() < 1e-6, "{}", below("Selu"));
        let shrunk = op("Shrink").float("lambd", 1.5).float("bias", 1.5).floats(&[3], &[-2.0, 1.0, 2.0]);
        assert_eq!(shrunk.f32s(), [-0.5, 0.0, 0.5]);
    }

    #[test]
    fn whole_numbers_and_sizes() {
        assert_eq!(op("Relu").int64s(&[2], &[-3, 3]).i64s(), [0, 3]);
        assert_eq!(op("Relu").elements("int64[2]", "N -N-1").infer(), "int64[2] = {N, 0}");
        assert_eq!(op("Shrink").float("bias", 1.0).int64s(&[2], &[-3, 3]).i64s(), [-2, 2]);
    }
}
