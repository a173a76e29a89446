//! What the data sheets of elementwise operators have in common, so that each says only what is its own: name, formula,
//! and what quantization may do.

use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

/// The facet that computes.
pub(crate) type Kernel = fn(&EvalCx<'_>) -> Result<Vec<Value>, EvalError>;

/// Why curves stay in float.
pub(crate) const CURVED: Quantize = Quantize::KeepsFloat("a curve that few levels follow badly");

/// One operand `[s..]`, and a result of its type and shape.
pub(crate) const fn pointwise(name: &'static str, quantize: Quantize, gradient: Gradient, kernel: Kernel) -> Operator {
    Operator {
        domain: "",
        name,
        infer: Infer::With(infer::same_as_first),
        axes: Axes::Spec("s.. -> s.."),
        evaluate: Evaluate::With(kernel),
        linear: Linear::None("elementwise"),
        quantize,
        cost: Cost::None("elementwise"),
        effects: Effects::Pure,
        gradient,
    }
}

/// Two operands of one type, broadcast together, and a result of the same.
pub(crate) const fn combining(
    name: &'static str,
    infer: fn(&mut InferCx<'_>) -> Result<(), Undecided>,
    quantize: Quantize,
    gradient: Gradient,
    kernel: Kernel,
) -> Operator {
    Operator {
        infer: Infer::With(infer),
        axes: Axes::Spec("s.., s.. -> s.."),
        ..pointwise(name, quantize, gradient, kernel)
    }
}

/// Two operands of one type, broadcast together, and truth values.
pub(crate) const fn predicate(
    name: &'static str,
    infer: fn(&mut InferCx<'_>) -> Result<(), Undecided>,
    kernel: Kernel,
) -> Operator {
    let truth = "its results are truth values";
    combining(name, infer, Quantize::KeepsFloat(truth), Gradient::Zero(truth), kernel)
}

/// Inference of two operands broadcast together to a result of their type.
pub(crate) fn of_their_type(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::elementwise(cx, None).map(drop)
}
