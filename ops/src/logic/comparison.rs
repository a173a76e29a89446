//! `Equal`, `Greater`, `GreaterOrEqual`, `Less`, `LessOrEqual`: elementwise comparison with broadcasting.
//!
//! Operands A, B `[s..]` of one type, broadcast together; output `[s..]` of truth values. A comparison with NaN is false.
//! `Equal` takes truth values too, and strings from opset 19 on.
//!
//! Source: ONNX operator specification, the operators of these names, opsets 1 (the inclusive ones 12) to 19 (before 7
//! broadcasting was asked for by attributes).

use std::cmp::Ordering;

use onnxpress_ir::{DType, Dim};

use crate::elementwise::predicate;
use crate::evaluate::elementwise::{compare, compare_strings};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{self, InferCx, Undecided};
use crate::operator::Operator;

pub(crate) static EQUAL: Operator = predicate("Equal", |cx| infer_with(cx, Dim::equals), equal);
pub(crate) static GREATER: Operator =
    predicate("Greater", |cx| infer_with(cx, is_above), |cx| compare(cx, |a, b| a > b, |a, b| a > b));
pub(crate) static GREATER_OR_EQUAL: Operator =
    predicate("GreaterOrEqual", |cx| infer_with(cx, is_at_least), |cx| compare(cx, |a, b| a >= b, |a, b| a >= b));
pub(crate) static LESS: Operator =
    predicate("Less", |cx| infer_with(cx, |a, b| is_above(b, a)), |cx| compare(cx, |a, b| a < b, |a, b| a < b));
pub(crate) static LESS_OR_EQUAL: Operator = predicate(
    "LessOrEqual",
    |cx| infer_with(cx, |a, b| is_at_least(b, a)),
    |cx| compare(cx, |a, b| a <= b, |a, b| a <= b),
);

fn is_above(a: &Dim, b: &Dim) -> Option<bool> {
    (a - b).is_positive()
}

fn is_at_least(a: &Dim, b: &Dim) -> Option<bool> {
    (a - b).is_non_negative()
}

/// Tells the truth values that hold for all sizes.
fn infer_with(cx: &mut InferCx<'_>, holds: impl Fn(&Dim, &Dim) -> Option<bool>) -> Result<(), Undecided> {
    let dtype = infer::elementwise(cx, Some(DType::Bool))?;
    infer::elements_of_pairs(cx, dtype, |a, b| {
        holds(a, b).map_or_else(Dim::unknown, |truth| Dim::from(i64::from(truth)))
    });
    Ok(())
}

fn equal(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    if cx.tensor(0)?.dtype() == DType::String {
        return compare_strings(cx, |a, b| a.cmp(b) == Ordering::Equal);
    }
    compare(cx, |a, b| a == b, |a, b| a == b)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    #[test]
    fn what_holds_for_all_sizes_is_known() {
        let with_zero = |name| op(name).elements("int64[3]", "N+1 0 N").elements("int64[]", "0");
        assert_eq!(with_zero("Equal").infer(), "bool[3] = {0, 1, ?}");
        assert_eq!(with_zero("Greater").infer(), "bool[3] = {1, 0, ?}");
        assert_eq!(with_zero("GreaterOrEqual").infer(), "bool[3] = {1, 1, 1}");
        assert_eq!(with_zero("Less").infer(), "bool[3] = {0, 0, 0}");
        assert_eq!(op("Less").input("float[N,1]").input("float[4]").infer(), "bool[N,4]");
    }

    #[test]
    fn nan_is_unequal_and_unordered() {
        for name in ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"] {
            assert_eq!(op(name).floats(&[1], &[f32::NAN]).floats(&[1], &[f32::NAN]).i64s(), [0], "{name}");
        }
    }

    #[test]
    fn large_unsigned_numbers_and_strings() {
        let widest = Tensor::vector(vec![u64::MAX]);
        assert_eq!(op("Greater").constant(widest).constant(Tensor::vector(vec![1u64])).i64s(), [1]);
        let strings = |words: [&'static str; 2]| {
            Tensor::from_strings(&[2], words.map(|word| Bytes::from_static(word.as_bytes())).to_vec()).unwrap()
        };
        assert_eq!(op("Equal").constant(strings(["a", "b"])).constant(strings(["a", "c"])).i64s(), [1, 0]);
    }
}
