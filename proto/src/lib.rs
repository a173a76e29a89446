//! The ONNX schema as Rust types, and files of it: bytes to messages and messages to bytes.
//!
//! This crate knows no graph: what a model *means* is decided elsewhere.

mod lookalike;
mod scan;
pub mod schema;
mod wire;

#[cfg(test)]
mod samples;

pub use bytes::Bytes;
pub use lookalike::{Lookalike, lookalike};
pub use prost::Message;
pub use scan::{Fault, MAX_DEPTH, Root, Scan, ScanError, UnknownField, scan};
pub use wire::{WireFault, WireType};
