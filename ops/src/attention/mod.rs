//! Attention, and what goes with it.

mod attend;
mod flex;
mod heads;
mod linear;
mod multi_head;
mod projected;
mod rotary;
mod spelling;
mod standard;

use crate::operator::Operator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &standard::ATTENTION,
    &flex::FLEX_ATTENTION,
    &linear::LINEAR_ATTENTION,
    &multi_head::MULTI_HEAD_ATTENTION,
    &projected::ATTENTION,
    &rotary::MICROSOFT_ROTARY_EMBEDDING,
    &rotary::ROTARY_EMBEDDING,
];
