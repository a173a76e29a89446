//! `TreeEnsembleClassifier`, `TreeEnsembleRegressor` and, from version 5 on in their place, `TreeEnsemble`.
//!
//! X `[n, c]`; scores `[n, classes or targets]`, labels `[n]`. Where a classifier of two classes weighs only one of them, the
//! other's score follows from it, as onnxruntime has it: `1 - s` where no weight is negative (then 0.5 decides), else `-s`
//! (then 0 decides).
//!
//! Source: ONNX operator specification, `ai.onnx.ml.TreeEnsembleClassifier`, `TreeEnsembleRegressor`, versions 1 and 3,
//! `TreeEnsemble`, version 5.

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use super::forest::{Aggregate, Forest, numbers};
use super::linear::labels;
use super::scores::{Transform, highest};
use super::{row_count, rows, sheet};
use crate::axes::Axes;
use crate::evaluate::pick::pick;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided};
use crate::operator::Operator;

pub(crate) static TREE_ENSEMBLE_CLASSIFIER: Operator =
    sheet("TreeEnsembleClassifier", Axes::Spec("n _ -> n, n _"), infer_classifier, classify);
pub(crate) static TREE_ENSEMBLE_REGRESSOR: Operator =
    sheet("TreeEnsembleRegressor", Axes::Spec("n _ -> n _"), infer_regressor, regress);
pub(crate) static TREE_ENSEMBLE: Operator = sheet("TreeEnsemble", Axes::Spec("n _ -> n _"), infer_ensemble, ensemble);

fn infer_classifier(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let labels = labels(&cx.attrs(), "classlabels_int64s", "classlabels_strings")?;
    let rows = row_count(cx)?;
    cx.set_tensor(0, labels.dtype(), Shape::from(vec![rows.clone()]));
    // One label stands for two classes.
    let classes = if labels.len() > 1 { Dim::from_extent(labels.len()) } else { Dim::unknown() };
    cx.set_tensor(1, DType::Float, Shape::from(vec![rows, classes]));
    Ok(())
}

fn infer_targets(cx: &mut InferCx<'_>, dtype: Option<DType>) -> Result<(), Undecided> {
    let rows = row_count(cx)?;
    let targets = match cx.attrs().int_or("n_targets", 1)? {
        targets if targets < 0 => return Err(Undecided::invalid(format!("`n_targets` is {targets}"))),
        targets => Dim::from(targets),
    };
    cx.set_tensor(0, dtype, Shape::from(vec![rows, targets]));
    Ok(())
}

fn infer_regressor(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer_targets(cx, Some(DType::Float))
}

fn infer_ensemble(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer_targets(cx, cx.dtype(0))
}

/// The scores of every row; `base` is added at the end.
fn scores(
    cx: &EvalCx<'_>,
    forest: &Forest,
    targets: usize,
    aggregate: Aggregate,
    base: &[f64],
) -> Result<Vec<Vec<f64>>, EvalError> {
    let (count, columns) = rows(cx)?;
    cx.room_for(&[count, targets])?;
    let x = cx.tensor(0)?.to_f64s()?;
    let row = |at: usize| {
        let mut scores = forest.scores(cx, &x[at * columns..(at + 1) * columns], targets, aggregate)?;
        scores.iter_mut().zip(base).for_each(|(score, base)| *score += base);
        Ok(scores)
    };
    (0..count).map(row).collect()
}

fn classify(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let attrs = cx.attrs();
    let labels = labels(&attrs, "classlabels_int64s", "classlabels_strings")?;
    let forest = Forest::of_numbered(&attrs, "class")?;
    let transform = Transform::of_word(&attrs.string_or("post_transform", "NONE".into())?)?;
    let base = numbers(&attrs, "base_values")?.unwrap_or_default();
    let mut ids = attrs.ints("class_ids")?.unwrap_or_default();
    ids.sort_unstable();
    ids.dedup();
    let one_sided = labels.len() == 2 && ids.len() == 1;
    let mut chosen = Vec::new();
    let mut result = Vec::new();
    for mut row in scores(cx, &forest, labels.len(), Aggregate::Sum, &[])? {
        if one_sided {
            let score = row.iter().sum::<f64>() + base.last().copied().unwrap_or(0.0);
            let positive = forest.is_non_negative();
            chosen.push(usize::from(score > if positive { 0.5 } else { 0.0 }));
            row = vec![if positive && transform != Transform::Logistic { 1.0 - score } else { -score }, score];
            if transform == Transform::Logistic || !positive {
                transform.apply(&mut row);
            }
        } else {
            row.iter_mut().zip(&base).for_each(|(score, base)| *score += base);
            chosen.push(highest(&row));
            transform.apply(&mut row);
        }
        result.push(row);
    }
    let count = result.len();
    let labels_of_rows = pick(&labels, &[count], chosen.into_iter())?;
    let scores = Tensor::from_f64s(DType::Float, &[count, labels.len()], &result.concat())?;
    Ok(vec![labels_of_rows.into(), scores.into()])
}

fn regress(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let attrs = cx.attrs();
    let forest = Forest::of_numbered(&attrs, "target")?;
    let aggregate = match attrs.string_or("aggregate_function", "SUM".into())?.as_ref() {
        "AVERAGE" => Aggregate::Average,
        "SUM" => Aggregate::Sum,
        "MIN" => Aggregate::Min,
        "MAX" => Aggregate::Max,
        other => return Err(EvalError::invalid(format!("`aggregate_function` is `{other}`"))),
    };
    let transform = Transform::of_word(&attrs.string_or("post_transform", "NONE".into())?)?;
    let base = numbers(&attrs, "base_values")?.unwrap_or_default();
    targets(cx, &forest, aggregate, transform, &base, DType::Float)
}

fn ensemble(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let attrs = cx.attrs();
    let forest = Forest::of_ensemble(&attrs)?;
    let aggregate = match attrs.int_or("aggregate_function", 1)? {
        0 => Aggregate::Average,
        1 => Aggregate::Sum,
        2 => Aggregate::Min,
        3 => Aggregate::Max,
        other => return Err(EvalError::invalid(format!("`aggregate_function` is {other}"))),
    };
    let transform = Transform::of_number(attrs.int_or("post_transform", 0)?)?;
    targets(cx, &forest, aggregate, transform, &[], cx.tensor(0)?.dtype())
}

fn targets(
    cx: &EvalCx<'_>,
    forest: &Forest,
    aggregate: Aggregate,
    transform: Transform,
    base: &[f64],
    dtype: DType,
) -> Result<Vec<Value>, EvalError> {
    let targets = cx.attrs().int_or("n_targets", 1)?;
    let targets = usize::try_from(targets).map_err(|_| EvalError::invalid(format!("`n_targets` is {targets}")))?;
    let mut result = scores(cx, forest, targets, aggregate, base)?;
    result.iter_mut().for_each(|row| transform.apply(row));
    Ok(vec![Tensor::from_f64s(dtype, &[result.len(), targets], &result.concat())?.into()])
}
