//! Functions around the logistic one: `Sigmoid`, `HardSigmoid`, `HardSwish`, `Swish`, `Softplus`, `Softsign`, `Mish`.
//!
//! One operand `[s..]`; output `[s..]` of the same type.
//!
//! Source: ONNX operator specification, the operators of these names, opsets 1 (`HardSwish` 14, `Mish` 18, `Swish` 24) to 24.

use crate::elementwise::{CURVED, pointwise};
use crate::evaluate::elementwise::unary_float;
use crate::gradient::{Gradient, function};
use crate::operator::{Operator, Quantize};

pub(crate) static SIGMOID: Operator = pointwise(
    "Sigmoid",
    Quantize::Elementwise,
    Gradient::With(|cx| cx.pointwise(|_, y, g| g * y.clone() * (1.0 - y))),
    |cx| unary_float(cx, sigmoid),
);
pub(crate) static HARD_SIGMOID: Operator =
    pointwise("HardSigmoid", Quantize::Elementwise, Gradient::With(super::gradient::hard_sigmoid), |cx| {
        let alpha = f64::from(cx.attrs().float_or("alpha", 0.2)?);
        let beta = f64::from(cx.attrs().float_or("beta", 0.5)?);
        unary_float(cx, |x| hard_sigmoid(x, alpha, beta))
    });
pub(crate) static HARD_SWISH: Operator =
    pointwise("HardSwish", Quantize::Elementwise, Gradient::With(super::gradient::hard_swish), |cx| {
        unary_float(cx, |x| x * hard_sigmoid(x, 1.0 / 6.0, 0.5))
    });
pub(crate) static SWISH: Operator =
    pointwise("Swish", Quantize::Elementwise, Gradient::With(super::gradient::swish), |cx| {
        let alpha = f64::from(cx.attrs().float_or("alpha", 1.0)?);
        unary_float(cx, |x| x * sigmoid(alpha * x))
    });
pub(crate) static SOFTPLUS: Operator =
    pointwise("Softplus", CURVED, Gradient::With(|cx| cx.pointwise(|x, _, g| g * function("Sigmoid", x))), |cx| {
        unary_float(cx, softplus)
    });
pub(crate) static SOFTSIGN: Operator = pointwise(
    "Softsign",
    CURVED,
    Gradient::With(|cx| cx.pointwise(|x, _, g| g / (1.0 + function("Abs", x)).squared())),
    |cx| unary_float(cx, softsign),
);
pub(crate) static MISH: Operator =
    pointwise("Mish", CURVED, Gradient::With(super::gradient::mish), |cx| unary_float(cx, |x| x * softplus(x).tanh()));

/// `1 / (1 + exp(-x))`.
pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The line `alpha * x + beta`, cut off at 0 and 1; NaN stays.
pub(crate) fn hard_sigmoid(x: f64, alpha: f64, beta: f64) -> f64 {
    (alpha * x + beta).clamp(0.0, 1.0)
}

/// `ln(1 + exp(x))`, written so that nothing overflows.
pub(crate) fn softplus(x: f64) -> f64 {
    if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() }
}

/// `x / (1 + |x|)`.
pub(crate) fn softsign(x: f64) -> f64 {
    x / (1.0 + x.abs())
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn far_out_they_meet_their_asymptotes() {
        let far = |name: &'static str| op(name).floats(&[2], &[-1e4, 1e4]).f32s();
        assert_eq!(far("Sigmoid"), [0.0, 1.0]);
        assert_eq!(far("HardSigmoid"), [0.0, 1.0]);
        assert_eq!(far("Softplus"), [0.0, 1e4]);
        assert_eq!(far("HardSwish"), [0.0, 1e4]);
        assert_eq!(far("Swish"), [0.0, 1e4]);
        assert_eq!(far("Mish"), [0.0, 1e4]);
        assert_eq!(op("Softsign").floats(&[2], &[1.0, -3.0]).f32s(), [0.5, -0.75]);
    }

    #[test]
    fn nan_stays() {
        for name in ["Sigmoid", "HardSigmoid", "HardSwish", "Swish", "Softplus", "Softsign", "Mish"] {
            assert!(op(name).floats(&[1], &[f32::NAN]).f32s()[0].is_nan(), "{name}");
        }
    }
}
