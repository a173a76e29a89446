//! onnxpress: a compiler for ONNX files.
//!
//! [`onnx`] reads a file into a graph and writes it back; a [`runner`] runs it on [`inputs`], which [`npz`] files carry;
//! [`eval`] measures it on the samples of [`data`], and [`evidence`] what is inside; the crates behind [`ir`], [`ops`] and [`passes`] hold the graph, the operators and the passes.

pub mod check;
#[cfg(feature = "cli")]
pub mod cli;
pub mod data;
pub mod draw;
pub mod eval;
pub mod evidence;
pub mod inputs;
pub mod inspect;
pub mod npz;
pub mod onnx;
pub mod runner;

pub use onnxpress_ir as ir;
pub use onnxpress_ops as ops;
pub use onnxpress_passes as passes;
pub use onnxpress_proto as proto;
