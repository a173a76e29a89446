//! `ArrayFeatureExtractor`: some columns of a tensor, by a list of indices.
//!
//! Operands: X `[s.., c]` and indices, however shaped; output `[s.., number of indices]`, with one row where X has one axis.
//!
//! Source: ONNX operator specification, `ai.onnx.ml.ArrayFeatureExtractor`, version 1.

use onnxpress_ir::{Dim, Shape};

use super::sheet;
use crate::axes::Axes;
use crate::evaluate::pick::pick;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided};
use crate::operator::Operator;

pub(crate) static ARRAY_FEATURE_EXTRACTOR: Operator =
    sheet("ArrayFeatureExtractor", Axes::Opaque("an operand says which columns are taken"), infer, evaluate);

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let count = cx.shape(1).map_or_else(Dim::unknown, Shape::size);
    let shape = match cx.shape(0).map(|shape| &shape[..]) {
        None => None,
        Some([]) => return Err(Undecided::invalid("a scalar has no columns")),
        Some([_]) => Some(Shape::from(vec![Dim::from(1), count])),
        Some([before @ .., _]) => Some(before.iter().cloned().chain([count]).collect()),
    };
    cx.set_tensor(0, cx.dtype(0), shape);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let indices = cx.ints(1)?.unwrap_or_default();
    let Some((&columns, before)) = x.dims().split_last() else {
        return Err(EvalError::invalid("a scalar has no columns"));
    };
    let indices = indices.iter().map(|&index| usize::try_from(index).ok().filter(|&index| index < columns));
    let indices = indices.collect::<Option<Vec<_>>>();
    let indices = indices.ok_or_else(|| EvalError::invalid(format!("an index beyond {columns} columns")))?;
    let mut dims = if before.is_empty() { vec![1] } else { before.to_vec() };
    dims.push(indices.len());
    let rows = cx.room_for(&dims)?.checked_div(indices.len()).unwrap_or(0);
    let places = (0..rows).flat_map(|row| indices.iter().map(move |&index| row * columns + index));
    Ok(vec![pick(x, &dims, places)?.into()])
}
