//! The `onnxpress` binary.
fn main() {}
