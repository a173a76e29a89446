//! Operators of the standard in the place of the nodes that compute them.
//!
//! Exporters write out what their version of the standard had no operator for, or what they have none for. No operator is
//! brought in that the model's version of the standard does not have.

mod elementwise;
mod expression;
mod function;
mod fuse_elementwise;

pub use fuse_elementwise::FuseElementwise;

use crate::rewrite::AnyRule;

/// The rules of this family.
pub(super) const RULES: &[&dyn AnyRule] = &[&FuseElementwise];
