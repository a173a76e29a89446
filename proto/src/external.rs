//! Weights that a model keeps in files beside it.
//!
//! A tensor whose `data_location` is `EXTERNAL` names a file, relative to the model's folder, and a
//! range of it. The names come from the model and are not to be trusted: [`ExternalFiles`] reads within
//! the model's folder and nowhere else. [`ExternalWriter`] lays weights out in one new data file.
//!
//! Source: onnx `docs/ExternalData.md` and `TensorProto.external_data`.

mod files;
mod writer;

use std::io;
use std::path::PathBuf;

use bytes::Bytes;

pub use self::files::ExternalFiles;
pub use self::writer::{Alignment, ExternalWriter, THRESHOLD};
use crate::map::Change;
use crate::schema::tensor_proto::DataLocation;
use crate::schema::{StringStringEntryProto, TensorProto, text};

/// Why the external data of a tensor cannot be used: which tensor, what it names, what is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExternalError {
    /// The model has no folder.
    #[error(
        "tensor `{tensor}`: its data are in the file `{location}`, but the model came from a stream, \
         which has no folder; name the model's file"
    )]
    NoFolder {
        /// The tensor.
        tensor: String,
        /// The file that it names.
        location: String,
    },
    /// The tensor says that its data are external, and not where.
    #[error("tensor `{tensor}`: its data are external, but no `location` says where")]
    NoLocation {
        /// The tensor.
        tensor: String,
    },
    /// An entry that should be a number is none.
    #[error("tensor `{tensor}`: external data `{key}` is `{found}`, expected a number of bytes")]
    NotANumber {
        /// The tensor.
        tensor: String,
        /// `offset` or `length`.
        key: &'static str,
        /// Its value.
        found: String,
    },
    /// The location may lead out of the model's folder.
    #[error("tensor `{tensor}`: external data location `{location}` {why}, expected a file in the model's folder")]
    Outside {
        /// The tensor.
        tensor: String,
        /// The file that it names.
        location: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The file is not there or cannot be read.
    #[error("tensor `{tensor}`: cannot read its data file {}: {source}", file.display())]
    Read {
        /// The tensor.
        tensor: String,
        /// The data file.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// What the location leads to is no regular file.
    #[error("tensor `{tensor}`: its data file {} is {what}, expected a regular file", file.display())]
    NotAFile {
        /// The tensor.
        tensor: String,
        /// The path.
        file: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// The range reaches past the end of the file.
    #[error(
        "tensor `{tensor}`: its data are {length} bytes at offset {offset} of {}, which has {size} bytes",
        file.display()
    )]
    PastEnd {
        /// The tensor.
        tensor: String,
        /// The data file.
        file: PathBuf,
        /// Where its data start, in bytes.
        offset: u64,
        /// How many they are; 0 if the tensor does not say and the offset is past the end.
        length: u64,
        /// Size of the file in bytes.
        size: u64,
    },
    /// The name for a new data file is no plain name.
    #[error("`{name}` cannot name a data file: {why}, expected a plain file name beside the model")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A data file changed while it was in use.
    #[error("{}: the file changed while it was in use: {change}; run again when it rests", file.display())]
    Changed {
        /// The data file.
        file: PathBuf,
        /// What happened to it.
        change: Change,
    },
}

/// Where a tensor says that its data are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Location {
    /// Path of the file, relative to the model's folder; as the model says it, not checked.
    pub file: String,
    /// Where the data start, in bytes.
    pub offset: u64,
    /// How many bytes they are; all to the file's end if it is not said.
    pub length: Option<u64>,
    /// SHA-1 of the whole file. Optional, rarely written, and not compared: it would take reading the
    /// whole file for each open, and guards against no one who can write the model.
    pub checksum: Option<String>,
}

impl Location {
    /// Reads the entries of `tensor`; none if its data are not external. Of a key that occurs twice the
    /// last counts, as in onnx; unknown keys are for others.
    ///
    /// # Errors
    /// If no location is given, or a number is none.
    pub fn of(tensor: &TensorProto) -> Result<Option<Location>, ExternalError> {
        if tensor.data_location != Some(DataLocation::External as i32) {
            return Ok(None);
        }
        let value = |key: &str| {
            let entry = tensor.external_data.iter().rev().find(|entry| entry.key() == key.as_bytes());
            entry.map(|entry| text(entry.value()).into_owned())
        };
        let number = |key: &'static str| {
            let bad = |found: &String| ExternalError::NotANumber { tensor: name(tensor), key, found: found.clone() };
            value(key).map(|found| decimal(&found).ok_or_else(|| bad(&found))).transpose()
        };
        let file = value("location").filter(|file| !file.is_empty());
        Ok(Some(Location {
            file: file.ok_or_else(|| ExternalError::NoLocation { tensor: name(tensor) })?,
            offset: number("offset")?.unwrap_or(0),
            length: number("length")?,
            checksum: value("checksum"),
        }))
    }
}

/// Digits and nothing else: `parse` alone would admit a sign.
fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn name(tensor: &TensorProto) -> String {
    text(tensor.name()).into_owned()
}

/// Puts `data` into `tensor` itself, and takes away what it says of a file.
pub fn embed(tensor: &mut TensorProto, data: Bytes) {
    tensor.raw_data = Some(data);
    tensor.external_data.clear();
    tensor.data_location = None;
}

/// An entry of a tensor's external data.
fn entry(key: &'static str, value: String) -> StringStringEntryProto {
    StringStringEntryProto { key: Some(Bytes::from_static(key.as_bytes())), value: Some(value.into()) }
}

#[cfg(test)]
mod tests;
