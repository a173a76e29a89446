//! `Optional`, `OptionalGetElement`, `OptionalHasElement`: a value that may be missing.
//!
//! From opset 18 on the latter two also take a tensor or a sequence as it is, which counts as present, and
//! `OptionalHasElement` an operand that is left out, which counts as missing.
//!
//! Source: ONNX operator specification, `Optional`, `OptionalGetElement`, `OptionalHasElement`, opsets 15 to 28.

use onnxpress_ir::{AttrValue, DType, Shape, Tensor, Type};

use super::sheet;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided};
use crate::operator::Operator;

pub(crate) static OPTIONAL: Operator = sheet("Optional", infer_optional, optional);
pub(crate) static OPTIONAL_GET_ELEMENT: Operator = sheet("OptionalGetElement", infer_get, get);
pub(crate) static OPTIONAL_HAS_ELEMENT: Operator = sheet("OptionalHasElement", infer_has, has);

fn infer_optional(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let element = match cx.attrs().get("type") {
        _ if cx.has(0) => cx.ty(0).clone(),
        Some(AttrValue::Type(ty)) => ty.clone(),
        _ => Type::Unknown,
    };
    cx.set(0, Type::Optional(Box::new(element)));
    Ok(())
}

fn optional(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    Ok(vec![Value::Optional(cx.optional(0).cloned().map(Box::new))])
}

fn infer_get(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    match cx.ty(0) {
        Type::Optional(element) => cx.set(0, element.as_ref().clone()),
        present => cx.set(0, present.clone()),
    }
    if let Some(elements) = cx.elements(0) {
        cx.set_elements(0, elements);
    }
    Ok(())
}

fn get(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    match cx.input(0)? {
        Value::Optional(Some(value)) => Ok(vec![value.as_ref().clone()]),
        Value::Optional(None) => Err(EvalError::invalid("the optional value is missing")),
        present => Ok(vec![present.clone()]),
    }
}

fn infer_has(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.set_tensor(0, DType::Bool, Shape::scalar());
    Ok(())
}

fn has(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let present = cx.optional(0).is_some_and(|value| !matches!(value, Value::Optional(None)));
    Ok(vec![Tensor::scalar(present).into()])
}
