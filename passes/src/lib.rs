//! The passes.

pub mod pipeline;
