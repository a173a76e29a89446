//! `NegativeLogLikelihoodLoss`: minus the logarithm of the right class's probability, from logarithms.
//!
//! Operands: input (logarithms of probabilities) `[n, c, d..]`, target `[n, d..]`, optionally weight `[c]`; output loss.
//!
//! Source: ONNX operator specification, `NegativeLogLikelihoodLoss`, opsets 12 to 22.

use super::reduction;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static NEGATIVE_LOG_LIKELIHOOD_LOSS: Operator = Operator {
    domain: "",
    name: "NegativeLogLikelihoodLoss",
    infer: Infer::With(infer),
    axes: Axes::With(|cx| reduction::axes(cx, "")),
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
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let logs = cx.tensor(0)?;
    Ok(vec![reduction::loss(cx, &logs.to_f64s()?, cx.attrs().int("ignore_index")?, logs.dtype())?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::{OneNode, op};

    fn scored(node: OneNode) -> OneNode {
        node.floats(&[3, 2], &[-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]).int64s(&[3], &[0, 1, 9])
    }

    #[test]
    fn ignored_labels_weigh_nothing() {
        let node = |reduction| op("NegativeLogLikelihoodLoss").int("ignore_index", 9).string("reduction", reduction);
        assert_eq!(scored(node("none")).f32s(), [1.0, 4.0, 0.0]);
        assert_eq!(scored(node("sum")).f32s(), [5.0]);
        assert_eq!(scored(node("mean")).f32s(), [2.5]);
        assert_eq!(scored(node("mean")).floats(&[2], &[3.0, 1.0]).f32s(), [7.0 / 4.0]);
        assert_eq!(scored(op("NegativeLogLikelihoodLoss")).fault(), "a label 9 of 2 classes");
    }

    #[test]
    fn the_loss_has_the_shape_of_the_labels_or_none() {
        let node = |reduction| op("NegativeLogLikelihoodLoss").string("reduction", reduction);
        let open = |node: OneNode| node.input("float[N,10,h]").input("int64[?,8]");
        assert_eq!(open(node("none")).infer(), "float[N,8]");
        assert_eq!(open(node("mean")).infer(), "float[]");
        assert_eq!(open(node("none")).axes(), "n c d.., n d.., c -> n d..; chosen c");
        assert_eq!(open(node("max")).infer(), "invalid: `reduction` is `max`, not none, sum or mean");
    }
}
