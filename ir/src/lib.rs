//! The graph.

pub mod dim;
pub mod shape;
