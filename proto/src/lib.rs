//! The ONNX schema as Rust types, and files of it: bytes to messages and messages to bytes.
//!
//! This crate knows no graph: what a model *means* is decided elsewhere.

pub mod schema;

pub use bytes::Bytes;
pub use prost::Message;
