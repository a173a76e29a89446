//! One streaming run that measures all that a pass wants to know.

use std::collections::BTreeMap;

use onnxpress_ir::{Dim, Graph, Model, NodeId, ValueId};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::{InputRows, LayerRows, LinearLayer};
use rayon::prelude::*;

use super::moments::{Moments, SecondMoment};
use super::padding::Padding;
use super::stream::{Batch, stream};
use super::{EvidenceError, EvidenceSource, Statistics, positions, probe};
use crate::digest;

/// About how many bytes of inner values each thread holds.
const HELD: usize = 32 << 20;
/// The most samples at a time.
const MOST: usize = 32;
/// What an extent that is not known is taken for, where sizes are estimated.
const GUESS: usize = 64;

/// What a pass wants to know of a model.
#[derive(Debug, Clone, Default)]
pub struct Wants {
    /// Values of the main graph whose statistics are wanted, with the axis along which they are wanted too.
    pub values: BTreeMap<ValueId, Option<usize>>,
    /// Linear layers of the main graph, by node and operand of the weight, whose input's moments are wanted.
    pub layers: BTreeMap<(NodeId, usize), LinearLayer>,
}

impl Wants {
    /// Wants the statistics of a value.
    pub fn value(&mut self, value: ValueId) -> &mut Self {
        self.values.entry(value).or_insert(None);
        self
    }

    /// Wants the statistics of a value, and of each index along an axis of it.
    pub fn channels(&mut self, value: ValueId, axis: usize) -> &mut Self {
        self.values.insert(value, Some(axis));
        self
    }

    /// Wants the moments of the rows of a layer.
    pub fn layer(&mut self, node: NodeId, layer: &LinearLayer) -> &mut Self {
        self.layers.insert((node, layer.weight), layer.clone());
        self
    }

    /// What is wanted and not known yet.
    fn without(&self, known: &Evidence) -> Self {
        let unknown = |value: &ValueId, axis: &Option<usize>| match (known.values.get(value), axis) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(it), Some(axis)) => it.channels.as_ref().is_none_or(|channels| channels.axis != *axis),
        };
        let mut missing = self.clone();
        missing.values.retain(|value, axis| unknown(value, axis));
        missing.layers.retain(|layer, _| !known.layers.contains_key(layer));
        missing
    }
}

/// What was measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// What the samples were.
    pub source: String,
    /// How many.
    pub samples: usize,
    /// Whether they were made up.
    pub synthetic: bool,
    /// Statistics of values.
    pub values: BTreeMap<ValueId, Statistics>,
    /// Moments of layers, by node and operand of the weight.
    pub layers: BTreeMap<(NodeId, usize), Moments>,
}

/// A layer while it is being measured.
struct Measured {
    rows: LayerRows,
    /// Which of the values that are seen is its input.
    input: usize,
    moments: Moments,
}

/// What is wanted of a model: what the source's archive knows of it, and the rest from one run over all samples.
///
/// # Errors
/// Where the samples do not suit the model, it cannot be run, something that is wanted is not to be seen, or the archive is of no use.
pub fn collect(model: &Model, wants: &Wants, source: &dyn EvidenceSource) -> Result<Evidence, EvidenceError> {
    let Some(archive) = source.archive() else { return measure(model, wants, source) };
    let digest = digest::of(model);
    let mut known = archive.recall(&digest, wants)?;
    let missing = wants.without(&known);
    if missing.values.is_empty() && missing.layers.is_empty() {
        return Ok(known);
    }
    let measured = measure(model, &missing, source)?;
    archive.keep(&digest, &model.graph, &measured)?;
    known.values.extend(measured.values);
    known.layers.extend(measured.layers);
    Ok(known)
}

/// Runs the model over all samples, and measures what is wanted.
fn measure(model: &Model, wants: &Wants, source: &dyn EvidenceSource) -> Result<Evidence, EvidenceError> {
    let graph = &model.graph;
    let mut seen: Vec<ValueId> = wants.values.keys().copied().collect();
    let mut layers = Vec::new();
    for (&(node, _), layer) in &wants.layers {
        let (rows, input) = rows_of(graph, node, layer)?;
        let place = seen.iter().position(|&value| value == input).unwrap_or_else(|| {
            seen.push(input);
            seen.len() - 1
        });
        let groups = (0..rows.groups()).map(|_| SecondMoment::new(rows.columns())).collect();
        layers.push(Measured { rows, input: place, moments: Moments { groups } });
    }
    let mut statistics: Vec<Statistics> = wants.values.values().map(|axis| Statistics::new(*axis)).collect();
    let probed = probe(model, &seen)?;
    let mut done = 0;
    stream(&probed, batch(graph, &seen), source, &mut |batch| {
        let (len, padding) = (batch.len, batch.padding.clone());
        let values = numbers(batch);
        statistics.par_iter_mut().zip(&values).for_each(|(statistics, value)| {
            if let Some((values, dims)) = value {
                statistics.add(values, dims);
            }
        });
        let faults: Result<Vec<()>, String> = layers
            .par_iter_mut()
            .map(|layer| match &values[layer.input] {
                Some((x, dims)) => add_rows(layer, x, dims, done, len, padding.as_ref()),
                None => Err("its input is not a tensor of numbers".to_owned()),
            })
            .collect();
        faults.map_err(EvidenceError::Run)?;
        done += len;
        source.progress("measure", done, source.samples());
        Ok(())
    })?;
    source.progress("measure", 0, 0);
    Ok(Evidence {
        source: source.describe(),
        samples: done,
        synthetic: source.is_synthetic(),
        values: wants.values.keys().copied().zip(statistics).collect(),
        layers: wants.layers.keys().copied().zip(layers.into_iter().map(|layer| layer.moments)).collect(),
    })
}

/// How the rows of a layer are read, and its input.
pub(crate) fn rows_of(graph: &Graph, node: NodeId, layer: &LinearLayer) -> Result<(LayerRows, ValueId), EvidenceError> {
    let said = |reason: String| EvidenceError::Site { site: graph.describe(node), reason };
    let cx = NodeCx::new(graph, node).ok_or_else(|| said("it is no node".to_owned()))?;
    let rows = LayerRows::of(&cx, layer).map_err(said)?;
    let input = cx.operand(layer.input).ok_or_else(|| said("its input is left out".to_owned()))?;
    Ok((rows, input))
}

/// The elements of each value of a batch, and its extents.
fn numbers(batch: Batch) -> Vec<Option<(Vec<f32>, Vec<usize>)>> {
    let Batch { outputs, len, size, .. } = batch;
    outputs.into_par_iter().map(|value| elements(&value, len, size)).collect()
}

/// The elements of a value and its extents, without what only fills up a batch of `size` in which `len` are samples. `None` where it is
/// no tensor of numbers.
pub(crate) fn elements(value: &Value, len: usize, size: usize) -> Option<(Vec<f32>, Vec<usize>)> {
    let Value::Tensor(tensor) = value else { return None };
    let (mut values, mut dims) = (tensor.to_f32s().ok()?, tensor.dims().to_vec());
    if len < size
        && let Some(first) = dims.first_mut().filter(|first| **first == size)
    {
        values.truncate(values.len() / size * len);
        *first = len;
    }
    Some((values, dims))
}

/// The rows of an input that count, as numbers among all that it has.
pub(crate) fn chosen(input: &InputRows<'_>, done: usize, samples: usize, padding: Option<&Padding>) -> Vec<usize> {
    // Rows stand sample by sample, unless the batch is no axis of its own.
    let mut rows = match input.count() / samples.max(1) {
        per_sample if per_sample * samples == input.count() => positions::choose(done, samples, per_sample),
        _ => positions::choose(done, 1, input.count()),
    };
    if let Some(padding) = padding {
        padding.leave(input.dims(), &mut rows);
    }
    rows
}

fn add_rows(
    layer: &mut Measured,
    x: &[f32],
    dims: &[usize],
    done: usize,
    samples: usize,
    padding: Option<&Padding>,
) -> Result<(), String> {
    let input = layer.rows.over(dims)?;
    let which = chosen(&input, done, samples, padding);
    let groups = layer.moments.groups.par_iter_mut().enumerate();
    groups
        .map(|(group, moment)| {
            let mut rows = Vec::new();
            input.read(x, group, &which, &mut rows)?;
            moment.add(&rows);
            Ok(())
        })
        .collect()
}

/// How many samples are run at a time, so that what is seen of them takes about as much memory as allowed.
pub(crate) fn batch(graph: &Graph, seen: &[ValueId]) -> usize {
    let bytes: usize = seen
        .iter()
        .map(|&value| {
            let Some(shape) = graph.ty(value).shape() else { return GUESS * GUESS };
            let extent = |dim: &Dim| dim.as_const().and_then(|extent| usize::try_from(extent).ok()).unwrap_or(GUESS);
            shape.iter().skip(1).map(extent).fold(4usize, usize::saturating_mul)
        })
        .fold(0, usize::saturating_add);
    // The number of threads must not be in it: sums in single precision are those of a batch.
    (HELD / bytes.max(1)).clamp(1, MOST)
}
