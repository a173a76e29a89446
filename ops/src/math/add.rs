//! `Add`: elementwise sum with broadcasting.
//!
//! Source: ONNX operator specification, `Add`, opsets 1 to 14 (before 7 broadcasting was asked for by attributes, which is
//! older than what this compiler reads).

use crate::axes::Axes;
use crate::evaluate::elementwise::binary;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{self, InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static ADD: Operator = Operator {
    domain: "",
    name: "Add",
    infer: Infer::With(infer),
    axes: Axes::Spec("s.., s.. -> s.."),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("elementwise"),
    quantize: Quantize::Elementwise,
    cost: Cost::None("elementwise"),
    effects: Effects::Pure,
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::elementwise(cx, None)?;
    infer::elements_of_two(cx, |a, b| a + b);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    binary(cx, |a, b| Some(a + b), |a, b| a + b)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    #[test]
    fn sums_of_sizes_stay_known() {
        let sum = op("Add").elements("int64[2]", "N 3").elements("int64[]", "1");
        assert_eq!(sum.infer(), "int64[2] = {N + 1, 4}");
        let broadcast = op("Add").input("float[N,1,4]").input("float[3,1]");
        assert_eq!(broadcast.infer(), "float[N,3,4]");
    }

    #[test]
    fn whole_numbers_wrap() {
        let bytes = |value: u8| Tensor::vector(vec![value]);
        assert_eq!(op("Add").constant(bytes(200)).constant(bytes(100)).i64s(), [44]);
        assert_eq!(op("Add").floats(&[2, 1], &[1.0, 2.0]).floats(&[2], &[10.0, 20.0]).f32s(), [11.0, 21.0, 12.0, 22.0]);
        assert_eq!(op("Add").floats(&[1], &[1.0]).int64s(&[1], &[1]).fault(), "operands of float and int64");
    }
}
