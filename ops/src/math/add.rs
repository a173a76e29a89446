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
    binary(cx, i64::wrapping_add, |a, b| a + b)
}
