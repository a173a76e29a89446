//! Trigonometric and hyperbolic functions and their inverses: `Sin`, `Cos`, `Tan`, `Asin`, `Acos`, `Atan`, `Sinh`, `Cosh`,
//! `Tanh`, `Asinh`, `Acosh`, `Atanh`.
//!
//! One operand `[s..]`, angles in radians; output `[s..]` of the same type. Outside of a function's domain the result is NaN.
//!
//! Source: ONNX operator specification, the operators of these names, opsets 7 (`Tanh` 1, the hyperbolic ones 9) to 22.

use crate::elementwise::{CURVED, pointwise};
use crate::evaluate::elementwise::unary_float;
use crate::gradient::{Gradient, function};
use crate::operator::{Operator, Quantize};

pub(crate) static SIN: Operator =
    pointwise("Sin", CURVED, Gradient::With(|cx| cx.pointwise(|x, _, g| g * function("Cos", x))), |cx| {
        unary_float(cx, f64::sin)
    });
pub(crate) static COS: Operator =
    pointwise("Cos", CURVED, Gradient::With(|cx| cx.pointwise(|x, _, g| -(g * function("Sin", x)))), |cx| {
        unary_float(cx, f64::cos)
    });
pub(crate) static TAN: Operator =
    pointwise("Tan", CURVED, Gradient::With(|cx| cx.pointwise(|_, y, g| g * (1.0 + y.squared()))), |cx| {
        unary_float(cx, f64::tan)
    });
pub(crate) static ASIN: Operator = pointwise(
    "Asin",
    CURVED,
    Gradient::With(|cx| cx.pointwise(|x, _, g| g / function("Sqrt", 1.0 - x.squared()))),
    |cx| unary_float(cx, f64::asin),
);
pub(crate) static ACOS: Operator = pointwise(
    "Acos",
    CURVED,
    Gradient::With(|cx| cx.pointwise(|x, _, g| -(g / function("Sqrt", 1.0 - x.squared())))),
    |cx| unary_float(cx, f64::acos),
);
pub(crate) static ATAN: Operator =
    pointwise("Atan", CURVED, Gradient::With(|cx| cx.pointwise(|x, _, g| g / (1.0 + x.squared()))), |cx| {
        unary_float(cx, f64::atan)
    });
pub(crate) static SINH: Operator =
    pointwise("Sinh", CURVED, Gradient::With(|cx| cx.pointwise(|x, _, g| g * function("Cosh", x))), |cx| {
        unary_float(cx, f64::sinh)
    });
pub(crate) static COSH: Operator =
    pointwise("Cosh", CURVED, Gradient::With(|cx| cx.pointwise(|x, _, g| g * function("Sinh", x))), |cx| {
        unary_float(cx, f64::cosh)
    });
pub(crate) static TANH: Operator = pointwise(
    "Tanh",
    Quantize::Elementwise,
    Gradient::With(|cx| cx.pointwise(|_, y, g| g * (1.0 - y.squared()))),
    |cx| unary_float(cx, f64::tanh),
);
pub(crate) static ASINH: Operator = pointwise(
    "Asinh",
    CURVED,
    Gradient::With(|cx| cx.pointwise(|x, _, g| g / function("Sqrt", x.squared() + 1.0))),
    |cx| unary_float(cx, f64::asinh),
);
pub(crate) static ACOSH: Operator = pointwise(
    "Acosh",
    CURVED,
    Gradient::With(|cx| cx.pointwise(|x, _, g| g / function("Sqrt", x.squared() - 1.0))),
    |cx| unary_float(cx, f64::acosh),
);
pub(crate) static ATANH: Operator =
    pointwise("Atanh", CURVED, Gradient::With(|cx| cx.pointwise(|x, _, g| g / (1.0 - x.squared()))), |cx| {
        unary_float(cx, f64::atanh)
    });

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn type_and_shape_are_the_operands() {
        assert_eq!(op("Sin").input("float16[N,?]").infer(), "float16[N,?]");
        assert_eq!(op("Tanh").input("double").infer(), "double");
    }

    #[test]
    fn inverses_lead_back_and_know_their_domain() {
        for (there, back) in [("Sin", "Asin"), ("Tan", "Atan"), ("Sinh", "Asinh"), ("Tanh", "Atanh")] {
            let image = op(there).floats(&[2], &[-0.75, 0.5]).f32s();
            let again = op(back).floats(&[2], &image).f32s();
            assert!((again[0] + 0.75).abs() < 1e-6 && (again[1] - 0.5).abs() < 1e-6, "{back}({there}): {again:?}");
        }
        assert!(op("Acos").floats(&[1], &[1.5]).f32s()[0].is_nan());
        assert_eq!(op("Acosh").floats(&[1], &[1.0]).f32s(), [0.0]);
        assert_eq!(op("Cos").int64s(&[1], &[0]).fault(), "an operand of int64");
    }
}
