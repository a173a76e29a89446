//! Subgraphs that are known to run, or not to: their nodes belong into the graph around.

mod inline_if;
mod inline_loop;
mod inline_scan;
mod inlined;

pub use inline_if::InlineIf;
pub use inline_loop::InlineLoop;
pub use inline_scan::InlineScan;

use crate::rewrite::AnyRule;

/// The rules of this family.
pub(super) const RULES: &[&dyn AnyRule] = &[&InlineIf, &InlineLoop, &InlineScan];
