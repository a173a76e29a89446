//! Which input of a model is fed from which column of the samples.

use std::path::{Path, PathBuf};

use onnxpress_ir::{DType, Dim, Kind, Model, NodeId, Shape, Tensor, Type};
use onnxpress_ops::evaluate::Value;

use super::error::Mismatch;
use super::{Batch, Column, DataError};

/// The names of a model's inputs.
pub(super) fn names(model: &Model) -> Vec<String> {
    model.graph.inputs().iter().map(|&id| model.graph.label(id.port(0))).collect()
}

/// The inputs without a default.
fn without_default(model: &Model) -> impl Iterator<Item = NodeId> {
    let graph = &model.graph;
    graph.inputs().iter().copied().filter(move |&id| graph.input(id).default.is_none())
}

/// The names of the inputs that must be given.
pub(super) fn required(model: &Model) -> Vec<String> {
    without_default(model).map(|id| model.graph.label(id.port(0))).collect()
}

/// What the only input that must be given is declared as, if there is one only.
#[cfg(feature = "images")]
pub(super) fn lone_type(model: &Model) -> Option<&Type> {
    let mut inputs = without_default(model);
    let only = inputs.next().filter(|_| inputs.next().is_none())?;
    Some(&model.graph.input(only).declared)
}

#[derive(Debug, Clone, PartialEq)]
struct Feed {
    column: usize,
    /// The input and the type of its elements, if numbers are to be converted to it.
    convert: Option<(String, DType)>,
}

/// How one model is fed: knows for each input where its values come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    path: PathBuf,
    /// One entry an input; `None` takes the default.
    feeds: Vec<Option<Feed>>,
    batch: Option<usize>,
}

impl Binding {
    pub(super) fn new(model: &Model, columns: &[Column], path: &Path, listed: &str) -> Result<Self, DataError> {
        let graph = &model.graph;
        let wanted = || crate::inputs::describe(model);
        let lone = columns.len() == 1 && without_default(model).count() == 1;
        let mut feeds = Vec::new();
        let mut batch = None;
        let named = |name: &str| columns.iter().position(|column| column.name == name);
        let any_named = names(model).iter().any(|name| named(name).is_some());
        for &id in graph.inputs() {
            let (input, name) = (graph.input(id), graph.label(id.port(0)));
            let required = input.default.is_none();
            let found = named(&name).or((lone && required && !any_named).then_some(0));
            let Some(index) = found else {
                if required {
                    let (path, found) = (path.to_owned(), listed.to_owned());
                    return Err(DataError::Missing { path, input: name, found, wanted: wanted() });
                }
                feeds.push(None);
                continue;
            };
            let column = &columns[index];
            if !suits(column, &input.declared) {
                let numbers = |ty: &Type| ty.dtype().is_some_and(|dtype| dtype.is_float() || is_whole(dtype));
                let mismatch = Mismatch {
                    path: path.to_owned(),
                    name: column.name.clone(),
                    found: column.ty.to_string(),
                    expected: input.declared.to_string(),
                    convertible: !column.prepared
                        && column.ty.dtype() == Some(DType::Uint8)
                        && column.ty.dtype() != input.declared.dtype()
                        && numbers(&input.declared),
                    input: name,
                    wanted: wanted(),
                };
                return Err(Box::new(mismatch).into());
            }
            if column.varies && batch.is_none() {
                let first = input.declared.shape().and_then(|shape| shape.first()).and_then(Dim::as_const);
                batch = first.and_then(|extent| usize::try_from(extent).ok()).filter(|extent| *extent > 0);
            }
            let convert = input.declared.dtype().filter(|_| column.prepared).map(|dtype| (name, dtype));
            feeds.push(Some(Feed { column: index, convert }));
        }
        Ok(Self { path: path.to_owned(), feeds, batch })
    }

    /// How many samples the model wants at a time, if it leaves no choice.
    pub fn batch(&self) -> Option<usize> {
        self.batch
    }

    /// One entry an input of the model, in order.
    ///
    /// # Errors
    /// Where an input wants whole numbers, and the preprocessing has made others.
    pub fn feed(&self, batch: &Batch) -> Result<Vec<Option<Value>>, DataError> {
        let one = |feed: &Option<Feed>| match feed {
            Some(Feed { column, convert }) => {
                let tensor = batch.columns[*column].clone();
                let tensor = match convert {
                    Some((input, dtype)) => converted(tensor, *dtype).map_err(|value| {
                        let (path, input, dtype) = (self.path.clone(), input.clone(), *dtype);
                        DataError::Inexact { path, value, input, dtype }
                    })?,
                    None => tensor,
                };
                Ok(Some(Value::Tensor(tensor)))
            }
            None => Ok(None),
        };
        self.feeds.iter().map(one).collect()
    }
}

fn is_whole(dtype: DType) -> bool {
    matches!(dtype.kind(), Kind::Signed | Kind::Unsigned)
}

/// Whether rows of the column can be what an input is declared as: the first extent is a matter of batches.
fn suits(column: &Column, declared: &Type) -> bool {
    let Some(dims) = column.ty.shape().and_then(Shape::as_consts) else { return false };
    let dtype = match declared.dtype() {
        Some(dtype) if column.prepared && (dtype.is_float() || is_whole(dtype)) => Some(dtype),
        _ => column.ty.dtype(),
    };
    let first = declared.shape().and_then(|shape| shape.first()).and_then(Dim::as_const);
    let mut dims = dims;
    if column.varies
        && let (Some(samples), Some(extent)) = (dims.first_mut(), first.and_then(|extent| usize::try_from(extent).ok()))
    {
        *samples = extent;
    }
    Type::tensor(dtype, Shape::from_extents(&dims)).merge(declared).is_ok()
}

/// Numbers in another type, or the first that it cannot hold.
fn converted(tensor: Tensor, dtype: DType) -> Result<Tensor, f32> {
    if tensor.dtype() == dtype {
        return Ok(tensor);
    }
    let values = tensor.to_f64s().unwrap_or_default();
    if is_whole(dtype) {
        let (least, most) = onnxpress_ir::tensor::range(dtype);
        let holds = |value: f64| value.fract() == 0.0 && value >= least as f64 && value <= most as f64;
        if let Some(value) = values.iter().find(|value| !holds(**value)) {
            return Err(*value as f32);
        }
    }
    Tensor::from_f64s(dtype, tensor.dims(), &values).map_err(|_| values.first().map_or(0.0, |value| *value as f32))
}
