//! Elementwise arithmetic.

mod add;

use crate::operator::Operator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[&add::ADD];
