//! `SequenceAt` and `SequenceLength`: what a sequence holds.
//!
//! Source: ONNX operator specification, `SequenceAt` and `SequenceLength`, opset 11.

use onnxpress_ir::{DType, Shape, Tensor, Type};

use super::{place, sheet};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided};
use crate::operator::Operator;

pub(crate) static SEQUENCE_AT: Operator = sheet("SequenceAt", infer_at, at);
pub(crate) static SEQUENCE_LENGTH: Operator = sheet("SequenceLength", infer_length, length);

fn infer_at(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    match cx.ty(0) {
        Type::Sequence(element) => cx.set(0, element.as_ref().clone()),
        Type::Unknown => {}
        other => return Err(Undecided::invalid(format!("operand 0 is {other}, no sequence"))),
    }
    Ok(())
}

fn at(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let values = cx.input(0)?.as_sequence()?;
    let position = cx.ints(1)?.ok_or_else(|| EvalError::invalid("operand 1 is missing"))?;
    let at = place(&position, values.len())?;
    Ok(values.get(at).cloned().into_iter().collect())
}

fn infer_length(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.set_tensor(0, DType::Int64, Shape::scalar());
    Ok(())
}

fn length(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let length = i64::try_from(cx.input(0)?.as_sequence()?.len()).unwrap_or(i64::MAX);
    Ok(vec![Tensor::scalar(length).into()])
}
