//! The ONNX schema as Rust types, and files of it: bytes to messages and messages to bytes.
//!
//! This crate knows no graph: what a model *means* is decided elsewhere.

mod lookalike;
mod map;
mod read;
mod scan;
pub mod schema;
mod wire;

#[cfg(test)]
mod samples;

pub use bytes::Bytes;
pub use lookalike::{Lookalike, lookalike};
pub use map::Change;
pub use prost::Message;
pub use read::{Decoded, ModelFile, ReadError, STREAM_LIMIT};
pub use scan::{Fault, MAX_DEPTH, Root, Scan, ScanError, UnknownField, scan};
pub use wire::{WireFault, WireType};
