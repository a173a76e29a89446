//! Operators that make tensors out of sizes, places or attributes.

mod constant;
mod constant_of_shape;
mod eye_like;
mod one_hot;
mod range;

use crate::operator::Operator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &constant::CONSTANT,
    &constant_of_shape::CONSTANT_OF_SHAPE,
    &eye_like::EYE_LIKE,
    &one_hot::ONE_HOT,
    &range::RANGE,
];
