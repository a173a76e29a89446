//! Why samples cannot be had, or do not suit a model.

use std::path::PathBuf;

use super::preprocess::PictureError;
use crate::npz::NpzError;

/// What is there is not of the type that an input is declared as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: `{name}` is {found}, but input `{input}` is {expected}; the model wants {wanted}", path.display())]
pub struct Mismatch {
    /// The file or folder.
    pub path: PathBuf,
    /// The array.
    pub name: String,
    /// Its type.
    pub found: String,
    /// The input.
    pub input: String,
    /// What the input is declared as.
    pub expected: String,
    /// All inputs with their types.
    pub wanted: String,
    /// Whether numbers of another type would do, which a preprocessing makes.
    pub convertible: bool,
}

/// Why samples cannot be had, or do not suit a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file of arrays cannot be read.
    #[error(transparent)]
    Npz(#[from] NpzError),
    /// A file or folder cannot be read.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// No array for an input.
    #[error("{}: no array for input `{input}`; the file has {found}; the model wants {wanted}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The input.
        input: String,
        /// All arrays with their types.
        found: String,
        /// All inputs with their types.
        wanted: String,
    },
    /// What is there is not of the input's type.
    #[error(transparent)]
    Mismatch(#[from] Box<Mismatch>),
    /// Not as many samples as in another array.
    #[error("{}: `{name}` has {found} samples, but `{other}` has {expected}", path.display())]
    Count {
        /// The file.
        path: PathBuf,
        /// The array.
        name: String,
        /// Its samples.
        found: usize,
        /// Another array.
        other: String,
        /// The samples of that.
        expected: usize,
    },
    /// No sample at all.
    #[error("{}: no samples; the model wants {wanted}", path.display())]
    NoSamples {
        /// The file or folder.
        path: PathBuf,
        /// All inputs with their types.
        wanted: String,
    },
    /// Not one whole number a sample.
    #[error("{}: labels `{name}` are {found}, expected one whole number a sample, as int64[N]", path.display())]
    Labels {
        /// The file.
        path: PathBuf,
        /// The array.
        name: String,
        /// Its type.
        found: String,
    },
    /// A value that is no number, or beyond all.
    #[error("{}: `{name}` has {what} in sample {sample}", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The array.
        name: String,
        /// What it is: a NaN, or an infinity.
        what: &'static str,
        /// The sample, counted from 0.
        sample: usize,
    },
    /// A picture cannot be prepared.
    #[error("{}: {error}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// Why.
        error: PictureError,
    },
    /// Pictures that make no batch.
    #[error("{}: {found} pixels and channels, but the pictures before it have {expected}", path.display())]
    Sizes {
        /// The picture.
        path: PathBuf,
        /// Its extents.
        found: String,
        /// Those of the others.
        expected: String,
    },
    /// A file that is no picture.
    #[error("{}: no picture: {reason}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The list of a folder's pictures makes no sense.
    #[error("{}: {reason}", path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// A preprocessing where there is no picture.
    #[error("{}: a preprocessing is for one input of pictures, but {reason}", path.display())]
    NoPictures {
        /// The file.
        path: PathBuf,
        /// What there is.
        reason: String,
    },
    /// What the preprocessing makes is nothing that the input can hold.
    #[error("{}: the preprocessing makes {value}, which input `{input}` of type {dtype} cannot hold", path.display())]
    Inexact {
        /// The file.
        path: PathBuf,
        /// The number.
        value: f32,
        /// The input.
        input: String,
        /// The type of its elements.
        dtype: onnxpress_ir::DType,
    },
    /// Left out of this program.
    #[error("{}: this onnxpress was built without the feature `images`, which reads folders of pictures", path.display())]
    NoImages {
        /// The folder.
        path: PathBuf,
    },
}

impl DataError {
    /// What to do about it, if anything is known.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Mismatch(mismatch) if mismatch.convertible => Some(
                "`--preprocess scale=1/255`, with `mean` and `std` where the model was trained so, makes numbers of bytes",
            ),
            Self::Sizes { .. } => Some("`--preprocess resize=256,crop=224` makes pictures of one size"),
            _ => None,
        }
    }
}
