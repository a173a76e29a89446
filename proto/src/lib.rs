//! The ONNX schema and files of it.
