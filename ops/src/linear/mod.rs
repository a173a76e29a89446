//! Linear maps: convolutions and matrix products.

mod conv;
mod window;

use crate::operator::Operator;

pub(crate) use window::Window;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[&conv::CONV];
