//! `SequenceInsert` and `SequenceErase`: a sequence with one tensor more or less, at a position or at the end.
//!
//! Source: ONNX operator specification, `SequenceInsert` and `SequenceErase`, opset 11.

use onnxpress_ir::Type;

use super::{place, sheet};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided, either_type, same_as_first};
use crate::operator::Operator;

pub(crate) static SEQUENCE_INSERT: Operator = sheet("SequenceInsert", infer_insert, insert);
pub(crate) static SEQUENCE_ERASE: Operator = sheet("SequenceErase", same_as_first, erase);

fn infer_insert(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let element = match (cx.ty(0), cx.ty(1)) {
        (Type::Sequence(before), Type::Unknown) => match before.as_ref() {
            Type::Tensor(tensor) => Type::tensor(tensor.dtype, None),
            _ => Type::Unknown,
        },
        (Type::Sequence(before), inserted) => {
            if let (Some(found), Some(expected)) = (inserted.dtype(), before.dtype())
                && found != expected
            {
                return Err(Undecided::invalid(format!("a tensor of {found} for a sequence of {expected}")));
            }
            either_type(before, inserted)
        }
        (_, Type::Tensor(inserted)) => Type::tensor(inserted.dtype, None),
        _ => Type::Unknown,
    };
    cx.set(0, Type::Sequence(Box::new(element)));
    Ok(())
}

fn insert(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let mut values = cx.input(0)?.as_sequence()?.to_vec();
    let at = match cx.ints(2)?.as_deref() {
        None => values.len(),
        // Behind the last one is a position too, but only counted from the front.
        Some([position]) if usize::try_from(*position).is_ok_and(|at| at == values.len()) => values.len(),
        Some(position) => place(position, values.len())?,
    };
    values.insert(at, cx.input(1)?.clone());
    Ok(vec![Value::Sequence(values)])
}

fn erase(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let mut values = cx.input(0)?.as_sequence()?.to_vec();
    let position = cx.ints(1)?.unwrap_or_else(|| vec![-1]);
    values.remove(place(&position, values.len())?);
    Ok(vec![Value::Sequence(values)])
}
