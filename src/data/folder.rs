//! Samples from a folder of PNG and JPEG files: those that `labels.csv` lists, or else all of them in the order of their names.

use std::path::{Path, PathBuf};

use image::ImageReader;
use onnxpress_ir::{DType, Dim, Model, Shape, Tensor, Type};

use super::arrays::IMAGES;
use super::preprocess::{Layout, Picture, Pixels};
use super::{Column, DataError, Preprocess, binding};

/// The list of a folder's pictures.
const LIST: &str = "labels.csv";

/// What names of pictures end in.
const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];

/// Pictures, being read.
pub(super) struct Folder {
    files: Vec<PathBuf>,
    /// One a file, or none.
    labels: Vec<i64>,
    preprocess: Option<Preprocess>,
    /// Whether the model sees one channel.
    gray: bool,
    /// What the model gets of each picture.
    dims: [usize; 3],
    next: usize,
}

/// What the model gets of one picture.
enum Prepared {
    Bytes(Vec<u8>),
    Floats(Vec<f32>),
}

impl Folder {
    /// Opens the folder, and looks at its first picture.
    pub(super) fn open(
        path: &Path,
        model: &Model,
        preprocess: Option<&Preprocess>,
    ) -> Result<(Self, Column), DataError> {
        let wanted = || crate::inputs::describe(model);
        let list = path.join(LIST);
        let (files, labels) = if list.exists() { listed(path, &list)? } else { (all(path)?, Vec::new()) };
        let Some(declared) = binding::lone_type(model) else {
            let reason = format!("the model wants {}", wanted());
            return Err(DataError::NoPictures { path: path.to_owned(), reason });
        };
        let layout = preprocess.map_or(Layout::Nchw, |preprocess| preprocess.layout);
        let axis = if layout == Layout::Nchw { 1 } else { 3 };
        let channels = declared.shape().filter(|shape| shape.rank() == 4).and_then(|shape| shape.get(axis));
        let gray = channels.and_then(Dim::as_const) == Some(1);
        let preprocess = preprocess.cloned();
        let prepared = preprocess.is_some();
        let mut folder = Self { files, labels, preprocess, gray, dims: [0; 3], next: 0 };
        let Some(first) = folder.files.first() else {
            return Err(DataError::NoSamples { path: path.to_owned(), wanted: wanted() });
        };
        folder.dims = folder.load(first)?.0;
        let [a, b, c] = folder.dims;
        let dtype = if prepared { DType::Float } else { DType::Uint8 };
        let ty = Type::tensor(dtype, Shape::from_extents(&[folder.files.len(), a, b, c]));
        Ok((folder, Column { name: IMAGES.to_owned(), ty, varies: true, prepared }))
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn is_labelled(&self) -> bool {
        !self.labels.is_empty()
    }

    /// The next samples, and their labels.
    pub(super) fn read(&mut self, samples: usize) -> Result<(Vec<Tensor>, Option<Vec<i64>>), DataError> {
        let end = self.files.len().min(self.next.saturating_add(samples));
        let (mut bytes, mut floats) = (Vec::new(), Vec::new());
        for path in &self.files[self.next..end] {
            let (dims, prepared) = self.load(path)?;
            if dims != self.dims {
                let text = |dims: [usize; 3]| dims.map(|extent| extent.to_string()).join(" by ");
                let (found, expected) = (text(dims), text(self.dims));
                return Err(DataError::Sizes { path: path.clone(), found, expected });
            }
            match prepared {
                Prepared::Bytes(mut values) => bytes.append(&mut values),
                Prepared::Floats(mut values) => floats.append(&mut values),
            }
        }
        let [a, b, c] = self.dims;
        let dims = [end - self.next, a, b, c];
        let tensor = match self.preprocess {
            Some(_) => Tensor::from_values(&dims, floats),
            None => Tensor::from_values(&dims, bytes),
        };
        let labels = self.labels.get(self.next..end).map(<[i64]>::to_vec);
        let first = self.files[self.next].clone();
        self.next = end;
        match tensor {
            Ok(tensor) => Ok((vec![tensor], labels)),
            Err(error) => Err(DataError::Decode { path: first, reason: error.to_string() }),
        }
    }

    fn load(&self, path: &Path) -> Result<([usize; 3], Prepared), DataError> {
        let io = |error| DataError::Io { path: path.to_owned(), error };
        let reader = ImageReader::open(path).map_err(io)?.with_guessed_format().map_err(io)?;
        // The reader keeps to limits of its own, so a few bytes cannot claim all memory.
        let image =
            reader.decode().map_err(|error| DataError::Decode { path: path.to_owned(), reason: error.to_string() })?;
        let (width, height) = (image.width() as usize, image.height() as usize);
        let (channels, interleaved) =
            if self.gray { (1, image.into_luma8().into_raw()) } else { (3, image.into_rgb8().into_raw()) };
        let planes = (0..channels).flat_map(|channel| interleaved.iter().skip(channel).step_by(channels).copied());
        let (dims, planes): (_, Vec<u8>) = ([channels, height, width], planes.collect());
        match &self.preprocess {
            Some(preprocess) => {
                let made = preprocess.apply(Picture { dims, pixels: Pixels::Bytes(planes) });
                let (dims, values) = made.map_err(|error| DataError::Picture { path: path.to_owned(), error })?;
                Ok((dims, Prepared::Floats(values)))
            }
            None => Ok((dims, Prepared::Bytes(planes))),
        }
    }
}

/// The pictures of a list with the columns `file` and, if it has them, `label`.
fn listed(folder: &Path, list: &Path) -> Result<(Vec<PathBuf>, Vec<i64>), DataError> {
    let wrong = |reason: String| DataError::List { path: list.to_owned(), reason };
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(list).map_err(|e| wrong(e.to_string()))?;
    let header = reader.headers().map_err(|error| wrong(error.to_string()))?.clone();
    let column = |name: &str| header.iter().position(|found| found == name);
    let file = column("file").ok_or_else(|| {
        wrong(format!("columns `{}`, expected `file` and `label`", header.iter().collect::<Vec<_>>().join("`, `")))
    })?;
    let label = column("label");
    let (mut files, mut labels) = (Vec::new(), Vec::new());
    for (record, line) in reader.into_records().zip(2..) {
        let record = record.map_err(|error| wrong(error.to_string()))?;
        files.push(folder.join(record.get(file).unwrap_or_default()));
        if let Some(label) = label {
            let text = record.get(label).unwrap_or_default();
            labels
                .push(text.parse().map_err(|_| wrong(format!("row {line}: label `{text}`, expected a whole number")))?);
        }
    }
    Ok((files, labels))
}

/// All pictures in a folder.
fn all(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let io = |error| DataError::Io { path: folder.to_owned(), error };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        if ending.is_some_and(|ending| ENDINGS.contains(&&*ending)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
