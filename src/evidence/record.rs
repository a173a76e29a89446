//! One run's evidence as arrays, and back.
//!
//! A record is an array of bytes with text in JSON that lists values and layers, and beside it the arrays with their numbers. Numbers
//! that have to come back to the last bit are in arrays, not in text.

use onnxpress_ir::{Element, Graph, Tensor};
use onnxpress_passes::evidence::{ChannelStatistics, Evidence, Histogram, Moments, SecondMoment, Statistics};
use serde::{Deserialize, Serialize};

use super::file::EvidenceFileError;
use crate::npz::{Appending, ArrayFile, NpzError, Packing};

/// What was measured of a model at one point of a pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The digest of the model there.
    pub(super) model: String,
    /// The values that were seen.
    pub(super) values: Vec<Seen>,
    /// The linear layers whose rows were seen.
    pub(super) layers: Vec<Layer>,
}

/// A value that was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    /// Its name, for people.
    name: String,
    /// The place of its producer among the vertices of the main graph.
    pub(super) slot: usize,
    /// Which of the producer's outputs it is.
    pub(super) port: u32,
    /// Elements that count.
    count: u64,
    /// Elements that do not.
    masked: u64,
    /// The width of the histogram's bins, as a power of two.
    exponent: i32,
    /// The axis along which it was seen too.
    pub(super) axis: Option<usize>,
}

/// A layer whose rows were seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Layer {
    /// How messages call it, for people.
    name: String,
    /// Its place among the vertices of the main graph.
    pub(super) slot: usize,
    /// Which of its operands is the weight.
    pub(super) operand: usize,
    /// Rows that went in, group by group.
    rows: Vec<u64>,
}

/// The name of the text of a record.
pub(super) fn about(number: usize) -> String {
    format!("{number}/about")
}

fn value(number: usize, place: usize) -> String {
    format!("{number}/value/{place}")
}

fn layer(number: usize, place: usize) -> String {
    format!("{number}/layer/{place}")
}

/// Text as an array.
pub(super) fn text(it: &impl Serialize) -> Result<Tensor, EvidenceFileError> {
    let text = serde_json::to_vec(it).map_err(|error| EvidenceFileError::Text(error.to_string()))?;
    Ok(Tensor::vector(text))
}

impl Record {
    /// Of evidence, in its order.
    pub(super) fn of(model: &str, graph: &Graph, evidence: &Evidence) -> Self {
        let seen = evidence.values.iter().map(|(value, it)| Seen {
            name: graph.label(*value),
            slot: value.node.slot(),
            port: value.port,
            count: it.count,
            masked: it.masked,
            exponent: it.histogram.exponent(),
            axis: it.channels.as_ref().map(|channels| channels.axis),
        });
        let layers = evidence.layers.iter().map(|((node, operand), it)| Layer {
            name: graph.describe(*node),
            slot: node.slot(),
            operand: *operand,
            rows: it.groups.iter().map(SecondMoment::count).collect(),
        });
        Self { model: model.to_owned(), values: seen.collect(), layers: layers.collect() }
    }

    /// Writes it with its numbers, as number so many of the archive.
    pub(super) fn write(
        &self,
        archive: &mut Appending,
        number: usize,
        evidence: &Evidence,
    ) -> Result<(), EvidenceFileError> {
        for (place, it) in evidence.values.values().enumerate() {
            let name = value(number, place);
            let moments = vec![f64::from(it.min), f64::from(it.max), it.sum, it.squares];
            archive.put(&name, &Tensor::vector(moments), Packing::Stored)?;
            let counts = Tensor::vector(it.histogram.counts().to_vec());
            archive.put(&format!("{name}/histogram"), &counts, Packing::Deflated)?;
            if let Some(channels) = &it.channels {
                let floats = |values: &[f32]| values.iter().copied().map(f64::from).collect();
                let counts = channels.count.iter().map(|&count| count as f64).collect();
                let rows: [Vec<f64>; 5] = [
                    counts,
                    floats(&channels.min),
                    floats(&channels.max),
                    channels.sum.clone(),
                    channels.squares.clone(),
                ];
                let rows = Tensor::from_values(&[5, channels.len()], rows.concat()).map_err(NpzError::from)?;
                archive.put(&format!("{name}/channels"), &rows, Packing::Stored)?;
            }
        }
        for (place, moments) in evidence.layers.values().enumerate() {
            let columns = moments.groups.first().map_or(0, SecondMoment::columns);
            let sums: Vec<f64> = moments.groups.iter().flat_map(SecondMoment::sums).collect();
            let dims = [moments.groups.len(), columns + 1, columns];
            let sums = Tensor::from_values(&dims, sums).map_err(NpzError::from)?;
            archive.put(&layer(number, place), &sums, Packing::Stored)?;
        }
        archive.put(&about(number), &text(self)?, Packing::Deflated)?;
        Ok(())
    }

    /// The statistics of the value at a place of the list.
    pub(super) fn statistics(
        &self,
        arrays: &ArrayFile,
        number: usize,
        place: usize,
    ) -> Result<Statistics, EvidenceFileError> {
        let (seen, name) = (&self.values[place], value(number, place));
        let moments = read::<f64>(arrays, &name)?.1;
        let histogram = format!("{name}/histogram");
        let counts = read::<u64>(arrays, &histogram)?.1;
        let &[min, max, sum, squares] = &moments[..] else { return Err(malformed(arrays, &name)) };
        let histogram = Histogram::from_parts(seen.exponent, counts).filter(|it| total(it) == Some(seen.count));
        let histogram = histogram.ok_or_else(|| malformed(arrays, &name))?;
        let channels = match seen.axis {
            None => None,
            Some(axis) => {
                let name = format!("{name}/channels");
                let (dims, rows) = read::<f64>(arrays, &name)?;
                let extent = match dims[..] {
                    [5, extent] => extent,
                    _ => return Err(malformed(arrays, &name)),
                };
                let row = |number: usize| rows[number * extent..(number + 1) * extent].to_vec();
                let floats = |number: usize| row(number).into_iter().map(|value| value as f32).collect();
                let count = row(0).into_iter().map(|count| count as u64).collect();
                let (min, max) = (floats(1), floats(2));
                Some(ChannelStatistics { axis, count, min, max, sum: row(3), squares: row(4) })
            }
        };
        let (min, max) = (min as f32, max as f32);
        Ok(Statistics { count: seen.count, masked: seen.masked, min, max, sum, squares, histogram, channels })
    }

    /// The moments of the layer at a place of the list.
    pub(super) fn moments(
        &self,
        arrays: &ArrayFile,
        number: usize,
        place: usize,
    ) -> Result<Moments, EvidenceFileError> {
        let (seen, name) = (&self.layers[place], layer(number, place));
        let (dims, sums) = read::<f64>(arrays, &name)?;
        let columns = match dims[..] {
            [groups, rows, columns] if groups == seen.rows.len() && rows == columns + 1 => columns,
            _ => return Err(malformed(arrays, &name)),
        };
        let group = |(sums, &rows): (&[f64], &u64)| {
            let (total, sum) = sums.split_at(columns);
            SecondMoment::from_parts(sum, total.to_vec(), rows).ok_or_else(|| malformed(arrays, &name))
        };
        let size = (columns * (columns + 1)).max(1);
        let groups: Result<Vec<_>, _> = sums.chunks_exact(size).zip(&seen.rows).map(group).collect();
        Ok(Moments { groups: groups? })
    }
}

/// How many elements a histogram counts; `None` where that is beyond counting.
fn total(histogram: &Histogram) -> Option<u64> {
    histogram.counts().iter().try_fold(0u64, |sum, &count| sum.checked_add(count))
}

fn malformed(arrays: &ArrayFile, name: &str) -> EvidenceFileError {
    let reason = format!("array `{name}` is missing, or not what the file says of it");
    EvidenceFileError::NotEvidence { path: arrays.path().to_owned(), reason }
}

/// The extents and the elements of an array.
fn read<T: Element>(arrays: &ArrayFile, name: &str) -> Result<(Vec<usize>, Vec<T>), EvidenceFileError> {
    let mut rows = arrays.rows(name)?.ok_or_else(|| malformed(arrays, name))?;
    let tensor = rows.read(usize::MAX)?;
    let values = tensor.values::<T>().map_err(|_| malformed(arrays, name))?;
    Ok((tensor.dims().to_vec(), values.into_owned()))
}

/// What an array of bytes with text says; `None` where there is no such array.
pub(super) fn told<T: serde::de::DeserializeOwned>(
    arrays: &ArrayFile,
    name: &str,
) -> Result<Option<T>, EvidenceFileError> {
    if arrays.dims(name).is_none() {
        return Ok(None);
    }
    let (_, bytes) = read::<u8>(arrays, name)?;
    let told = serde_json::from_slice(&bytes).map_err(|error| EvidenceFileError::NotEvidence {
        path: arrays.path().to_owned(),
        reason: format!("array `{name}`: {error}"),
    })?;
    Ok(Some(told))
}
