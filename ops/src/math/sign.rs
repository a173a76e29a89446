//! `Abs`, `Neg`, `Sign`: magnitude, opposite, and which side of zero.
//!
//! One operand `[s..]` of any numeric type; output `[s..]` of the same. The smallest whole number of a type is its own
//! opposite and magnitude, as in two's complement; the sign of NaN is NaN.
//!
//! Source: ONNX operator specification, `Abs` and `Neg`, opsets 1 to 13, `Sign`, opsets 9 to 13.

use onnxpress_ir::Dim;

use crate::elementwise::pointwise;
use crate::evaluate::elementwise::unary;
use crate::gradient::{Gradient, function};
use crate::infer::{self, InferCx, Undecided};
use crate::operator::{Infer, Operator, Quantize};

pub(crate) static ABS: Operator = Operator {
    infer: Infer::With(infer_abs),
    ..pointwise(
        "Abs",
        Quantize::Elementwise,
        Gradient::With(|cx| cx.pointwise(|x, _, g| g * function("Sign", x))),
        |cx| unary(cx, i128::abs, f64::abs),
    )
};
pub(crate) static NEG: Operator = Operator {
    infer: Infer::With(infer_neg),
    ..pointwise("Neg", Quantize::Elementwise, Gradient::With(|cx| cx.pointwise(|_, _, g| -g)), |cx| {
        unary(cx, |x| -x, |x| -x)
    })
};
pub(crate) static SIGN: Operator = Operator {
    infer: Infer::With(infer_sign),
    ..pointwise(
        "Sign",
        Quantize::KeepsFloat("its results are -1, 0 and 1"),
        Gradient::Zero("its results are steps"),
        |cx| unary(cx, i128::signum, |x| if x == 0.0 { 0.0 } else { x.signum() }),
    )
};

fn infer_abs(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::same_as_first(cx)?;
    infer::elements_of_each(cx, cx.dtype(0), |x| x.max(-x));
    Ok(())
}

fn infer_neg(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::same_as_first(cx)?;
    infer::elements_of_each(cx, cx.dtype(0), |x| -x);
    Ok(())
}

fn infer_sign(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::same_as_first(cx)?;
    infer::elements_of_each(cx, cx.dtype(0), |x| {
        match (x.is_positive(), (-x).is_positive(), x.equals(&Dim::from(0))) {
            (Some(true), _, _) => Dim::from(1),
            (_, Some(true), _) => Dim::from(-1),
            (_, _, Some(true)) => Dim::from(0),
            _ => Dim::unknown(),
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    #[test]
    fn signs_of_sizes() {
        assert_eq!(op("Neg").elements("int64[2]", "N 3").infer(), "int64[2] = {-N, -3}");
        assert_eq!(op("Abs").elements("int64[2]", "-N -3").infer(), "int64[2] = {N, 3}");
        assert_eq!(op("Sign").elements("int64[3]", "N+1 0 N").infer(), "int64[3] = {1, 0, ?}");
    }

    #[test]
    fn the_smallest_number_has_no_opposite() {
        let smallest = Tensor::vector(vec![i8::MIN]);
        assert_eq!(op("Neg").constant(smallest.clone()).i64s(), [-128]);
        assert_eq!(op("Abs").constant(smallest).i64s(), [-128]);
        let sign = op("Sign").floats(&[3], &[-2.5, 0.0, f32::NAN]).f32s();
        assert!(sign[0] == -1.0 && sign[1] == 0.0 && sign[2].is_nan());
    }
}
