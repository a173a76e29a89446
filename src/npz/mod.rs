//! Files of arrays, as numpy reads and writes them: `.npz` archives and single `.npy` files.
//!
//! They carry inputs and outputs of models between onnxpress and everything else. The header of an array is parsed by
//! `ndarray-npy`; its data are read and written here, since a model's elements (16-bit floats, strings) are more than that
//! crate has types for, and since what a header claims must be checked against what is there before memory is taken.
//!
//! numpy has arrays only. A sequence is written as one array an element, `name[0]`, `name[1]`, …; a map as `name.keys` and
//! `name.values`; an optional that is empty not at all. Element types that numpy has not are written as the narrowest one
//! that holds every value: floats of fewer bits as float32, integers of fewer bits as 8-bit ones.

mod append;
mod npy;
mod rows;
mod values;

use std::collections::BTreeSet;
use std::io::{Cursor, Read, Seek};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use onnxpress_ir::{Tensor, TensorError};
use onnxpress_ops::evaluate::Value;
use onnxpress_proto::{Bytes, Encoded, FileSet, WriteError};
use zip::result::ZipError;
use zip::{ZipArchive, ZipWriter};

pub use append::{Appending, Packing};
pub use npy::NpyError;
pub use rows::{ArrayFile, Rows};
pub(crate) use values::take_value;

/// Arrays by name, in the order of the file.
pub type Arrays = IndexMap<String, Tensor>;

/// Why a file of arrays could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum NpzError {
    /// The file cannot be opened or read.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The bytes are no archive.
    #[error("{}: no archive of arrays: {error}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// Why.
        error: ZipError,
    },
    /// An array in it cannot be read.
    #[error("{}: array `{name}`: {error}", path.display())]
    Array {
        /// The file.
        path: PathBuf,
        /// The array.
        name: String,
        /// Why.
        error: NpyError,
    },
    /// Two arrays of one name.
    #[error("{}: array `{name}` is there twice", path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// An archive could not be made in memory.
    #[error("cannot make an archive: {0}")]
    Encode(#[from] ZipError),
    /// The elements make no array.
    #[error("cannot make an array: {0}")]
    Elements(#[from] TensorError),
    /// Bytes could not be added to an archive.
    #[error("cannot make an archive: {0}")]
    Append(#[from] std::io::Error),
    /// The archive cannot be written to its place.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The arrays of an `.npz` archive (compressed or not), or the one of an `.npy` file under the file's own name.
///
/// Which of the two it is, the bytes say, not the name.
///
/// # Errors
/// Where the file cannot be read, is neither of the two, or has an array whose elements no tensor can have.
pub fn read(path: &Path) -> Result<Arrays, NpzError> {
    let io = |error| NpzError::Io { path: path.to_owned(), error };
    let mut file = std::io::BufReader::new(std::fs::File::open(path).map_err(io)?);
    let mut start = [0; npy::MAGIC.len()];
    let known = read_start(&mut file, &mut start).map_err(io)?;
    file.rewind().map_err(io)?;
    if start[..known] != npy::MAGIC[..] {
        return read_archive(path, file);
    }
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    match npy::read(&mut file) {
        Ok(tensor) => Ok(Arrays::from([(name, tensor)])),
        Err(error) => Err(NpzError::Array { path: path.to_owned(), name, error }),
    }
}

/// As many of the first bytes as there are.
fn read_start(from: &mut impl Read, start: &mut [u8]) -> std::io::Result<usize> {
    let mut known = 0;
    while known < start.len() {
        match from.read(&mut start[known..])? {
            0 => break,
            more => known += more,
        }
    }
    Ok(known)
}

fn read_archive(path: &Path, file: impl Read + Seek) -> Result<Arrays, NpzError> {
    let archive = |error| NpzError::Archive { path: path.to_owned(), error };
    let mut zip = ZipArchive::new(file).map_err(archive)?;
    let mut arrays = Arrays::new();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(archive)?;
        let name = entry.name().strip_suffix(".npy").unwrap_or(entry.name()).to_owned();
        let tensor = npy::read(&mut entry).map_err(|error| NpzError::Array {
            path: path.to_owned(),
            name: name.clone(),
            error,
        })?;
        if arrays.insert(name.clone(), tensor).is_some() {
            return Err(NpzError::Duplicate { path: path.to_owned(), name });
        }
    }
    Ok(arrays)
}

/// An uncompressed archive of these values, as `numpy.savez` writes it: the same bytes for the same values. Of values of one
/// name, the first is kept; a model may give out one value twice.
///
/// # Errors
/// Where the archive would be larger than the format can say.
pub fn encode<'v>(values: impl IntoIterator<Item = (String, &'v Value)>) -> Result<Encoded, NpzError> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut written = BTreeSet::new();
    for (name, value) in values {
        for (name, tensor) in values::flatten(name, value) {
            if !written.insert(name.clone()) {
                continue;
            }
            append::put(&mut zip, &name, &tensor, Packing::Stored)?;
        }
    }
    let mut encoded = Encoded::default();
    encoded.push(Bytes::from(zip.finish()?.into_inner()));
    Ok(encoded)
}

/// Writes an archive of these values to `path`, whole or not at all.
///
/// # Errors
/// Where the file system refuses.
pub fn write<'v>(path: &Path, values: impl IntoIterator<Item = (String, &'v Value)>) -> Result<(), NpzError> {
    let mut files = FileSet::new();
    files.stage(path, encode(values)?)?;
    files.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests;
