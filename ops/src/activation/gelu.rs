//! `Gelu`: a number times the probability that a normal one is below it, `x * Phi(x)`.
//!
//! One operand `[s..]`; output `[s..]` of the same type. `approximate = "tanh"` asks for an approximation of `Phi`.
//!
//! Source: ONNX operator specification, `Gelu`, opset 20; D. Hendrycks, K. Gimpel, "Gaussian Error Linear Units" (2016).

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use crate::elementwise::{CURVED, pointwise};
use crate::evaluate::elementwise::unary_float;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::operator::Operator;

pub(crate) static GELU: Operator = pointwise("Gelu", CURVED, Gradient::With(super::gradient::gelu), evaluate);

/// `x * Phi(x)`.
pub(crate) fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x * FRAC_1_SQRT_2))
}

/// The same with `2 Phi(x) - 1` taken as `tanh(sqrt(2 / pi) * (x + 0.044715 x^3))`.
pub(crate) fn gelu_by_tanh(x: f64) -> f64 {
    let sqrt_2_over_pi = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
    0.5 * x * (1.0 + (sqrt_2_over_pi * (x + 0.044_715 * x * x * x)).tanh())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    match cx.attrs().string_or("approximate", "none".into())?.as_ref() {
        "none" => unary_float(cx, gelu),
        "tanh" => unary_float(cx, gelu_by_tanh),
        other => Err(EvalError::invalid(format!("`approximate` is `{other}`, not none or tanh"))),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn the_approximation_is_close_and_not_equal() {
        let exact = op("Gelu").floats(&[3], &[-1.0, 0.0, 1.0]).f32s();
        assert_eq!(exact, [-0.158_655_26, 0.0, 0.841_344_8]);
        let close = op("Gelu").string("approximate", "tanh").floats(&[3], &[-1.0, 0.0, 1.0]).f32s();
        assert!(exact.iter().zip(&close).all(|(a, b)| (a - b).abs() < 1e-3) && exact != close);
        let wrong = op("Gelu").string("approximate", "quick").floats(&[1], &[0.0]);
        assert_eq!(wrong.fault(), "`approximate` is `quick`, not none or tanh");
    }
}
