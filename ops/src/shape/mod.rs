//! Operators about extents: they give the same elements other axes, or tell what the axes are.

mod extents;
mod factors;
mod flatten;
mod identity;
mod reshape;
mod squeeze;
mod unsqueeze;

use crate::operator::Operator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &extents::SHAPE,
    &extents::SIZE,
    &flatten::FLATTEN,
    &identity::IDENTITY,
    &reshape::RESHAPE,
    &squeeze::SQUEEZE,
    &unsqueeze::UNSQUEEZE,
];
