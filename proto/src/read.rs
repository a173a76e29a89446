//! Opening a model file, and decoding it.
//!
//! A regular file is mapped, anything that only streams (a pipe, standard input) is read into memory up
//! to a bound. Decoding is then the same for both: [`crate::scan`] first, then prost, whose `Bytes`
//! fields are slices of the input.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use crate::lookalike::lookalike;
use crate::map::{Change, Mapped};
use crate::scan::{Fault, Root, ScanError, UnknownField, scan};
use crate::schema::ModelProto;

/// Most bytes that are taken from a stream: the largest single message that protobuf's own readers take.
/// A larger model is in a file, which is mapped, whatever its size.
pub const STREAM_LIMIT: u64 = 2 << 30;

/// Why a model file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It could not be opened.
    #[error("{}: cannot open it: {source}", file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is something that holds no bytes of a model.
    #[error("{}: it is {what}, expected a file", file.display())]
    NotAFile {
        /// The path.
        file: PathBuf,
        /// What is there instead.
        what: &'static str,
    },
    /// Reading or mapping failed.
    #[error("{}: cannot read it: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A stream did not end within [`STREAM_LIMIT`].
    #[error("{}: more than {limit} bytes came; write them to a file and name that", file.display())]
    StreamTooLong {
        /// The stream's name.
        file: PathBuf,
        /// Most bytes that are taken.
        limit: u64,
    },
    /// It has no bytes.
    #[error("{}: it is empty, expected an ONNX model", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// It is something else than an ONNX model.
    #[error("{}: it seems to be {what}, expected an ONNX model; {advice}", file.display())]
    NotAModel {
        /// The file.
        file: PathBuf,
        /// What it seems to be.
        what: &'static str,
        /// What helps.
        advice: &'static str,
    },
    /// It is damaged, or no model at all.
    #[error("{}: damaged or no ONNX model: {fault}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where.
        fault: ScanError,
    },
    /// The decoder refuses it, for numbers within a packed list that the scan does not look at.
    #[error("{}: damaged: {source}", file.display())]
    Decode {
        /// The file.
        file: PathBuf,
        /// What the decoder says, with the fields that lead there.
        source: prost::DecodeError,
    },
    /// A model without a graph computes nothing.
    #[error("{}: the model has no graph", file.display())]
    NoGraph {
        /// The file.
        file: PathBuf,
    },
    /// It changed while it was in use.
    #[error("{}: the file changed while it was in use: {change}; run again when it rests", file.display())]
    Changed {
        /// The file.
        file: PathBuf,
        /// What happened to it.
        change: Change,
    },
}

/// A model as it was decoded, and what decoding left behind.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Decoded {
    /// The model; its bytes are slices of the file.
    pub model: ModelProto,
    /// What the file holds that the schema does not know: it is not in `model`.
    pub unknown: Vec<UnknownField>,
}

/// The bytes of a model, mapped where that is possible.
#[derive(Debug)]
pub struct ModelFile {
    name: PathBuf,
    bytes: Bytes,
    /// None for a stream: its bytes are ours.
    mapped: Option<Arc<Mapped>>,
}

impl ModelFile {
    /// Opens the file at `path` and maps it; a pipe is read to its end.
    ///
    /// # Errors
    /// If it cannot be opened or mapped, is a directory, a device or a socket, or is empty.
    pub fn open(path: &Path) -> Result<ModelFile, ReadError> {
        let name = || path.to_owned();
        let open = |source| ReadError::Open { file: name(), source };
        let metadata = std::fs::metadata(path).map_err(open)?;
        if let Some(what) = no_file(&metadata.file_type()) {
            return Err(ReadError::NotAFile { file: name(), what });
        }
        let file = File::open(path).map_err(open)?;
        // Asked again of what was opened: the path may have been given to another file meanwhile.
        let metadata = file.metadata().map_err(open)?;
        if let Some(what) = no_file(&metadata.file_type()) {
            return Err(ReadError::NotAFile { file: name(), what });
        }
        if !metadata.is_file() {
            return ModelFile::from_reader(path, file);
        }
        if metadata.len() == 0 {
            return Err(ReadError::Empty { file: name() });
        }
        let mapped = Mapped::new(path, &file).map_err(|source| ReadError::Read { file: name(), source })?;
        Ok(ModelFile { name: name(), bytes: mapped.bytes(), mapped: Some(mapped) })
    }

    /// Reads a stream to its end. `name` is for messages only: a stream has no folder.
    ///
    /// # Errors
    /// If reading fails, no byte comes, or more than [`STREAM_LIMIT`] come.
    pub fn from_reader(name: impl Into<PathBuf>, reader: impl Read) -> Result<ModelFile, ReadError> {
        ModelFile::from_reader_within(name.into(), reader, STREAM_LIMIT)
    }

    fn from_reader_within(name: PathBuf, reader: impl Read, limit: u64) -> Result<ModelFile, ReadError> {
        let mut bytes = Vec::new();
        match reader.take(limit + 1).read_to_end(&mut bytes) {
            Err(source) => Err(ReadError::Read { file: name, source }),
            Ok(_) if bytes.len() as u64 > limit => Err(ReadError::StreamTooLong { file: name, limit }),
            Ok(_) => ModelFile::from_bytes(name, bytes.into()),
        }
    }

    /// Takes bytes that are in memory. `name` is for messages only.
    ///
    /// # Errors
    /// If there are none.
    pub fn from_bytes(name: impl Into<PathBuf>, bytes: Bytes) -> Result<ModelFile, ReadError> {
        let name = name.into();
        if bytes.is_empty() {
            return Err(ReadError::Empty { file: name });
        }
        Ok(ModelFile { name, bytes, mapped: None })
    }

    /// Path or name that it was opened by.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// The folder of the file, to which the locations of external data are relative; none for a stream.
    pub fn folder(&self) -> Option<&Path> {
        self.mapped.as_ref()?;
        let parent = self.name.parent()?;
        Some(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
    }

    /// All bytes of the file.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Walks the file and decodes it. No weight is copied: `raw_data` and names are slices of the file.
    ///
    /// # Errors
    /// If the bytes are no model, are damaged or nested too deep, hold no graph, or changed meanwhile.
    pub fn decode(&self) -> Result<Decoded, ReadError> {
        let decoded = self.decode_as_found();
        // Whatever came out, it is void if the file changed under it; then that is the error to tell.
        self.check_unchanged()?;
        decoded
    }

    fn decode_as_found(&self) -> Result<Decoded, ReadError> {
        let file = || self.name.clone();
        let unless_lookalike = |error| match lookalike(&self.bytes) {
            Some(it) => ReadError::NotAModel { file: file(), what: it.what, advice: it.advice },
            None => error,
        };
        let found = scan(&self.bytes, Root::Model).map_err(|error| {
            // What can be read that far down is a model, whatever else its first bytes may look like.
            let too_deep = error.fault == Fault::Depth;
            let error = ReadError::Malformed { file: file(), fault: error };
            if too_deep { error } else { unless_lookalike(error) }
        })?;
        if !found.has_graph {
            let error = ReadError::NoGraph { file: file() };
            // Few fields of another message may read as a model's; unknown ones give it away.
            return Err(if found.unknown.is_empty() { error } else { unless_lookalike(error) });
        }
        let model =
            ModelProto::decode(self.bytes.clone()).map_err(|source| ReadError::Decode { file: file(), source })?;
        Ok(Decoded { model, unknown: found.unknown })
    }

    /// Whether the file is still what was opened. To be asked before a result is written: until then
    /// weights are read from the file itself.
    ///
    /// # Errors
    /// [`ReadError::Changed`] if it was cut, written to, replaced or removed. A stream never changes.
    pub fn check_unchanged(&self) -> Result<(), ReadError> {
        let Some(mapped) = &self.mapped else {
            return Ok(());
        };
        mapped.check_unchanged().map_err(|change| ReadError::Changed { file: self.name.clone(), change })
    }
}

/// What a path leads to, if neither a regular file nor a pipe.
pub(crate) fn no_file(kind: &std::fs::FileType) -> Option<&'static str> {
    if kind.is_dir() {
        return Some("a directory");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_char_device() || kind.is_block_device() {
            return Some("a device");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
    }
    None
}

#[cfg(test)]
mod tests;
