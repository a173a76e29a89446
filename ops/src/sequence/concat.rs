//! `ConcatFromSequence`: the tensors of a sequence, one after the other along an axis or stacked along a new one.
//!
//! Source: ONNX operator specification, `ConcatFromSequence`, opset 11.

use onnxpress_ir::{Dim, Shape, Type};

use super::sheet;
use crate::evaluate::pieces::{concat, stack};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided};
use crate::operator::Operator;

pub(crate) static CONCAT_FROM_SEQUENCE: Operator = sheet("ConcatFromSequence", infer, evaluate);

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let Type::Sequence(element) = cx.ty(0) else { return Err(Undecided::Unknown) };
    let axis = cx.attrs().int("axis")?.ok_or_else(|| Undecided::invalid("no attribute `axis`"))?;
    let shape = match element.shape() {
        None => None,
        Some(shape) => {
            let mut dims = shape.to_vec();
            if cx.attrs().flag("new_axis")? {
                dims.insert(cx.axis(axis, shape.len() + 1)?, Dim::unknown());
            } else {
                dims[cx.axis(axis, shape.len())?] = Dim::unknown();
            }
            Some(Shape::from(dims))
        }
    };
    cx.set_tensor(0, element.dtype(), shape);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let values = cx.input(0)?.as_sequence()?;
    let tensors = values.iter().map(|value| value.as_tensor().cloned()).collect::<Result<Vec<_>, _>>()?;
    let axis = cx.attrs().int("axis")?.ok_or_else(|| EvalError::invalid("no attribute `axis`"))?;
    let rank = tensors.first().map_or(0, |tensor| tensor.rank());
    Ok(vec![if cx.attrs().flag("new_axis")? {
        stack(cx, cx.axis(axis, rank + 1)?, &tensors)?.into()
    } else {
        concat(cx, cx.axis(axis, rank)?, &tensors)?.into()
    }])
}
