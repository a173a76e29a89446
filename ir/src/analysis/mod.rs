//! What follows from a graph's structure. Nothing here knows an operator: what nodes mean is handed in.

pub mod channels;
mod memory;

pub use memory::{peak_bytes, value_bytes};
