//! Control flow: operators that run subgraphs.

mod if_;
mod loop_;
mod scan;
#[cfg(test)]
mod tests;

use crate::operator::Operator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[&if_::IF, &loop_::LOOP, &scan::SCAN];
