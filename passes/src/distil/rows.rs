//! Samples in memory, cut apart, so that any of them make a batch.
//!
//! Bytes are shared with the tensors they came in; a batch copies those of its samples. What element type they are of does not
//! matter.

use bytes::{Bytes, BytesMut};
use onnxpress_ir::{DType, Model, Tensor};
use onnxpress_ops::evaluate::Value;

use crate::evidence::{EvidenceError, EvidenceSource};

/// One input, or one output of a teacher, of all samples.
#[derive(Debug, Clone)]
enum Column {
    /// The default of the input.
    Default,
    /// The same for every sample.
    Same(Value),
    /// One row a sample.
    Rows { dtype: DType, dims: Vec<usize>, rows: Vec<Bytes> },
}

/// All samples, as a model takes them.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    columns: Vec<Column>,
    /// The right class of each sample, where they say so.
    labels: Option<Vec<i64>>,
    len: usize,
}

fn odd(what: &str) -> EvidenceError {
    EvidenceError::Samples(what.to_owned())
}

impl Rows {
    /// Reads the samples of a source as a model takes them.
    ///
    /// # Errors
    /// Where they cannot be read, do not suit the model, or do not stand one behind the other along the first axis.
    pub(super) fn read(source: &dyn EvidenceSource, model: &Model, at_once: usize) -> Result<Self, EvidenceError> {
        let mut all = Self { labels: Some(Vec::new()), ..Self::default() };
        source.feed(model, at_once, &mut |feed| {
            all.labels = all.labels.take().zip(feed.labels).map(|(old, new)| [&old, new].concat());
            all.push(feed.inputs, feed.size, feed.len)
        })?;
        Ok(all)
    }

    /// Appends a batch of `size` samples, of which the first `len` count.
    ///
    /// # Errors
    /// Where its columns are not those of the batches before.
    pub(super) fn push(&mut self, values: &[Option<Value>], size: usize, len: usize) -> Result<(), EvidenceError> {
        let first = self.columns.is_empty();
        for (index, value) in values.iter().enumerate() {
            let column = match value {
                None => Column::Default,
                Some(Value::Tensor(tensor)) if tensor.dims().first() == Some(&size) => cut(tensor, size, len)?,
                Some(value) => Column::Same(value.clone()),
            };
            match (self.columns.get_mut(index), column) {
                (None, column) if first => self.columns.push(column),
                (Some(Column::Rows { dtype, dims, rows }), Column::Rows { dtype: of, dims: other, rows: more }) => {
                    if *dtype != of || *dims != other {
                        return Err(odd("samples of several sizes cannot be trained on together"));
                    }
                    rows.extend(more);
                }
                (Some(Column::Default), Column::Default) => {}
                (Some(Column::Same(old)), Column::Same(new)) if *old == new => {}
                _ => return Err(odd("inputs do not have the samples along their first axis")),
            }
        }
        self.len += len;
        Ok(())
    }

    /// How many samples there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that the samples take.
    pub(super) fn bytes(&self) -> usize {
        let of = |column: &Column| match column {
            Column::Rows { rows, .. } => rows.iter().map(Bytes::len).sum(),
            _ => 0,
        };
        self.columns.iter().map(of).sum()
    }

    /// The extents of one input where so many samples are given at once; `None` where it is the same for all.
    pub(super) fn dims(&self, index: usize, count: usize) -> Option<Vec<usize>> {
        match self.columns.get(index)? {
            Column::Rows { dims, .. } => Some(std::iter::once(count).chain(dims.iter().copied()).collect()),
            _ => None,
        }
    }

    /// Whether there is a label for each sample.
    pub(super) fn labelled(&self) -> bool {
        self.labels.as_ref().is_some_and(|labels| labels.len() == self.len && self.len > 0)
    }

    /// The labels of some samples.
    pub(super) fn labels(&self, samples: &[usize]) -> Option<Tensor> {
        let labels = self.labels.as_ref()?;
        let some: Option<Vec<i64>> = samples.iter().map(|&sample| labels.get(sample).copied()).collect();
        some.map(Tensor::vector)
    }

    /// Some samples as one batch.
    ///
    /// # Errors
    /// Never for numbers below [`len`](Self::len).
    pub(super) fn batch(&self, samples: &[usize]) -> Result<Vec<Option<Value>>, EvidenceError> {
        self.columns.iter().map(|column| column.batch(samples)).collect()
    }
}

/// The rows of a tensor.
fn cut(tensor: &Tensor, size: usize, len: usize) -> Result<Column, EvidenceError> {
    let bytes = tensor.bytes().ok_or_else(|| odd("samples are strings, of which there is no training"))?;
    let row = bytes.len().checked_div(size).unwrap_or(0);
    if row * size != bytes.len() {
        return Err(odd("samples share bytes"));
    }
    let rows = (0..len.min(size)).map(|at| bytes.slice(at * row..(at + 1) * row)).collect();
    Ok(Column::Rows { dtype: tensor.dtype(), dims: tensor.dims()[1..].to_vec(), rows })
}

impl Column {
    fn batch(&self, samples: &[usize]) -> Result<Option<Value>, EvidenceError> {
        let (dtype, own, rows) = match self {
            Self::Default => return Ok(None),
            Self::Same(value) => return Ok(Some(value.clone())),
            Self::Rows { dtype, dims, rows } => (dtype, dims, rows),
        };
        let mut bytes = BytesMut::new();
        for &sample in samples {
            bytes.extend_from_slice(rows.get(sample).ok_or_else(|| odd("there are fewer samples"))?);
        }
        let dims: Vec<usize> = std::iter::once(samples.len()).chain(own.iter().copied()).collect();
        let tensor = Tensor::from_bytes(*dtype, &dims, bytes.freeze());
        tensor.map(|tensor| Some(Value::Tensor(tensor))).map_err(|error| odd(&error.to_string()))
    }
}
