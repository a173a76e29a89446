//! Changes of the element type: by value and by bits.

mod bit_cast;
mod by_value;
mod convert;
mod numeral;

use crate::operator::Operator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[&bit_cast::BIT_CAST, &by_value::CAST, &by_value::CAST_LIKE];
