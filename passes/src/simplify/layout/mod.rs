//! In which order values have their axes: `Transpose` nodes that others can do without.
//!
//! Exporters of frameworks that keep channels last put a `Transpose` before and behind everything that wants them first. What
//! stands between computes the same in either order, once it names other axes.

mod follow;
mod move_transposes;
mod region;

pub use move_transposes::MoveTransposes;

use crate::rewrite::AnyRule;

/// The rules of this family.
pub(super) const RULES: &[&dyn AnyRule] = &[&MoveTransposes];
