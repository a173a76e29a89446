//! `SoftmaxCrossEntropyLoss`: minus the logarithm of the right class's probability, from scores.
//!
//! Operands: scores `[n, c, d..]`, labels `[n, d..]`, optionally weights `[c]`; outputs: the loss, optionally log_prob
//! `[n, c, d..]`, the logarithms of the probabilities.
//!
//! Source: ONNX operator specification, `SoftmaxCrossEntropyLoss`, opsets 12 to 13.

use onnxpress_ir::Tensor;

use super::reduction;
use crate::activation::log_softmax;
use crate::axes::Axes;
use crate::evaluate::lanes::Lanes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static SOFTMAX_CROSS_ENTROPY_LOSS: Operator = Operator {
    domain: "",
    name: "SoftmaxCrossEntropyLoss",
    infer: Infer::With(infer),
    axes: Axes::With(|cx| Ok(reduction::axes(cx, ", n c d..")? + ", normalized c")),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("it chooses"),
    quantize: Quantize::KeepsFloat("a loss is a measurement"),
    cost: Cost::None("it chooses"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("a training step brings a loss of its own"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let shape = reduction::shape(cx)?;
    cx.set_tensor(0, cx.dtype(0), shape);
    cx.set_tensor(1, cx.dtype(0), cx.shape(0).cloned());
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let scores = cx.tensor(0)?;
    if scores.rank() < 2 {
        return Err(EvalError::invalid(format!("scores {:?} have no classes", scores.dims())));
    }
    let mut logs = scores.to_f64s()?;
    Lanes::along(scores.dims(), 1, 2).rewrite(&mut logs, log_softmax);
    let probabilities = Tensor::from_f64s(scores.dtype(), scores.dims(), &logs)?;
    Ok(vec![reduction::loss(cx, &logs, cx.attrs().int("ignore_index")?, scores.dtype())?.into(), probabilities.into()])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::testing::op;

    #[test]
    fn equal_scores_are_equal_chances() {
        let node = op("SoftmaxCrossEntropyLoss").outputs(2).floats(&[1, 4], &[7.0; 4]).int64s(&[1], &[3]);
        let outputs = node.evaluate().unwrap();
        let of = |index: usize| outputs[index].as_tensor().unwrap().to_f32s().unwrap();
        assert_eq!(of(0), [4f32.ln()]);
        assert_eq!(of(1), [-4f32.ln(); 4]);
        let open = op("SoftmaxCrossEntropyLoss").outputs(2).input("float[N,10]").input("int32[N]");
        assert_eq!(open.infer(), "float[], float[N,10]");
        assert_eq!(open.axes(), "n c d.., n d.., c -> , n c d..; chosen c, normalized n d, normalized c");
    }
}
