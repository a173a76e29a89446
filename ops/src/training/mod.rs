//! Training: the optimizers of `ai.onnx.preview.training`.

mod optimizers;

use onnxpress_ir::Type;

use crate::axes::Axes;
use crate::gradient::Gradient;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

/// The domain.
const DOMAIN: &str = "ai.onnx.preview.training";

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[&GRADIENT, &optimizers::ADAGRAD, &optimizers::ADAM, &optimizers::MOMENTUM];

/// `Gradient`: the partial derivatives of a value of the graph with respect to others, which attributes name.
///
/// Source: ONNX operator specification, `ai.onnx.preview.training.Gradient`, version 1.
static GRADIENT: Operator = Operator {
    domain: DOMAIN,
    name: "Gradient",
    infer: Infer::With(|cx| {
        let named = cx.attrs().strings("xs")?.map_or(0, <[_]>::len);
        for port in 0..named.min(cx.operand_count()) {
            // The derivative with respect to a tensor has one entry for each of its elements.
            let ty: Type = cx.ty(port).clone();
            cx.set(port, ty);
        }
        Ok(())
    }),
    axes: Axes::Opaque("it differentiates the graph around it"),
    evaluate: Evaluate::NotPossible("it differentiates the graph around it, and operators have no derivatives here"),
    linear: Linear::None("it differentiates the graph around it"),
    quantize: Quantize::KeepsFloat("gradients need the range of floats"),
    cost: Cost::None("it differentiates the graph around it"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("second derivatives are not asked for"),
};
