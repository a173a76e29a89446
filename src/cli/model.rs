//! Opening and saving models as commands name them: `-` is standard input or output.

use std::path::Path;

use super::failure::Failure;
use crate::onnx::{self, ImportError, OnnxFile, OpenError, OpenOptions, TensorFault};
use crate::passes::manager::{self, RunError};
use crate::proto::{ExternalError, Fault, ReadError};

/// Opens the model that an argument names.
pub(super) fn open(path: &Path, options: OpenOptions) -> Result<OnnxFile, Failure> {
    let opened = if path == Path::new("-") {
        onnx::open_stdin(std::io::stdin().lock(), options)
    } else {
        onnx::open(path, options)
    };
    opened.map_err(|error| match advice(&error) {
        Some(advice) => Failure::request(error).with_help(advice),
        None => Failure::request(error),
    })
}

/// Verifies a model that was opened, and infers its types. Answers what the user should know.
pub(super) fn prepare(path: &Path, file: &mut OnnxFile) -> Result<Vec<String>, Failure> {
    manager::prepare(&mut file.model).map_err(|error| run_failure(path, file, &error))
}

/// How a run over the model of this file failed; what is wrong with the model itself is told one finding a line. What a
/// file that changed underneath seems to say is not worth telling.
pub(super) fn run_failure(path: &Path, file: &OnnxFile, error: &RunError) -> Failure {
    if let Err(changed) = file.check_unchanged() {
        return Failure::request(changed);
    }
    match error {
        RunError::Invalid(findings) => {
            let name = if path == Path::new("-") { Path::new("standard input") } else { path };
            let lines: String = findings.iter().map(|finding| format!("\n  {finding}")).collect();
            Failure::request(format!("{}: not a valid model:{lines}", name.display())).with_help(EXPORTER)
        }
        error => Failure::run(error),
    }
}

const AGAIN: &str = "the file was damaged or cut short on its way: fetch or export it again";
const EXPORTER: &str = "what wrote the file made a mistake: export the model again, with its newest release if need be";

/// What to do about a file that is no model, where its error does not say so itself.
fn advice(error: &OpenError) -> Option<&'static str> {
    match error {
        OpenError::Read(error) => match error {
            ReadError::NotAFile { .. } => Some("name the model's file, or pipe it in and name `-`"),
            ReadError::Malformed { fault, .. } if fault.fault == Fault::Depth => Some(EXPORTER),
            ReadError::Empty { .. } | ReadError::Malformed { .. } | ReadError::Decode { .. } => Some(AGAIN),
            ReadError::NoGraph { .. } => Some(EXPORTER),
            _ => None,
        },
        OpenError::Import { error, .. } => match &**error {
            ImportError::Opset { .. } => Some("export the model for a version known here, or use a newer onnxpress"),
            ImportError::External(error) => advice_on_data(error),
            ImportError::Tensor { fault, .. } => match &**fault {
                TensorFault::External(error) => advice_on_data(error),
                _ => Some(EXPORTER),
            },
            _ => Some(EXPORTER),
        },
    }
}

fn advice_on_data(error: &ExternalError) -> Option<&'static str> {
    match error {
        ExternalError::NoLocation { .. } | ExternalError::NotANumber { .. } => Some(EXPORTER),
        ExternalError::Outside { .. } => {
            Some("no model may name files elsewhere: copy the data there, and name the copy")
        }
        ExternalError::Read { .. } => Some("a model moves together with its data files: put them there too"),
        ExternalError::PastEnd { .. } => {
            Some("the data file was cut short or is another model's: fetch both files again")
        }
        _ => None,
    }
}
