//! A compiler for ONNX files.
