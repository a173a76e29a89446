//! Samples from a file of arrays: which array is what, and its rows.

use std::path::{Path, PathBuf};

use onnxpress_ir::{DType, Kind, Model, Shape, Tensor, Type};

use super::preprocess::{Picture, Pixels};
use super::{Column, DataError, Preprocess, binding};
use crate::npz::{ArrayFile, Rows};

/// What an array of pictures is called that is for whatever the input is called.
pub(super) const IMAGES: &str = "images";

/// What an array of labels may be called.
const LABELS: [&str; 2] = ["labels", "label"];

/// One array that is fed.
enum Supply {
    Rows(Rows),
    /// The same for every sample.
    Same(Tensor),
}

/// The arrays that a model is fed from, being read.
pub(super) struct Arrays {
    path: PathBuf,
    supplies: Vec<Supply>,
    labels: Option<Rows>,
    preprocess: Option<Preprocess>,
}

/// What was found in the file.
pub(super) struct Opened {
    pub(super) columns: Vec<Column>,
    pub(super) listed: String,
    pub(super) count: usize,
    pub(super) labelled: bool,
}

impl Arrays {
    pub(super) fn open(
        path: &Path,
        model: &Model,
        preprocess: Option<&Preprocess>,
    ) -> Result<(Self, Opened), DataError> {
        let file = ArrayFile::open(path)?;
        let types: Vec<(String, Type)> = file.types().map(|(name, ty)| (name.to_owned(), ty)).collect();
        let listed: Vec<_> = types.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
        let listed = if listed.is_empty() { "no arrays".to_owned() } else { listed.join(", ") };
        let inputs = binding::names(model);
        let is_label = |name: &str| LABELS.contains(&name) && !inputs.iter().any(|input| input == name);
        let label = types.iter().find(|(name, _)| is_label(name));
        let offered: Vec<_> = types.iter().filter(|(name, _)| !is_label(name)).collect();
        let mut chosen: Vec<_> = offered.iter().filter(|(name, _)| inputs.contains(name)).copied().collect();
        let mut names: Vec<String> = chosen.iter().map(|(name, _)| name.clone()).collect();
        if chosen.is_empty() {
            let required = binding::required(model);
            let images = offered.iter().find(|(name, _)| name == IMAGES).filter(|_| required.len() == 1);
            let nameless =
                offered.len() == 1 || offered.iter().enumerate().all(|(at, (name, _))| *name == format!("arr_{at}"));
            if let Some(images) = images {
                (chosen, names) = (vec![*images], vec![IMAGES.to_owned()]);
            } else if nameless && offered.len() == required.len() {
                (chosen, names) = (offered, required);
            }
        }
        let mut supplies = Vec::new();
        let mut columns = Vec::new();
        let mut counted: Option<(String, usize)> = None;
        let mut count = |name: &str, found: usize| match &counted {
            Some((other, expected)) if *expected != found => {
                let (name, other, expected) = (name.to_owned(), other.clone(), *expected);
                Err(DataError::Count { path: path.to_owned(), name, found, other, expected })
            }
            _ => {
                counted.get_or_insert_with(|| (name.to_owned(), found));
                Ok(())
            }
        };
        for ((name, ty), column) in chosen.into_iter().zip(names) {
            let Some(mut rows) = file.rows(name)? else { continue };
            let varies = !rows.dims().is_empty();
            if let Some(&samples) = rows.dims().first() {
                count(name, samples)?;
            }
            let prepared = preprocess.is_some();
            columns.push(Column { name: column, ty: ty.clone(), varies, prepared });
            supplies.push(if varies { Supply::Rows(rows) } else { Supply::Same(rows.read(1)?) });
        }
        let mut labels = None;
        if let Some((name, ty)) = label {
            labels = file.rows(name)?;
            let dims = labels.as_ref().map_or(&[][..], Rows::dims);
            let whole = ty.dtype().is_some_and(|dtype| matches!(dtype.kind(), Kind::Signed | Kind::Unsigned));
            let (&[samples] | &[samples, 1], true) = (dims, whole) else {
                let (name, found) = (name.clone(), ty.to_string());
                return Err(DataError::Labels { path: path.to_owned(), name, found });
            };
            count(name, samples)?;
        }
        if let Some(preprocess) = preprocess {
            prepare_type(path, &mut columns, preprocess)?;
        }
        let varies = columns.iter().any(|column| column.varies);
        let count = counted.filter(|_| varies || columns.is_empty()).map_or(0, |(_, count)| count);
        let labelled = labels.is_some();
        // Without any array there is nothing to count, and a better message will come of it.
        let count = if columns.is_empty() { count.max(1) } else { count };
        let arrays = Self { path: path.to_owned(), supplies, labels, preprocess: preprocess.cloned() };
        Ok((arrays, Opened { columns, listed, count, labelled }))
    }

    /// The next samples, and their labels.
    pub(super) fn read(&mut self, samples: usize) -> Result<(Vec<Tensor>, Option<Vec<i64>>), DataError> {
        let mut tensors = Vec::with_capacity(self.supplies.len());
        for supply in &mut self.supplies {
            let tensor = match supply {
                Supply::Rows(rows) => rows.read(samples)?,
                Supply::Same(tensor) => tensor.clone(),
            };
            tensors.push(match &self.preprocess {
                Some(preprocess) => prepare(&self.path, &tensor, preprocess)?,
                None => tensor,
            });
        }
        let labels = match &mut self.labels {
            Some(labels) => Some(labels.read(samples)?.to_i64s().unwrap_or_default()),
            None => None,
        };
        Ok((tensors, labels))
    }
}

/// Channels, height and width of the pictures in an array of these extents, and whether its channels come last; `None` where
/// it has no pictures. Arrays have their channels first; if that makes no sense, and last does, they are there.
fn extents(dims: &[usize]) -> Option<([usize; 3], bool)> {
    let is_channels = |extent: usize| matches!(extent, 1 | 3);
    match *dims {
        [_, height, width] => Some(([1, height, width], false)),
        [_, height, width, channels] if !is_channels(height) && is_channels(channels) => {
            Some(([channels, height, width], true))
        }
        [_, channels, height, width] => Some(([channels, height, width], false)),
        _ => None,
    }
}

/// Makes the type of the pictures what the preprocessing makes of it.
fn prepare_type(path: &Path, columns: &mut [Column], preprocess: &Preprocess) -> Result<(), DataError> {
    let no_pictures = |reason: String| DataError::NoPictures { path: path.to_owned(), reason };
    let names = || columns.iter().map(|column| format!("`{}`", column.name)).collect::<Vec<_>>().join(", ");
    if columns.len() > 1 {
        return Err(no_pictures(format!("there are {}", names())));
    }
    let Some(column) = columns.first_mut() else { return Ok(()) };
    let dims = column.ty.shape().and_then(Shape::as_consts).unwrap_or_default();
    let (Some((picture, _)), Some(dtype)) = (extents(&dims), column.ty.dtype()) else {
        return Err(no_pictures(format!("`{}` is {}", column.name, column.ty)));
    };
    if !matches!(dtype, DType::Uint8 | DType::Float | DType::Float16 | DType::Double) {
        return Err(no_pictures(format!("`{}` is {}", column.name, column.ty)));
    }
    // What it makes of the extents, it makes of any picture; a blank one is tried.
    let error = |error| DataError::Picture { path: path.to_owned(), error };
    let elements = picture.iter().try_fold(1usize, |product, extent| product.checked_mul(*extent));
    let elements = elements
        .filter(|elements| *elements <= LARGEST)
        .ok_or_else(|| no_pictures(format!("`{}` is {}, more than a picture has", column.name, column.ty)))?;
    let pixels = match dtype {
        DType::Uint8 => Pixels::Bytes(vec![0; elements]),
        _ => Pixels::Floats(vec![0.0; elements]),
    };
    let (made, _) = preprocess.apply(Picture { dims: picture, pixels }).map_err(error)?;
    let count = dims.first().copied().unwrap_or(0);
    column.ty = Type::tensor(DType::Float, Shape::from_extents(&[count, made[0], made[1], made[2]]));
    Ok(())
}

/// The most values of a picture: far above any, and no more memory than a few of them take.
const LARGEST: usize = 1 << 28;

/// Pictures as the model sees them.
fn prepare(path: &Path, tensor: &Tensor, preprocess: &Preprocess) -> Result<Tensor, DataError> {
    let no_pictures = || DataError::NoPictures { path: path.to_owned(), reason: "there are none".to_owned() };
    let (picture, last) = extents(tensor.dims()).ok_or_else(no_pictures)?;
    let count = tensor.dims().first().copied().unwrap_or(0);
    let mut values = Vec::new();
    let mut made = picture;
    let elements: usize = picture.iter().product();
    let mut push = |pixels: Pixels| {
        let (dims, mut prepared) = preprocess.apply(Picture { dims: picture, pixels })?;
        made = dims;
        values.append(&mut prepared);
        Ok(())
    };
    let pushed: Result<(), _> = match (tensor.dtype(), tensor.bytes()) {
        (DType::Uint8, Some(bytes)) => {
            bytes.chunks_exact(elements.max(1)).try_for_each(|one| push(Pixels::Bytes(first(one, picture, last))))
        }
        _ => {
            let floats = tensor.to_f32s().map_err(|_| no_pictures())?;
            floats.chunks_exact(elements.max(1)).try_for_each(|one| push(Pixels::Floats(first(one, picture, last))))
        }
    };
    pushed.map_err(|error| DataError::Picture { path: path.to_owned(), error })?;
    let dims = [count, made[0], made[1], made[2]];
    Tensor::from_values(&dims, values).map_err(|_| no_pictures())
}

/// The values with their channels first, which come last where `last` says so.
fn first<T: Copy>(values: &[T], [channels, ..]: [usize; 3], last: bool) -> Vec<T> {
    if !last {
        return values.to_vec();
    }
    (0..channels).flat_map(|channel| values.iter().skip(channel).step_by(channels).copied()).collect()
}
