//! Classical machine learning: the operators of `ai.onnx.ml` that occur in models of today.

mod encode;
mod extract;
mod forest;
mod linear;
mod preprocess;
mod scores;
mod trees;
mod vectorize;
mod zip_map;

use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &encode::BINARIZER,
    &encode::LABEL_ENCODER,
    &extract::ARRAY_FEATURE_EXTRACTOR,
    &linear::LINEAR_CLASSIFIER,
    &linear::LINEAR_REGRESSOR,
    &preprocess::IMPUTER,
    &preprocess::NORMALIZER,
    &preprocess::SCALER,
    &trees::TREE_ENSEMBLE,
    &trees::TREE_ENSEMBLE_CLASSIFIER,
    &trees::TREE_ENSEMBLE_REGRESSOR,
    &vectorize::DICT_VECTORIZER,
    &vectorize::FEATURE_VECTORIZER,
    &zip_map::ZIP_MAP,
];

/// The sheet of an operator of this domain: weights are attributes here, so most facets have nothing to say.
const fn sheet(
    name: &'static str,
    axes: Axes,
    infer: fn(&mut InferCx<'_>) -> Result<(), Undecided>,
    evaluate: fn(&EvalCx<'_>) -> Result<Vec<Value>, EvalError>,
) -> Operator {
    Operator {
        domain: "ai.onnx.ml",
        name,
        infer: Infer::With(infer),
        axes,
        evaluate: Evaluate::With(evaluate),
        linear: Linear::None("its weights are attributes"),
        quantize: Quantize::KeepsFloat("its parameters are attributes"),
        cost: Cost::None("its weights are attributes"),
        effects: Effects::Pure,
        gradient: Gradient::NotPossible("its parameters are attributes"),
    }
}

/// Rows and columns of operand 0; one row where it has a single axis.
fn rows(cx: &EvalCx<'_>) -> Result<(usize, usize), EvalError> {
    match *cx.tensor(0)?.dims() {
        [columns] => Ok((1, columns)),
        [rows, columns] => Ok((rows, columns)),
        _ => Err(EvalError::invalid(format!("features {:?}, not of rank 1 or 2", cx.tensor(0)?))),
    }
}

/// The number of rows of operand 0, where known.
fn row_count(cx: &InferCx<'_>) -> Result<onnxpress_ir::Dim, Undecided> {
    match cx.shape(0).map(|shape| &shape[..]) {
        None => Ok(onnxpress_ir::Dim::unknown()),
        Some([_]) => Ok(onnxpress_ir::Dim::from(1)),
        Some([rows, _]) => Ok(rows.clone()),
        Some(other) => Err(Undecided::invalid(format!("features of rank {}, not 1 or 2", other.len()))),
    }
}
