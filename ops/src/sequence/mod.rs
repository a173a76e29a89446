//! Containers: sequences of tensors and optional values.

mod concat;
mod construct;
mod edit;
mod map;
mod optional;
mod read;
mod split;

use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &concat::CONCAT_FROM_SEQUENCE,
    &construct::SEQUENCE_CONSTRUCT,
    &construct::SEQUENCE_EMPTY,
    &edit::SEQUENCE_ERASE,
    &edit::SEQUENCE_INSERT,
    &map::SEQUENCE_MAP,
    &optional::OPTIONAL,
    &optional::OPTIONAL_GET_ELEMENT,
    &optional::OPTIONAL_HAS_ELEMENT,
    &read::SEQUENCE_AT,
    &read::SEQUENCE_LENGTH,
    &split::SPLIT_TO_SEQUENCE,
];

/// The sheet of an operator on containers: they differ only in types and in what they hand on.
const fn sheet(
    name: &'static str,
    infer: fn(&mut InferCx<'_>) -> Result<(), Undecided>,
    evaluate: fn(&EvalCx<'_>) -> Result<Vec<Value>, EvalError>,
) -> Operator {
    Operator {
        domain: "",
        name,
        infer: Infer::With(infer),
        axes: Axes::Opaque("which tensor of a container is meant is known at run time only"),
        evaluate: Evaluate::With(evaluate),
        linear: Linear::None("moves data"),
        quantize: Quantize::KeepsFloat("the tensors of a container share no quantization parameters"),
        cost: Cost::None("moves data"),
        effects: Effects::Pure,
        gradient: Gradient::NotPossible("it hands on containers, which carry no gradient here"),
    }
}

/// A position in a container of `length` places, given one that may count from the back.
fn place(position: &[i64], length: usize) -> Result<usize, EvalError> {
    match position {
        [position] => onnxpress_ir::shape::normalize_axis(*position, length)
            .ok_or_else(|| EvalError::invalid(format!("position {position} of {length}"))),
        other => Err(EvalError::invalid(format!("a position of {} elements", other.len()))),
    }
}
