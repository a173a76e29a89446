//! `Scaler`, `Normalizer`, `Imputer`: columns made ready for a model.
//!
//! Source: ONNX operator specification, `ai.onnx.ml.Scaler`, `Normalizer`, `Imputer`, version 1.

use onnxpress_ir::{DType, Tensor};

use super::{rows, sheet};
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided, same_as_first};
use crate::operator::Operator;

pub(crate) static SCALER: Operator = sheet("Scaler", Axes::Spec("s.. _ -> s.. _"), infer_float, scale);
pub(crate) static NORMALIZER: Operator =
    sheet("Normalizer", Axes::Spec("s.. c -> s.. c; normalized c"), infer_float, normalize);
pub(crate) static IMPUTER: Operator = sheet("Imputer", Axes::Spec("s.. _ -> s.. _"), same_as_first, impute);

fn infer_float(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.set_tensor(0, DType::Float, cx.shape(0).cloned());
    Ok(())
}

/// One of a list for each column; a list of one holds for all.
fn of_column<T: Copy>(list: &[T], column: usize, columns: usize) -> Result<T, EvalError> {
    match list {
        [one] => Ok(*one),
        list if list.len() == columns => Ok(list[column]),
        list => Err(EvalError::invalid(format!("{} entries for {columns} columns", list.len()))),
    }
}

fn scale(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let columns = x.dims().last().copied().unwrap_or(1);
    let offset = cx.attrs().floats("offset")?.unwrap_or_else(|| vec![0.0]);
    let scale = cx.attrs().floats("scale")?.unwrap_or_else(|| vec![1.0]);
    let scaled = x.to_f64s()?.into_iter().enumerate().map(|(at, value)| {
        let column = at % columns;
        let (offset, scale) = (of_column(&offset, column, columns)?, of_column(&scale, column, columns)?);
        Ok((value - f64::from(offset)) * f64::from(scale))
    });
    let scaled = scaled.collect::<Result<Vec<_>, EvalError>>()?;
    Ok(vec![Tensor::from_f64s(DType::Float, x.dims(), &scaled)?.into()])
}

fn normalize(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let (_, columns) = rows(cx)?;
    let norm = cx.attrs().string_or("norm", "MAX".into())?;
    let mut values = x.to_f64s()?;
    for row in values.chunks_exact_mut(columns.max(1)) {
        let size = match norm.as_ref() {
            "MAX" => row.iter().fold(f64::NEG_INFINITY, |most, x| most.max(x.abs())),
            "L1" => row.iter().map(|x| x.abs()).sum(),
            "L2" => row.iter().map(|x| x * x).sum::<f64>().sqrt(),
            other => return Err(EvalError::invalid(format!("`norm` is `{other}`"))),
        };
        // A row of zeros stays one.
        row.iter_mut().for_each(|x| *x /= if size == 0.0 { 1.0 } else { size });
    }
    Ok(vec![Tensor::from_f64s(DType::Float, x.dims(), &values)?.into()])
}

fn impute(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let attrs = cx.attrs();
    let columns = x.dims().last().copied().unwrap_or(1);
    if x.dtype().is_float() {
        let imputed = attrs.floats("imputed_value_floats")?.unwrap_or_default();
        let replaced = f64::from(attrs.float_or("replaced_value_float", 0.0)?);
        let mut values = x.to_f64s()?;
        for (at, value) in values.iter_mut().enumerate() {
            if *value == replaced || value.is_nan() && replaced.is_nan() {
                *value = f64::from(of_column(&imputed, at % columns, columns)?);
            }
        }
        return Ok(vec![Tensor::from_f64s(x.dtype(), x.dims(), &values)?.into()]);
    }
    let imputed = attrs.ints("imputed_value_int64s")?.unwrap_or_default();
    let replaced = attrs.int_or("replaced_value_int64", 0)?;
    let mut values = x.to_i64s()?;
    for (at, value) in values.iter_mut().enumerate().filter(|(_, value)| **value == replaced) {
        *value = of_column(&imputed, at % columns, columns)?;
    }
    Ok(vec![Tensor::from_i64s(x.dtype(), x.dims(), &values)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn a_missing_value_is_what_its_column_says() {
        let node = op("Imputer").domain("ai.onnx.ml").float("replaced_value_float", f32::NAN);
        let node = node.reals("imputed_value_floats", &[1.0, 2.0]).floats(&[2, 2], &[f32::NAN, 5.0, 6.0, f32::NAN]);
        assert_eq!(node.f32s(), [1.0, 5.0, 6.0, 2.0]);
    }

    #[test]
    fn rows_are_divided_by_their_norm() {
        let node = op("Normalizer").domain("ai.onnx.ml").string("norm", "L1").floats(&[2, 2], &[1.0, -3.0, 0.0, 0.0]);
        assert_eq!(node.f32s(), [0.25, -0.75, 0.0, 0.0]);
    }
}
