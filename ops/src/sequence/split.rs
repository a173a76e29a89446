//! `SplitToSequence`: a tensor as a sequence of stretches along an axis.
//!
//! Without `split` every stretch is one index long, and `keepdims` says whether the axis stays. A scalar `split` is the
//! length of all stretches but the last, a vector has the length of each.
//!
//! Source: ONNX operator specification, `SplitToSequence`, opsets 11 to 24 (types widened).

use onnxpress_ir::{Dim, Shape, Type};

use super::sheet;
use crate::evaluate::pieces::{slice, slice_at};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided};
use crate::operator::Operator;

pub(crate) static SPLIT_TO_SEQUENCE: Operator = sheet("SplitToSequence", infer, evaluate);

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let axis = cx.attrs().int_or("axis", 0)?;
    let shape = match cx.shape(0) {
        None => None,
        Some(shape) => {
            let axis = cx.axis(axis, shape.len())?;
            let mut dims = shape.to_vec();
            if cx.has(1) {
                dims[axis] = stretch(cx, &shape[axis]);
            } else if cx.attrs().int_or("keepdims", 1)? != 0 {
                dims[axis] = Dim::from(1);
            } else {
                dims.remove(axis);
            }
            Some(Shape::from(dims))
        }
    };
    cx.set(0, Type::Sequence(Box::new(Type::tensor(cx.dtype(0), shape))));
    Ok(())
}

/// The length of every stretch, where all are of one.
fn stretch(cx: &InferCx<'_>, extent: &Dim) -> Dim {
    let (Some(rank), Some(lengths)) = (cx.rank(1), cx.elements(1)) else { return Dim::unknown() };
    match lengths {
        [length] if rank == 0 => match length.as_const() {
            Some(constant) if constant > 0 && extent.divisible_by(constant) == Some(true) => length.clone(),
            _ => Dim::unknown(),
        },
        [first, rest @ ..] if rest.iter().all(|length| length == first) => first.clone(),
        _ => Dim::unknown(),
    }
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let axis = cx.axis(cx.attrs().int_or("axis", 0)?, x.rank())?;
    // Without elements an axis can have any extent.
    let extent = cx.room_for(&x.dims()[axis..=axis])?;
    let Some(split) = cx.optional_tensor(1)? else {
        let keeps = cx.attrs().int_or("keepdims", 1)? != 0;
        let one = |index| if keeps { slice(x, axis, index, 1) } else { slice_at(x, axis, index) };
        let parts = (0..extent).map(|index| one(index).map(Value::from)).collect::<Result<Vec<_>, _>>()?;
        return Ok(vec![Value::Sequence(parts)]);
    };
    let given = split.to_i64s()?;
    let lengths: Vec<usize> = if split.rank() == 0 {
        let length = given.first().and_then(|&length| usize::try_from(length).ok()).filter(|&length| length > 0);
        let length = length.ok_or_else(|| EvalError::invalid(format!("stretches of length {given:?}")))?;
        (0..extent).step_by(length).map(|start| length.min(extent - start)).collect()
    } else {
        let lengths = given.iter().map(|&length| usize::try_from(length).ok()).collect::<Option<Vec<_>>>();
        let lengths = lengths.filter(|lengths| lengths.iter().fold(0usize, |sum, &l| sum.saturating_add(l)) == extent);
        lengths.ok_or_else(|| EvalError::invalid(format!("lengths {given:?} of an extent of {extent}")))?
    };
    let mut start = 0;
    let mut parts = Vec::with_capacity(lengths.len());
    for length in lengths {
        parts.push(slice(x, axis, start, length)?.into());
        start += length;
    }
    Ok(vec![Value::Sequence(parts)])
}
