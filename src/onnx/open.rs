//! Opening: path or stream to a model, with everything that the user should hear about the file.

use std::io::Read;
use std::path::Path;

use onnxpress_ir::Model;
use onnxpress_proto::schema::tensor_proto::DataLocation;
use onnxpress_proto::{ExternalFiles, ModelFile, ReadError, try_for_each_tensor};

use super::export::{ExportError, Outgoing};
use super::import::{self, ImportError};

/// Why a file could not be opened as a model.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The bytes could not be had, or are no model message.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The message is no valid model.
    #[error("{path}: {error}")]
    Import {
        /// The file.
        path: String,
        /// What is wrong with it.
        error: Box<ImportError>,
    },
}

/// Something about a file that the user should know and that is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice(
    /// The sentence.
    pub String,
);

/// How to open.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenOptions {
    /// Initializers that are also inputs are constants, whatever the format's version says.
    pub initializers_as_constants: bool,
}

/// A model and the file it came from, which stays mapped as long as this lives.
#[derive(Debug)]
pub struct OnnxFile {
    /// The model.
    pub model: Model,
    /// What the user should know.
    pub notices: Vec<Notice>,
    /// Bytes of the model file.
    pub bytes: u64,
    /// Bytes of external data that the model's tensors take.
    pub external_bytes: u64,
    file: ModelFile,
    external: ExternalFiles,
    revision: u64,
}

impl OnnxFile {
    /// Whether any tensor's data were in another file.
    pub fn had_external_data(&self) -> bool {
        self.external_bytes > 0
    }

    /// Whether no pass has changed the model since it was opened.
    pub fn is_untouched(&self) -> bool {
        self.model.revision() == self.revision
    }

    /// The message of the model as it is now, to be saved: as it was read, as long as no pass changed it; else with a name for every value.
    ///
    /// # Errors
    /// Where the graph has a cycle.
    pub fn outgoing(&self) -> Result<Outgoing, ExportError> {
        if self.is_untouched() {
            return Outgoing::of(&self.model, true);
        }
        let mut named = self.model.clone();
        onnxpress_ir::names::assign_names(&mut named);
        Outgoing::of(&named, false)
    }

    /// Fails if the file, or one with external data, was cut short or changed since it was opened: weights are read from it
    /// to the last moment, so whatever was computed from them cannot be trusted then.
    ///
    /// # Errors
    /// As said.
    pub fn check_unchanged(&self) -> Result<(), OpenError> {
        self.file.check_unchanged()?;
        self.external.check_unchanged().map_err(|error| OpenError::Import {
            path: self.file.name().display().to_string(),
            error: Box::new(error.into()),
        })
    }
}

/// Opens a file, mapped.
///
/// # Errors
/// Where it cannot be read or is no valid model.
pub fn open(path: &Path, options: OpenOptions) -> Result<OnnxFile, OpenError> {
    of_file(ModelFile::open(path)?, options)
}

/// Reads a model from a stream, which can have no external data.
///
/// # Errors
/// Where it cannot be read or is no valid model.
pub fn open_stdin(stream: impl Read, options: OpenOptions) -> Result<OnnxFile, OpenError> {
    of_file(ModelFile::from_reader("standard input", stream)?, options)
}

fn of_file(file: ModelFile, options: OpenOptions) -> Result<OnnxFile, OpenError> {
    let mut decoded = file.decode()?;
    let mut notices = Vec::new();
    for unknown in &decoded.unknown {
        notices.push(Notice(format!(
            "{} bytes in field {} of {} are not part of the schema known here and will not be written",
            unknown.bytes, unknown.number, unknown.message
        )));
    }
    let mut external_bytes = 0u64;
    let mut external = ExternalFiles::of(&file);
    let counted: Result<(), std::convert::Infallible> = try_for_each_tensor(&mut decoded.model, |tensor| {
        if tensor.data_location == Some(DataLocation::External as i32) {
            let length = tensor.external_data.iter().find(|entry| entry.key.as_deref() == Some(b"length"));
            let stated =
                length.and_then(|entry| std::str::from_utf8(entry.value.as_deref()?).ok()?.parse::<u64>().ok());
            external_bytes = external_bytes.saturating_add(stated.unwrap_or(1));
        }
        Ok(())
    });
    let Ok(()) = counted;
    let imported = import::from_message(decoded.model, &mut external, options.initializers_as_constants);
    if imported.is_err() {
        // What a file that changed underneath seems to say is not worth telling.
        file.check_unchanged()?;
    }
    let model = imported
        .map_err(|error| OpenError::Import { path: file.name().display().to_string(), error: Box::new(error) })?;
    let revision = model.revision();
    Ok(OnnxFile { model, notices, bytes: file.bytes().len() as u64, external_bytes, file, external, revision })
}
