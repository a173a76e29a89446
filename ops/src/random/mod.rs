//! Operators that draw random numbers.

mod bernoulli;
mod distribution;
mod generator;
mod multinomial;

use crate::operator::Operator;

pub(crate) use generator::Generator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &bernoulli::BERNOULLI,
    &multinomial::MULTINOMIAL,
    &distribution::RANDOM_NORMAL,
    &distribution::RANDOM_NORMAL_LIKE,
    &distribution::RANDOM_UNIFORM,
    &distribution::RANDOM_UNIFORM_LIKE,
];
