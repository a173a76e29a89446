//! `SkipLayerNormalization` and `SkipSimplifiedLayerNormalization`: a residual sum, then normalization of each vector.
//!
//! Operands: input and skip `[n, s, h]` (skip may lack or repeat the batch), gamma `[h]`, for the former beta `[h]`, and a
//! bias `[h]` of the sum. Outputs: the normalized vectors, mean and inverse deviation `[n, s, 1]`, and the sum.
//!
//! Source: onnxruntime, "Contrib Operators", the operators of these names, version 1.

use onnxpress_ir::{DType, Dim, Tensor};

use super::DOMAIN;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::{Gradient, SpellOut};
use crate::infer::{InferCx, Undecided, same_as_first};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static SKIP_LAYER_NORMALIZATION: Operator = sheet(
    "SkipLayerNormalization",
    Axes::Spec("s.. h, s.. h, h, h, h -> s.. h, s.. 1, s.. 1, s.. h; normalized h"),
    |cx| evaluate(cx, true),
    super::spelling::skip_layer_normalization,
);
pub(crate) static SKIP_SIMPLIFIED_LAYER_NORMALIZATION: Operator = sheet(
    "SkipSimplifiedLayerNormalization",
    Axes::Spec("s.. h, s.. h, h, h -> s.. h, s.. 1, s.. 1, s.. h; normalized h"),
    |cx| evaluate(cx, false),
    super::spelling::skip_simplified_layer_normalization,
);

const fn sheet(
    name: &'static str,
    axes: Axes,
    evaluate: fn(&EvalCx<'_>) -> Result<Vec<Value>, EvalError>,
    spelling: SpellOut,
) -> Operator {
    Operator {
        domain: DOMAIN,
        name,
        infer: Infer::With(infer),
        axes,
        evaluate: Evaluate::With(evaluate),
        linear: Linear::None("it scales each element alone"),
        quantize: Quantize::KeepsFloat("statistics need the range of floats"),
        cost: Cost::None("it scales each element alone"),
        effects: Effects::Pure,
        gradient: Gradient::SpelledOut(spelling),
    }
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    same_as_first(cx)?;
    let mut statistics = cx.shape(0).cloned();
    if let Some(last) = statistics.as_mut().and_then(|shape| shape.last_mut()) {
        *last = Dim::from(1);
    }
    cx.set_tensor(1, DType::Float, statistics.clone());
    cx.set_tensor(2, DType::Float, statistics);
    cx.set_tensor(3, cx.dtype(0), cx.shape(0).cloned());
    Ok(())
}

/// Normalizes vectors in place; answers mean and inverse deviation of each.
///
/// # Errors
/// Where parameters are not as long as a vector.
pub(super) fn normalize(
    values: &mut [f64],
    epsilon: f64,
    centred: bool,
    gamma: &[f64],
    beta: Option<&[f64]>,
) -> Result<(Vec<f64>, Vec<f64>), EvalError> {
    let width = gamma.len();
    if width == 0 || beta.is_some_and(|beta| beta.len() != width) || !values.len().is_multiple_of(width) {
        return Err(EvalError::invalid(format!("parameters of {width} entries")));
    }
    let (mut means, mut inverses) = (Vec::new(), Vec::new());
    for vector in values.chunks_exact_mut(width) {
        let mean = if centred { vector.iter().sum::<f64>() / width as f64 } else { 0.0 };
        let square = vector.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
        let inverse = 1.0 / (square + epsilon).sqrt();
        for (at, x) in vector.iter_mut().enumerate() {
            *x = (*x - mean) * inverse * gamma[at] + beta.map_or(0.0, |beta| beta[at]);
        }
        means.push(mean);
        inverses.push(inverse);
    }
    Ok((means, inverses))
}

fn evaluate(cx: &EvalCx<'_>, centred: bool) -> Result<Vec<Value>, EvalError> {
    let (x, skip, gamma) = (cx.tensor(0)?, cx.tensor(1)?.to_f64s()?, cx.tensor(2)?.to_f64s()?);
    let optional = |index| cx.optional_tensor(index)?.map(Tensor::to_f64s).transpose().map_err(EvalError::from);
    let (beta, bias) = if centred { (optional(3)?, optional(4)?) } else { (None, optional(3)?) };
    if x.dims().last() != Some(&gamma.len()) || skip.is_empty() || !x.len().is_multiple_of(skip.len()) {
        return Err(EvalError::invalid(format!("{x:?} and {} to skip", skip.len())));
    }
    if bias.as_ref().is_some_and(|bias| bias.len() != gamma.len()) {
        return Err(EvalError::invalid(format!("a bias beside gamma of {} entries", gamma.len())));
    }
    let mut values = x.to_f64s()?;
    for (at, value) in values.iter_mut().enumerate() {
        *value += skip[at % skip.len()] + bias.as_ref().map_or(0.0, |bias| bias[at % bias.len()]);
    }
    let sum = Tensor::from_f64s(x.dtype(), x.dims(), &values)?;
    let epsilon = f64::from(cx.attrs().float_or("epsilon", 1e-12)?);
    let (means, inverses) = normalize(&mut values, epsilon, centred, &gamma, beta.as_deref())?;
    let mut dims = x.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = 1;
    }
    Ok(vec![
        Tensor::from_f64s(x.dtype(), x.dims(), &values)?.into(),
        Tensor::from_f64s(DType::Float, &dims, &means)?.into(),
        Tensor::from_f64s(DType::Float, &dims, &inverses)?.into(),
        sum.into(),
    ])
}
