//! `SequenceConstruct` and `SequenceEmpty`: new sequences.
//!
//! Source: ONNX operator specification, `SequenceConstruct` and `SequenceEmpty`, opset 11.

use onnxpress_ir::{DType, Type};

use super::sheet;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided, either_type};
use crate::operator::Operator;

pub(crate) static SEQUENCE_CONSTRUCT: Operator = sheet("SequenceConstruct", infer_construct, construct);
pub(crate) static SEQUENCE_EMPTY: Operator = sheet("SequenceEmpty", infer_empty, empty);

fn infer_construct(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let types = (0..cx.operand_count()).map(|index| cx.ty(index).clone());
    let element = types.reduce(|a, b| either_type(&a, &b));
    let element = element.ok_or_else(|| Undecided::invalid("a sequence of no operands"))?;
    let found: Vec<DType> = (0..cx.operand_count()).filter_map(|index| cx.dtype(index)).collect();
    if let Some(other) = found.iter().find(|&&dtype| dtype != found[0]) {
        return Err(Undecided::invalid(format!("a sequence of {} and {other}", found[0])));
    }
    let element = match element {
        Type::Tensor(tensor) => Type::tensor(found.first().copied(), tensor.shape),
        other => other,
    };
    cx.set(0, Type::Sequence(Box::new(element)));
    Ok(())
}

fn construct(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let values = (0..cx.inputs.len()).map(|index| cx.input(index).cloned()).collect::<Result<Vec<_>, _>>()?;
    Ok(vec![Value::Sequence(values)])
}

fn infer_empty(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = cx.attrs().dtype("dtype")?.unwrap_or(DType::Float);
    cx.set(0, Type::Sequence(Box::new(Type::tensor(dtype, None))));
    Ok(())
}

fn empty(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    cx.attrs().dtype("dtype")?;
    Ok(vec![Value::Sequence(Vec::new())])
}
