//! Reductions: many elements along some axes become one, or each the sum or product of all up to it.

mod cumulative;
mod reduce;
mod sheets;

use crate::operator::Operator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &cumulative::CUM_PROD,
    &cumulative::CUM_SUM,
    &sheets::REDUCE_L1,
    &sheets::REDUCE_L2,
    &sheets::REDUCE_LOG_SUM,
    &sheets::REDUCE_LOG_SUM_EXP,
    &sheets::REDUCE_MAX,
    &sheets::REDUCE_MEAN,
    &sheets::REDUCE_MIN,
    &sheets::REDUCE_PROD,
    &sheets::REDUCE_SUM,
    &sheets::REDUCE_SUM_SQUARE,
];
