//! `ZipMap`: each row of scores as a map from labels to scores.
//!
//! Source: ONNX operator specification, `ai.onnx.ml.ZipMap`, version 1.

use onnxpress_ir::{DType, Tensor, Type};

use super::linear::labels;
use super::{rows, sheet};
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided};
use crate::operator::Operator;

pub(crate) static ZIP_MAP: Operator = sheet("ZipMap", Axes::Opaque("its output holds maps"), infer, evaluate);

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let labels = labels(&cx.attrs(), "classlabels_int64s", "classlabels_strings")?;
    // Files declare scores as scalars or as vectors of one element, and nothing says which is right.
    let score = Type::tensor(DType::Float, None);
    cx.set(0, Type::Sequence(Box::new(Type::Map(labels.dtype(), Box::new(score)))));
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let labels = labels(&cx.attrs(), "classlabels_int64s", "classlabels_strings")?;
    let (_, columns) = rows(cx)?;
    if labels.len() != columns {
        return Err(EvalError::invalid(format!("{} labels for {columns} scores", labels.len())));
    }
    let scores = cx.tensor(0)?.to_f32s()?;
    let map = |row: &[f32]| Value::Map(labels.clone(), row.iter().map(|&score| Tensor::scalar(score).into()).collect());
    Ok(vec![Value::Sequence(scores.chunks_exact(columns.max(1)).map(map).collect())])
}
