//! The graph.

pub mod dim;
