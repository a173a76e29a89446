//! `SoftmaxCrossEntropyLossInternal` and its gradient, as onnxruntime's training graphs have them.
//!
//! Like the standard's `SoftmaxCrossEntropyLoss`, with the ignored label as operand 3 and the element type of the outputs as
//! an attribute. Gradient: dY (of the loss), log_prob `[n, c, d..]`, labels `[n, d..]`, weights `[c]`, the ignored label, and
//! what is added; output `[n, c, d..]`, `(exp(log_prob) - [right class]) · weight · dY`, divided as the loss was.
//!
//! Source: onnxruntime, the operators of these names, version 1.

use onnxpress_ir::{DType, Tensor};

use super::DOMAIN;
use crate::activation::log_softmax;
use crate::axes::Axes;
use crate::evaluate::lanes::{Lanes, volume};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::loss::reduction::{self, Reduction};
use crate::node::Attrs;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static LOSS: Operator = sheet(
    "SoftmaxCrossEntropyLossInternal",
    Axes::With(|cx| Ok(reduction::axes(cx, ", n c d..")? + ", normalized c")),
    infer_loss,
    evaluate_loss,
);
pub(crate) static LOSS_GRAD: Operator = sheet(
    "SoftmaxCrossEntropyLossInternalGrad",
    Axes::Spec("*, n c d.., n d.., c -> n c d..; normalized c n d"),
    infer_grad,
    evaluate_grad,
);

const fn sheet(
    name: &'static str,
    axes: Axes,
    infer: fn(&mut InferCx<'_>) -> Result<(), Undecided>,
    evaluate: fn(&EvalCx<'_>) -> Result<Vec<Value>, EvalError>,
) -> Operator {
    Operator {
        domain: DOMAIN,
        name,
        infer: Infer::With(infer),
        axes,
        evaluate: Evaluate::With(evaluate),
        linear: Linear::None("it chooses"),
        quantize: Quantize::KeepsFloat("a loss is a measurement"),
        cost: Cost::None("it chooses"),
        effects: Effects::Pure,
        gradient: Gradient::NotPossible("a training step brings a loss of its own"),
    }
}

fn output_type(attrs: &Attrs<'_>, otherwise: Option<DType>) -> Result<Option<DType>, Undecided> {
    if attrs.int_or("output_type", 0)? == 0 { Ok(otherwise) } else { attrs.dtype("output_type") }
}

fn infer_loss(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = output_type(&cx.attrs(), cx.dtype(0))?;
    let shape = reduction::shape(cx)?;
    cx.set_tensor(0, dtype, shape);
    cx.set_tensor(1, dtype, cx.shape(0).cloned());
    Ok(())
}

fn infer_grad(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.set_tensor(0, output_type(&cx.attrs(), cx.dtype(0))?, cx.shape(1).cloned());
    Ok(())
}

/// The label that weighs nothing, an operand here.
fn ignored(cx: &EvalCx<'_>, index: usize) -> Result<Option<i64>, EvalError> {
    Ok(cx.ints(index)?.and_then(|labels| labels.first().copied()))
}

fn evaluate_loss(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let scores = cx.tensor(0)?;
    if scores.rank() < 2 {
        return Err(EvalError::invalid(format!("scores {:?} have no classes", scores.dims())));
    }
    let dtype = output_type(&cx.attrs(), Some(scores.dtype()))?.unwrap_or(scores.dtype());
    let mut logs = scores.to_f64s()?;
    Lanes::along(scores.dims(), 1, 2).rewrite(&mut logs, log_softmax);
    let loss = reduction::loss(cx, &logs, ignored(cx, 3)?, dtype)?;
    Ok(vec![loss.into(), Tensor::from_f64s(dtype, scores.dims(), &logs)?.into()])
}

fn evaluate_grad(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (dy, logs) = (cx.tensor(0)?, cx.tensor(1)?);
    let labels = cx.ints(2)?.ok_or_else(|| EvalError::invalid("operand 2 is missing"))?;
    let &[samples, classes, ref inner @ ..] = logs.dims() else {
        return Err(EvalError::invalid(format!("logarithms {:?} have no classes", logs.dims())));
    };
    let inner = volume(inner);
    if labels.len() != samples * inner {
        return Err(EvalError::invalid(format!("{} labels for {logs:?}", labels.len())));
    }
    let weights = match cx.optional_tensor(3)?.map(Tensor::to_f64s).transpose()? {
        Some(weights) if weights.len() == classes => weights,
        Some(weights) => return Err(EvalError::invalid(format!("{} weights for {classes} classes", weights.len()))),
        None => vec![1.0; classes],
    };
    let ignored = ignored(cx, 4)?;
    let class_of = |label: i64| match usize::try_from(label) {
        _ if Some(label) == ignored => Ok(None),
        Ok(class) if class < classes => Ok(Some(class)),
        _ => Err(EvalError::invalid(format!("a label {label} of {classes} classes"))),
    };
    let chosen = labels.into_iter().map(class_of).collect::<Result<Vec<_>, _>>()?;
    let reduction = reduction::reduction(&cx.attrs())?;
    let total: f64 = match reduction {
        Reduction::Mean => chosen.iter().flatten().map(|&class| weights[class]).sum(),
        Reduction::Sum | Reduction::None => 1.0,
    };
    let slopes = dy.to_f64s()?;
    let slope = |at: usize| {
        let slope = if reduction == Reduction::None { slopes.get(at) } else { slopes.first() };
        slope.copied().ok_or_else(|| EvalError::invalid(format!("gradients {dy:?} of the loss")))
    };
    let mut result = logs.to_f64s()?;
    for (index, value) in result.iter_mut().enumerate() {
        let (sample, class, place) = (index / inner / classes, index / inner % classes, index % inner);
        let at = sample * inner + place;
        *value = match chosen[at] {
            None => 0.0,
            Some(right) => {
                let miss = value.exp() - f64::from(u8::from(class == right));
                miss * weights[right] * slope(at)? / total
            }
        };
    }
    if let Some(added) = cx.optional_tensor(5)? {
        result.iter_mut().zip(added.to_f64s()?).for_each(|(value, added)| *value += added);
    }
    let dtype = output_type(&cx.attrs(), Some(dy.dtype()))?.unwrap_or(dy.dtype());
    Ok(vec![Tensor::from_f64s(dtype, logs.dims(), &result)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn the_gradient_is_the_miss_shared_by_all_samples() {
        let node = op("SoftmaxCrossEntropyLossInternalGrad").domain("com.microsoft");
        let half = 0.5f32.ln();
        let node = node.floats(&[], &[1.0]).floats(&[2, 2], &[half; 4]).int64s(&[2], &[0, 1]);
        assert_eq!(node.f32s(), [-0.25, 0.25, 0.25, -0.25]);
    }
}
