//! Samples: what models are measured on.
//!
//! They come as arrays that carry the names of a model's inputs, as `images` or one nameless array for a model with one input,
//! or as a folder of pictures; and with labels or without. All of it is read a batch at a time, so that memory does not depend
//! on how many samples there are. What does not suit the model is found before it is run, and told beside what it wants.

mod arrays;
mod binding;
mod error;
#[cfg(feature = "images")]
mod folder;
pub mod preprocess;

use std::path::{Path, PathBuf};

use onnxpress_ir::{DType, Model, Tensor, Type};

use arrays::Arrays;
pub use binding::Binding;
pub use error::{DataError, Mismatch};
pub use preprocess::Preprocess;

/// What of the samples is wanted, and how.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DataOptions {
    /// How pictures are prepared; without it they must be what the model wants.
    pub preprocess: Option<Preprocess>,
    /// The first so many samples only.
    pub samples: Option<usize>,
}

/// What an input is fed from.
#[derive(Debug, Clone, PartialEq)]
struct Column {
    /// The array, or `images`.
    name: String,
    /// The type of all samples together, once they are prepared.
    ty: Type,
    /// Whether there is one value a sample; a scalar is the same for all.
    varies: bool,
    /// Whether a preprocessing makes it, so that its numbers may be had in any type.
    prepared: bool,
}

/// Where samples come from.
enum Source {
    Arrays(Arrays),
    #[cfg(feature = "images")]
    Folder(folder::Folder),
}

/// Samples that suit a model, read from first to last.
pub struct Samples {
    path: PathBuf,
    source: Source,
    columns: Vec<Column>,
    /// All arrays with their types, as messages list them.
    listed: String,
    count: usize,
    labelled: bool,
    read: usize,
}

/// Some samples, one after the other along the first axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// What inputs are fed from; [`Binding::feed`] knows which.
    columns: Vec<Tensor>,
    /// What is right for each sample, if that is known.
    pub labels: Option<Vec<i64>>,
    /// How many samples there are. The tensors may have more: a last batch is filled up with its last sample.
    pub len: usize,
}

impl Samples {
    /// Opens an `.npz` or `.npy` file, or a folder of pictures, for a model whose types are inferred.
    ///
    /// # Errors
    /// Where it cannot be read, or does not suit the model.
    pub fn open(path: &Path, model: &Model, options: &DataOptions) -> Result<Self, DataError> {
        let mut samples = if path.is_dir() {
            Self::open_folder(path, model, options)?
        } else {
            let (arrays, opened) = Arrays::open(path, model, options.preprocess.as_ref())?;
            let arrays::Opened { columns, listed, count, labelled } = opened;
            Self { path: path.to_owned(), source: Source::Arrays(arrays), columns, listed, count, labelled, read: 0 }
        };
        samples.count = samples.count.min(options.samples.unwrap_or(usize::MAX));
        if samples.count == 0 {
            return Err(DataError::NoSamples { path: path.to_owned(), wanted: crate::inputs::describe(model) });
        }
        samples.bind(model)?;
        Ok(samples)
    }

    #[cfg(feature = "images")]
    fn open_folder(path: &Path, model: &Model, options: &DataOptions) -> Result<Self, DataError> {
        let (folder, column) = folder::Folder::open(path, model, options.preprocess.as_ref())?;
        let (count, labelled) = (folder.len(), folder.is_labelled());
        let listed = format!("images: {}", column.ty);
        let (columns, source) = (vec![column], Source::Folder(folder));
        Ok(Self { path: path.to_owned(), source, columns, listed, count, labelled, read: 0 })
    }

    #[cfg(not(feature = "images"))]
    fn open_folder(path: &Path, _model: &Model, _options: &DataOptions) -> Result<Self, DataError> {
        Err(DataError::NoImages { path: path.to_owned() })
    }

    /// How many samples there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether it is known what is right for each.
    pub fn is_labelled(&self) -> bool {
        self.labelled
    }

    /// Which input of a model is fed from what: of the one that these samples were opened for, or of one like it.
    ///
    /// # Errors
    /// Where the samples do not suit it.
    pub fn bind(&self, model: &Model) -> Result<Binding, DataError> {
        Binding::new(model, &self.columns, &self.path, &self.listed)
    }

    /// The next batch, `None` after the last. Each has `size` samples; the last is filled up with its last sample.
    ///
    /// # Errors
    /// Where they cannot be read, or have a NaN or an infinity among their numbers.
    pub fn next_batch(&mut self, size: usize) -> Result<Option<Batch>, DataError> {
        let len = size.min(self.count - self.read);
        if len == 0 {
            return Ok(None);
        }
        let (tensors, labels) = match &mut self.source {
            Source::Arrays(arrays) => arrays.read(len)?,
            #[cfg(feature = "images")]
            Source::Folder(folder) => folder.read(len)?,
        };
        for (column, tensor) in self.columns.iter().zip(&tensors) {
            if let Some((row, what)) = not_finite(tensor) {
                let sample = self.read + if column.varies { row } else { 0 };
                let (path, name) = (self.path.clone(), column.name.clone());
                return Err(DataError::NotFinite { path, name, what, sample });
            }
        }
        self.read += len;
        let fill = |(column, tensor): (&Column, Tensor)| if column.varies { filled(tensor, size) } else { tensor };
        Ok(Some(Batch { columns: self.columns.iter().zip(tensors).map(fill).collect(), labels, len }))
    }
}

/// The first row with a NaN or an infinity in it, and which of the two.
fn not_finite(tensor: &Tensor) -> Option<(usize, &'static str)> {
    if !tensor.dtype().is_float() {
        return None;
    }
    let first = |place: Option<(usize, bool)>| {
        let row: usize = tensor.dims().iter().skip(1).product();
        place.map(|(at, is_nan)| (at / row.max(1), if is_nan { "a NaN" } else { "an infinity" }))
    };
    // What is finite as a double may be none as a float.
    if tensor.dtype() == DType::Double {
        let values = tensor.to_f64s().ok()?;
        return first(values.iter().position(|value| !value.is_finite()).map(|at| (at, values[at].is_nan())));
    }
    let values = tensor.to_f32s().ok()?;
    first(values.iter().position(|value| !value.is_finite()).map(|at| (at, values[at].is_nan())))
}

/// The tensor with its last row repeated until there are `size`.
fn filled(tensor: Tensor, size: usize) -> Tensor {
    let mut dims = tensor.dims().to_vec();
    let Some(rows) = dims.first_mut().filter(|rows| **rows > 0 && **rows < size) else { return tensor };
    let missing = size - std::mem::replace(rows, size);
    let made = match (tensor.strings(), tensor.bytes()) {
        (Some(strings), _) => {
            let last = &strings[strings.len() - strings.len() / (size - missing)..];
            let all = strings.iter().cloned().chain(std::iter::repeat_n(last, missing).flatten().cloned());
            Tensor::from_strings(&dims, all.collect())
        }
        (None, Some(bytes)) => {
            let last = &bytes[bytes.len() - bytes.len() / (size - missing)..];
            let mut all = bytes.to_vec();
            std::iter::repeat_n(last, missing).for_each(|row| all.extend_from_slice(row));
            Tensor::from_bytes(tensor.dtype(), &dims, all.into())
        }
        (None, None) => return tensor,
    };
    made.unwrap_or(tensor)
}

#[cfg(test)]
mod tests;
