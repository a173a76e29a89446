//! Operators that put elements elsewhere, leave some out, or repeat them.

mod moves;

use crate::operator::Operator;

pub(crate) use moves::{Moves, evaluate_regrouped, extents_of_result, infer_regrouped, tracked_extents};

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[];
