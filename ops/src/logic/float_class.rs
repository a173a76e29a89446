//! `IsInf`, `IsNaN`: which elements are infinite, which are no number.
//!
//! One operand `[s..]` of a float type, from opset 20 on of eight bits too; output `[s..]` of truth values. `IsInf` can leave
//! out either sign.
//!
//! Source: ONNX operator specification, `IsInf`, opsets 10 to 20, `IsNaN`, opsets 9 to 20.

use onnxpress_ir::DType;

use crate::elementwise::pointwise;
use crate::evaluate::elementwise::classify;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Infer, Operator, Quantize};

const TRUTH: Quantize = Quantize::KeepsFloat("its results are truth values");

pub(crate) static IS_INF: Operator = Operator {
    infer: Infer::With(infer),
    ..pointwise("IsInf", TRUTH, Gradient::Zero("its results are truth values"), is_inf)
};
pub(crate) static IS_NAN: Operator = Operator {
    infer: Infer::With(infer),
    ..pointwise("IsNaN", TRUTH, Gradient::Zero("its results are truth values"), |cx| classify(cx, f64::is_nan))
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.set_tensor(0, DType::Bool, cx.shape(0).cloned());
    Ok(())
}

fn is_inf(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let negative = cx.attrs().int_or("detect_negative", 1)? != 0;
    let positive = cx.attrs().int_or("detect_positive", 1)? != 0;
    classify(cx, |x| x.is_infinite() && if x > 0.0 { positive } else { negative })
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn signs_can_be_left_out() {
        let values = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1.0];
        assert_eq!(op("IsInf").floats(&[4], &values).i64s(), [1, 1, 0, 0]);
        assert_eq!(op("IsInf").int("detect_negative", 0).floats(&[4], &values).i64s(), [1, 0, 0, 0]);
        assert_eq!(op("IsNaN").floats(&[4], &values).i64s(), [0, 0, 1, 0]);
        assert_eq!(op("IsNaN").input("float16[N,2]").infer(), "bool[N,2]");
    }
}
