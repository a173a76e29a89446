//! The factors of each layer, and what becomes of its bias.

use faer::Mat;
use onnxpress_ir::{Model, Tensor};

use super::choose::Offer;
use super::layers::Layer;
use super::spectrum::Spectrum;
use crate::evidence::{EvidenceError, EvidenceSource, SecondMoment, Wants, collect};
use crate::reconstruction::{BiasSite, Fit, Lockstep, fit};

/// The most bytes of second moments that are held at once.
const HELD: usize = 512 << 20;
/// Samples at a time in lockstep.
const BATCH: usize = 25;

/// What a layer becomes.
#[derive(Debug, Clone)]
pub(super) struct Compressed {
    /// For each group the factors, outputs by rank and rank by columns; none where the layer stays whole.
    pub(super) factors: Vec<(Mat<f64>, Mat<f64>)>,
    /// The weight as matrices: the products, or what was fitted.
    pub(super) weight: Vec<Mat<f64>>,
    /// The bias, where it changes.
    pub(super) bias: Option<Vec<f64>>,
}

/// The matrices of a layer's weight.
pub(super) fn matrices(model: &Model, layer: &Layer) -> Option<Vec<Mat<f64>>> {
    layer.matrices.matrices(model.graph.constant(layer.weight)?).ok()
}

fn offer(layer: &Layer, weights: &[Mat<f64>], rows: Option<&[SecondMoment]>) -> Option<Offer> {
    let (mut losses, mut energy) = (vec![0.0; layer.full_rank() + 1], 0.0);
    for (group, weight) in weights.iter().enumerate() {
        // The mean is the bias's to hold, where there is one.
        let moment = rows.map(|rows| {
            if matches!(layer.bias, BiasSite::Fixed | BiasSite::Nowhere) {
                rows[group].second()
            } else {
                rows[group].covariance()
            }
        });
        let spectrum = Spectrum::of(weight, moment.as_ref())?;
        for (sum, loss) in losses.iter_mut().zip(spectrum.losses()) {
            *sum += loss;
        }
        energy += match rows {
            Some(rows) => {
                let product = weight * &rows[group].second();
                (0..weight.ncols())
                    .map(|j| (0..weight.nrows()).map(|i| product[(i, j)] * weight[(i, j)]).sum::<f64>())
                    .sum()
            }
            None => spectrum.values.iter().sum::<f64>(),
        };
    }
    Some(Offer { losses, energy })
}

/// What each layer offers; `None` for one whose numbers are beyond computing with.
pub(super) fn offers(
    model: &Model,
    layers: &[Layer],
    source: Option<&dyn EvidenceSource>,
) -> Result<Vec<Option<Offer>>, EvidenceError> {
    let Some(source) = source else {
        let one = |layer: &Layer| offer(layer, &matrices(model, layer)?, None);
        return Ok(layers.iter().map(one).collect());
    };
    let mut offers = Vec::with_capacity(layers.len());
    let mut rest = layers;
    while !rest.is_empty() {
        // As many layers at once as memory has room for their moments.
        let bytes = |layer: &Layer| 8 * layer.matrices.groups() * layer.matrices.columns().pow(2);
        let mut held = 0usize;
        let count = rest.iter().take_while(|layer| {
            held = held.saturating_add(bytes(layer));
            held <= HELD
        });
        let (now, later) = rest.split_at(count.count().max(1));
        let mut wants = Wants::default();
        for layer in now {
            wants.layer(layer.node, &layer.layer);
        }
        let evidence = collect(model, &wants, source)?;
        for layer in now {
            let rows = evidence.layers.get(&(layer.node, layer.layer.weight)).map(|moments| &moments.groups[..]);
            offers.push(matrices(model, layer).and_then(|weights| offer(layer, &weights, rows)));
        }
        rest = later;
    }
    Ok(offers)
}

/// The factors of each layer that has a rank, of the weights as they are.
pub(super) fn plain(
    model: &Model,
    layers: &[Layer],
    ranks: &[Option<usize>],
    source: Option<&dyn EvidenceSource>,
) -> Result<Vec<Option<Compressed>>, EvidenceError> {
    let mut made = Vec::with_capacity(layers.len());
    for (layer, rank) in layers.iter().zip(ranks) {
        let Some((rank, weights)) = rank.zip(matrices(model, layer)) else {
            made.push(None);
            continue;
        };
        let rows = match source {
            Some(source) => {
                let mut wants = Wants::default();
                wants.layer(layer.node, &layer.layer);
                collect(model, &wants, source)?.layers.remove(&(layer.node, layer.layer.weight))
            }
            None => None,
        };
        let tensor = model.graph.constant(layer.weight);
        let moments = rows.as_ref().map(|moments| &moments.groups[..]);
        let bias = layer.bias.numbers(&model.graph);
        made.push(tensor.and_then(|like| factors(layer, like, &weights, moments, rank, bias)));
    }
    Ok(made)
}

/// Truncates weights in the metric of their rows. `bias` is what is added to the results, if that can be changed; the mean of what is
/// lost goes into it.
fn factors(
    layer: &Layer,
    like: &Tensor,
    weights: &[Mat<f64>],
    rows: Option<&[SecondMoment]>,
    rank: usize,
    bias: Option<Vec<f64>>,
) -> Option<Compressed> {
    let (mut made, mut products, mut biases) = (Vec::new(), Vec::new(), Vec::new());
    for (group, weight) in weights.iter().enumerate() {
        let moment = rows.map(|rows| if bias.is_some() { rows[group].covariance() } else { rows[group].second() });
        let (u, v) = Spectrum::of(weight, moment.as_ref())?.factors(weight, rank);
        let (u, v) = (as_stored(&u, like)?, as_stored(&v, like)?);
        let product = &u * &v;
        if let (Some(rows), Some(bias)) = (rows, &bias) {
            let mean = rows[group].mean();
            for output in 0..weight.nrows() {
                let lost: f64 =
                    (0..weight.ncols()).map(|k| (weight[(output, k)] - product[(output, k)]) * mean[k]).sum();
                biases.push(bias[group * weight.nrows() + output] + lost);
            }
        }
        products.push(product);
        made.push((u, v));
    }
    let whole = biases.len() == layer.matrices.groups() * layer.matrices.outputs();
    Some(Compressed { factors: made, weight: products, bias: whole.then_some(biases) })
}

/// The numbers that a tensor of the weight's type holds.
fn as_stored(matrix: &Mat<f64>, like: &Tensor) -> Option<Mat<f64>> {
    let (rows, columns) = (matrix.nrows(), matrix.ncols());
    let flat: Vec<f64> = (0..rows * columns).map(|at| matrix[(at / columns.max(1), at % columns.max(1))]).collect();
    let stored = Tensor::from_f64s(like.dtype(), &[rows, columns], &flat).ok()?.to_f64s().ok()?;
    stored.iter().all(|value| value.is_finite()).then(|| Mat::from_fn(rows, columns, |i, j| stored[i * columns + j]))
}

/// Puts what a layer became into a model of the same structure: its weight, and its bias.
pub(super) fn put(
    layer: &Layer,
    compressed: &Compressed,
    model: &Model,
    mut set: impl FnMut(onnxpress_ir::ValueId, Tensor),
) {
    if let Some(like) = model.graph.constant(layer.weight)
        && let Ok(tensor) = layer.matrices.tensor(&compressed.weight, like)
    {
        set(layer.weight, tensor);
    }
    if let (BiasSite::Own(value) | BiasSite::Added(value), Some(bias)) = (layer.bias, &compressed.bias)
        && let Some(like) = model.graph.constant(value)
        && let Ok(tensor) = Tensor::from_f64s(like.dtype(), like.dims(), bias)
    {
        set(value, tensor);
    }
}

/// Layers in topological order, each fitted to what the original answers for the inputs that the model compressed so far produces, then
/// truncated. Layers without a rank are fitted too: they repair what those before them lost.
pub(super) fn reconstructed(
    model: &Model,
    layers: &[Layer],
    ranks: &[Option<usize>],
    ridge: f64,
    source: &dyn EvidenceSource,
) -> Result<Vec<Option<Compressed>>, EvidenceError> {
    let mut lockstep = Lockstep::new(model, source, BATCH)?;
    let first = ranks.iter().position(Option::is_some).unwrap_or(layers.len());
    let mut made = vec![None; first];
    for (layer, rank) in layers.iter().zip(ranks).skip(first) {
        lockstep.advance(layer.node)?;
        let seen = lockstep.see(layer.node, &layer.layer)?;
        let Some((weights, like)) = matrices(model, layer).zip(model.graph.constant(layer.weight)) else {
            made.push(None);
            continue;
        };
        let own = layer.bias.numbers(&model.graph);
        let Fit { weight: fitted, bias } = fit(&seen, &weights, |_, _| true, layer.bias, own.as_deref(), ridge);
        let compressed = match rank {
            Some(rank) => factors(layer, like, &fitted, Some(&seen.rows), *rank, bias),
            None => Some(Compressed { factors: Vec::new(), weight: fitted, bias }),
        };
        if let Some(compressed) = &compressed {
            let now = lockstep.compressed().clone();
            put(layer, compressed, &now, |value, tensor| lockstep.set_constant(value, tensor));
        }
        made.push(compressed);
    }
    Ok(made)
}
