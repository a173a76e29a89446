//! `LinearClassifier` and `LinearRegressor`: rows times a matrix of coefficients, and the label with the highest score.
//!
//! X `[n, c]`; scores `[n, classes]`, labels `[n]`. One row of coefficients for two classes gives the scores `-s` and `s`.
//!
//! Source: ONNX operator specification, `ai.onnx.ml.LinearClassifier` and `LinearRegressor`, version 1.

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use super::scores::{Transform, highest};
use super::{row_count, rows, sheet};
use crate::axes::Axes;
use crate::evaluate::pick::{pick_or, zero};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided};
use crate::node::Attrs;
use crate::operator::Operator;

pub(crate) static LINEAR_CLASSIFIER: Operator =
    sheet("LinearClassifier", Axes::Spec("n _ -> n, n _"), infer_classifier, classify);
pub(crate) static LINEAR_REGRESSOR: Operator =
    sheet("LinearRegressor", Axes::Spec("n _ -> n _"), infer_regressor, regress);

/// The labels of a classifier, whole numbers or words.
pub(super) fn labels(attrs: &Attrs<'_>, numbers: &str, words: &str) -> Result<Tensor, Undecided> {
    match attrs.strings(words)? {
        Some(words) if !words.is_empty() => Ok(Tensor::from_strings(&[words.len()], words.to_vec())?),
        _ => Ok(Tensor::vector(attrs.ints(numbers)?.unwrap_or_default())),
    }
}

fn infer_classifier(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let labels = labels(&cx.attrs(), "classlabels_ints", "classlabels_strings")?;
    let rows = row_count(cx)?;
    let intercepts = cx.attrs().floats("intercepts")?.unwrap_or_default().len();
    let classes = labels.len().max(intercepts);
    cx.set_tensor(0, labels.dtype(), Shape::from(vec![rows.clone()]));
    let classes = if classes == 0 { Dim::unknown() } else { Dim::from_extent(classes) };
    cx.set_tensor(1, DType::Float, Shape::from(vec![rows, classes]));
    Ok(())
}

fn infer_regressor(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let targets = cx.attrs().int_or("targets", 1)?;
    if targets < 1 {
        return Err(Undecided::invalid(format!("`targets` is {targets}")));
    }
    let rows = row_count(cx)?;
    cx.set_tensor(0, DType::Float, Shape::from(vec![rows, Dim::from(targets)]));
    Ok(())
}

/// Each row times the coefficients `[outputs, c]`, plus the intercepts.
fn products(cx: &EvalCx<'_>, outputs: Option<usize>) -> Result<Vec<Vec<f64>>, EvalError> {
    let (rows, columns) = rows(cx)?;
    let coefficients = cx.attrs().floats("coefficients")?.unwrap_or_default();
    let outputs = outputs.or_else(|| coefficients.len().checked_div(columns).filter(|&outputs| outputs > 0));
    let outputs = outputs.ok_or_else(|| EvalError::invalid(format!("{} coefficients", coefficients.len())))?;
    if outputs.checked_mul(columns) != Some(coefficients.len()) {
        return Err(EvalError::invalid(format!("{} coefficients for {columns} columns", coefficients.len())));
    }
    let intercepts = cx.attrs().floats("intercepts")?.unwrap_or_default();
    cx.room_for(&[rows, outputs])?;
    cx.spend((rows as u64).saturating_mul(coefficients.len() as u64))?;
    let x = cx.tensor(0)?.to_f64s()?;
    let row = |at: usize| {
        let x = &x[at * columns..(at + 1) * columns];
        let one = |output: usize| {
            let weights = &coefficients[output * columns..(output + 1) * columns];
            let sum: f64 = weights.iter().zip(x).map(|(weight, x)| f64::from(*weight) * x).sum();
            sum + intercepts.get(output).map_or(0.0, |&intercept| f64::from(intercept))
        };
        (0..outputs).map(one).collect()
    };
    Ok((0..rows).map(row).collect())
}

fn transform(cx: &EvalCx<'_>) -> Result<Transform, EvalError> {
    Transform::of_word(&cx.attrs().string_or("post_transform", "NONE".into())?)
}

fn classify(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let labels = labels(&cx.attrs(), "classlabels_ints", "classlabels_strings")?;
    let transform = transform(cx)?;
    let classes = labels.len().max(cx.attrs().floats("intercepts")?.unwrap_or_default().len());
    let mut scores = products(cx, None)?;
    let mut chosen = Vec::with_capacity(scores.len());
    for row in &mut scores {
        if let [score] = *row.as_slice()
            && labels.len() == 2
        {
            *row = vec![-score, score];
        }
        if classes != 0 && row.len() != classes {
            return Err(EvalError::invalid(format!("scores of {} classes, not {classes}", row.len())));
        }
        transform.apply(row);
        chosen.push(match row.as_slice() {
            // One class: it is chosen or nothing is.
            [score] => (*score >= if transform == Transform::None { 0.0 } else { 0.5 }).then_some(0),
            row => Some(highest(row)),
        });
    }
    let (rows, classes) = (scores.len(), scores.first().map_or(classes, Vec::len));
    let chosen = pick_or(&labels, &zero(labels.dtype()), &[rows], chosen.into_iter())?;
    let scores = Tensor::from_f64s(DType::Float, &[rows, classes], &scores.concat())?;
    Ok(vec![chosen.into(), scores.into()])
}

fn regress(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let targets = usize::try_from(cx.attrs().int_or("targets", 1)?).ok().filter(|&targets| targets > 0);
    let targets = targets.ok_or_else(|| EvalError::invalid("`targets` is not positive"))?;
    let transform = transform(cx)?;
    let mut scores = products(cx, Some(targets))?;
    scores.iter_mut().for_each(|row| transform.apply(row));
    Ok(vec![Tensor::from_f64s(DType::Float, &[scores.len(), targets], &scores.concat())?.into()])
}
