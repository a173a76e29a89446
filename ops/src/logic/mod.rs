//! Truth values and bits: comparisons, connectives, classes of floats, bitwise operators.

mod bit_shift;
mod bitwise;
mod comparison;
mod connective;
mod float_class;

use crate::operator::Operator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &connective::AND,
    &bit_shift::BIT_SHIFT,
    &bitwise::BITWISE_AND,
    &bitwise::BITWISE_NOT,
    &bitwise::BITWISE_OR,
    &bitwise::BITWISE_XOR,
    &comparison::EQUAL,
    &comparison::GREATER,
    &comparison::GREATER_OR_EQUAL,
    &float_class::IS_INF,
    &float_class::IS_NAN,
    &comparison::LESS,
    &comparison::LESS_OR_EQUAL,
    &connective::NOT,
    &connective::OR,
    &connective::XOR,
];
