//! The passes.

pub mod options;
pub mod pipeline;
