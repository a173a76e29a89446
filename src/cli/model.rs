//! Opening and saving models as commands name them: `-` is standard input or output.

use std::path::Path;

use super::failure::Failure;
use crate::onnx::{self, OnnxFile, OpenOptions};

/// Opens the model that an argument names.
pub(super) fn open(path: &Path, options: OpenOptions) -> Result<OnnxFile, Failure> {
    Ok(if path == Path::new("-") {
        onnx::open_stdin(std::io::stdin().lock(), options)?
    } else {
        onnx::open(path, options)?
    })
}
