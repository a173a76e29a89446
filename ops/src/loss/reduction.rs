//! What the losses share: the minus logarithm of each right class's probability, weighted, then reduced.
//!
//! Operands: scores `[n, c, d..]`, labels `[n, d..]`, optionally weights `[c]`; the loss is `[n, d..]`, or one number where
//! `reduction` is `sum` or `mean` (the default: the sum divided by the sum of the weights used). Labels equal to
//! `ignore_index` weigh nothing.

use onnxpress_ir::{DType, Shape, Tensor};

use crate::evaluate::lanes::volume;
use crate::evaluate::{EvalCx, EvalError};
use crate::infer::{InferCx, Undecided};
use crate::node::{Attrs, NodeCx};

/// What is made of the losses of all samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reduction {
    /// They stay as they are.
    None,
    /// Their sum.
    Sum,
    /// Their sum, divided by the sum of the weights used.
    Mean,
}

/// What the attribute says.
///
/// # Errors
/// Where the word is unknown.
pub(crate) fn reduction(attrs: &Attrs<'_>) -> Result<Reduction, Undecided> {
    match attrs.string_or("reduction", "mean".into())?.as_ref() {
        "none" => Ok(Reduction::None),
        "sum" => Ok(Reduction::Sum),
        "mean" => Ok(Reduction::Mean),
        other => Err(Undecided::invalid(format!("`reduction` is `{other}`, not none, sum or mean"))),
    }
}

/// The shape of the loss; `None` where its rank is not known.
///
/// # Errors
/// Where the shapes of the operands do not fit.
pub(crate) fn shape(cx: &InferCx<'_>) -> Result<Option<Shape>, Undecided> {
    let (scores, labels) = (cx.shape(0), cx.shape(1));
    if let Some(scores) = scores.filter(|scores| scores.len() < 2) {
        return Err(Undecided::invalid(format!("scores {scores} have no classes")));
    }
    let expected = scores.map(|scores| scores[..1].iter().chain(&scores[2..]).cloned().collect::<Shape>());
    let samples = match (expected, labels) {
        (Some(expected), Some(labels)) => Some(expected.merge(labels)?),
        (expected, labels) => expected.or(labels.cloned()),
    };
    Ok(match reduction(&cx.attrs())? {
        Reduction::None => samples,
        Reduction::Sum | Reduction::Mean => Some(Shape::scalar()),
    })
}

/// The relation of axes; `outputs` follows the loss.
///
/// # Errors
/// Where the reduction is not known.
pub(crate) fn axes(cx: &NodeCx<'_>, outputs: &str) -> Result<String, String> {
    let (loss, roles) = match reduction(&cx.attrs()).map_err(|_| "`reduction` is not known")? {
        Reduction::None => ("n d..", "chosen c"),
        Reduction::Sum => ("", "chosen c"),
        Reduction::Mean => ("", "chosen c, normalized n d"),
    };
    Ok(format!("n c d.., n d.., c -> {loss}{outputs}; {roles}"))
}

/// The loss for the logarithms of probabilities, of the extents of operand 0 and to be of this type. Labels equal to `ignored`
/// weigh nothing.
///
/// # Errors
/// Where labels are no classes, or extents do not fit.
pub(crate) fn loss(cx: &EvalCx<'_>, logs: &[f64], ignored: Option<i64>, dtype: DType) -> Result<Tensor, EvalError> {
    let (scores, labels) = (cx.tensor(0)?, cx.tensor(1)?);
    let &[_, classes, ref inner @ ..] = scores.dims() else {
        return Err(EvalError::invalid(format!("scores {:?} have no classes", scores.dims())));
    };
    let samples: Vec<usize> = scores.dims()[..1].iter().chain(inner).copied().collect();
    if labels.dims() != samples {
        return Err(EvalError::invalid(format!("labels {:?} for scores {:?}", labels.dims(), scores.dims())));
    }
    let weights = match cx.optional_tensor(2)? {
        Some(weights) if weights.len() == classes => Some(weights.to_f64s()?),
        Some(weights) => return Err(EvalError::invalid(format!("{} weights for {classes} classes", weights.len()))),
        None => None,
    };
    let inner = volume(inner);
    let (mut losses, mut weight_sum) = (Vec::new(), 0.0);
    for (index, label) in labels.to_i64s()?.into_iter().enumerate() {
        if Some(label) == ignored {
            losses.push(0.0);
            continue;
        }
        let class = usize::try_from(label).ok().filter(|&class| class < classes);
        let class = class.ok_or_else(|| EvalError::invalid(format!("a label {label} of {classes} classes")))?;
        let (sample, place) = (index / inner, index % inner);
        let weight = weights.as_ref().map_or(1.0, |weights| weights[class]);
        losses.push(-logs[(sample * classes + class) * inner + place] * weight);
        weight_sum += weight;
    }
    let sum: f64 = losses.iter().sum();
    Ok(match reduction(&cx.attrs())? {
        Reduction::None => Tensor::from_f64s(dtype, &samples, &losses)?,
        Reduction::Sum => Tensor::from_f64s(dtype, &[], &[sum])?,
        Reduction::Mean => Tensor::from_f64s(dtype, &[], &[sum / weight_sum])?,
    })
}
