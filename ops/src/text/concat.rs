//! `StringConcat`: strings put together pair by pair, with broadcasting.
//!
//! Source: ONNX operator specification, `StringConcat`, opset 20.

use bytes::Bytes;
use onnxpress_ir::{DType, Tensor};

use super::sheet;
use crate::axes::Axes;
use crate::evaluate::elementwise::broadcast_dims;
use crate::evaluate::walk::Walk;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided, elementwise};
use crate::operator::Operator;

pub(crate) static STRING_CONCAT: Operator = sheet("StringConcat", Axes::Spec("s.., s.. -> s.."), infer, evaluate);

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    elementwise(cx, Some(DType::String)).map(|_| ())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (x, y) = (cx.tensor(0)?, cx.tensor(1)?);
    let (Some(a), Some(b)) = (x.strings(), y.strings()) else {
        return Err(EvalError::invalid(format!("strings were expected, not {x:?} and {y:?}")));
    };
    let dims = broadcast_dims(cx, x.dims(), y.dims())?;
    let places = |of: &Tensor| Walk::broadcast(of.dims(), &dims);
    let joined = places(x).zip(places(y)).map(|pair| match pair {
        (Some(at), Some(bt)) => Some(Bytes::from([a.get(at)?.as_ref(), b.get(bt)?.as_ref()].concat())),
        _ => None,
    });
    let joined = joined.collect::<Option<Vec<_>>>().ok_or_else(|| EvalError::invalid("a string is missing"))?;
    Ok(vec![Tensor::from_strings(&dims, joined)?.into()])
}
