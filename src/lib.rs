//! A compiler for ONNX files.

pub mod draw;
