//! The factors of each layer, and what becomes of its bias.

use faer::Mat;
use onnxpress_ir::{Model, Tensor};

use super::choose::Offer;
use super::layers::Layer;
use super::spectrum::Spectrum;
use super::vbmf;
use crate::evidence::{EvidenceError, EvidenceSource, SecondMoment, in_parts};
use crate::reconstruction::{BiasSite, Fit, Turned, in_turn};

/// For each group the factors of a layer, outputs by rank and rank by columns.
pub(super) type Factors = Vec<(Mat<f64>, Mat<f64>)>;

/// What a layer becomes.
#[derive(Debug, Clone, Default)]
pub(super) struct Compressed {
    /// None where the layer stays whole.
    pub(super) factors: Factors,
    /// Its constants: the products, or what was fitted.
    pub(super) turned: Turned,
}

/// What a layer offers, and what that was read off, one a group: what plain factors are made of.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) offer: Offer,
    pub(super) spectra: Vec<Spectrum>,
}

fn offer(layer: &Layer, weights: &[Mat<f64>], rows: Option<&[SecondMoment]>, finds_signal: bool) -> Option<Known> {
    let (mut losses, mut energy, mut spectra, mut signal) = (vec![0.0; layer.full_rank() + 1], 0.0, Vec::new(), 1);
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
        if finds_signal {
            let own = rows.map(|_| Spectrum::of(weight, None));
            let values = own.as_ref().map_or(Some(&spectrum.values), |own| own.as_ref().map(|own| &own.values))?;
            signal = signal.max(vbmf::rank(values, weight.nrows(), weight.ncols()));
        }
        spectra.push(spectrum);
    }
    Some(Known { offer: Offer { losses, energy, signal }, spectra })
}

/// What each layer offers; `None` for one whose numbers are beyond computing with. Spectra are kept where `keep` says so, and signal is
/// told from noise where that is asked for.
pub(super) fn offers(
    model: &Model,
    layers: &[Layer],
    source: Option<&dyn EvidenceSource>,
    (keep, finds_signal): (bool, bool),
) -> Result<Vec<Option<Known>>, EvidenceError> {
    let one = |layer: &Layer, rows: Option<&[SecondMoment]>| {
        let mut known = offer(layer, &layer.turn().weights(&model.graph)?, rows, finds_signal)?;
        known.spectra.truncate(if keep { known.spectra.len() } else { 0 });
        Some(known)
    };
    let Some(source) = source else { return Ok(layers.iter().map(|layer| one(layer, None)).collect()) };
    let wanted: Vec<_> = layers.iter().map(|layer| (layer.node, &layer.layer)).collect();
    let mut offers = vec![None; layers.len()];
    in_parts(model, &wanted, source, &mut |at, moments| offers[at] = one(&layers[at], Some(&moments.groups)))?;
    Ok(offers)
}

/// The factors of each layer that has a rank, of the weights as they are; `spectra` are those that are known, by the layer's place.
pub(super) fn plain(
    model: &Model,
    layers: &[Layer],
    ranks: &[Option<usize>],
    spectra: &[Vec<Spectrum>],
    source: Option<&dyn EvidenceSource>,
) -> Result<Vec<Compressed>, EvidenceError> {
    let mut made = vec![Compressed::default(); layers.len()];
    let ranked: Vec<(usize, usize)> = ranks.iter().enumerate().filter_map(|(at, rank)| Some((at, (*rank)?))).collect();
    let mut make = |(at, rank): (usize, usize), moments: Option<&[SecondMoment]>| {
        let turn = layers[at].turn();
        let found = turn.weights(&model.graph).zip(model.graph.constant(turn.weight)).and_then(|(weight, like)| {
            let whole = Fit { weight, bias: turn.bias.numbers(&model.graph).filter(|_| moments.is_some()) };
            factors(like, whole, moments, rank, spectra.get(at).map_or(&[], |known| &known[..]))
        });
        if let Some((factors, fit)) = found {
            made[at] = Compressed { factors, turned: turn.stored(&fit, &model.graph) };
        }
    };
    match source {
        Some(source) => {
            let wanted: Vec<_> = ranked.iter().map(|&(at, _)| (layers[at].node, &layers[at].layer)).collect();
            in_parts(model, &wanted, source, &mut |place, moments| make(ranked[place], Some(&moments.groups)))?;
        }
        None => ranked.iter().for_each(|&one| make(one, None)),
    }
    Ok(made)
}

/// Truncates weights in the metric of their rows; the mean of what is lost goes into the bias, if there is one.
fn factors(
    like: &Tensor,
    whole: Fit,
    rows: Option<&[SecondMoment]>,
    rank: usize,
    known: &[Spectrum],
) -> Option<(Factors, Fit)> {
    let (mut made, mut products, mut bias) = (Vec::new(), Vec::new(), whole.bias);
    for (group, weight) in whole.weight.iter().enumerate() {
        let (u, v) = match known.get(group) {
            Some(known) => known.factors(weight, rank),
            None => {
                let moment =
                    rows.map(|rows| if bias.is_some() { rows[group].covariance() } else { rows[group].second() });
                Spectrum::of(weight, moment.as_ref())?.factors(weight, rank)
            }
        };
        let (u, v) = (as_stored(&u, like)?, as_stored(&v, like)?);
        let product = &u * &v;
        if let (Some(rows), Some(bias)) = (rows, &mut bias) {
            let own = &mut bias[group * weight.nrows()..(group + 1) * weight.nrows()];
            Fit::keep_means(own, weight, &product, &rows[group].mean());
        }
        products.push(product);
        made.push((u, v));
    }
    Some((made, Fit { weight: products, bias }))
}

/// The numbers that a tensor of the weight's type holds.
fn as_stored(matrix: &Mat<f64>, like: &Tensor) -> Option<Mat<f64>> {
    let (rows, columns) = (matrix.nrows(), matrix.ncols());
    let flat: Vec<f64> = (0..rows * columns).map(|at| matrix[(at / columns.max(1), at % columns.max(1))]).collect();
    let stored = Tensor::from_f64s(like.dtype(), &[rows, columns], &flat).ok()?.to_f64s().ok()?;
    stored.iter().all(|value| value.is_finite()).then(|| Mat::from_fn(rows, columns, |i, j| stored[i * columns + j]))
}

/// Layers in topological order, each fitted to what the original answers for the inputs that the model compressed so far produces, then
/// truncated. Layers without a rank are fitted too: they repair what those before them lost.
pub(super) fn reconstructed(
    model: &Model,
    layers: &[Layer],
    ranks: &[Option<usize>],
    ridge: f64,
    source: &dyn EvidenceSource,
) -> Result<Vec<Compressed>, EvidenceError> {
    let first = ranks.iter().position(Option::is_some).unwrap_or(layers.len());
    let mut made = vec![Compressed::default(); layers.len()];
    let turns: Vec<_> = layers[first..].iter().map(Layer::turn).collect();
    let turned = in_turn(model, &turns, ridge, source, &mut |place, seen, fit| {
        let Some(rank) = ranks[first + place] else { return Some(fit) };
        let like = model.graph.constant(layers[first + place].weight)?;
        let (factors, fit) = factors(like, fit, Some(&seen.rows), rank, &[])?;
        made[first + place].factors = factors;
        Some(fit)
    })?;
    made[first..].iter_mut().zip(turned).for_each(|(made, turned)| made.turned = turned);
    Ok(made)
}
