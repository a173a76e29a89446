//! Operators that find things out about elements: where extremes stand, which are not 0, which are equal, which come first.

mod arg_extremum;
mod nonzero;
mod topk;
mod unique;

use crate::operator::Operator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] =
    &[&arg_extremum::ARG_MAX, &arg_extremum::ARG_MIN, &nonzero::NON_ZERO, &topk::TOP_K, &unique::UNIQUE];
