//! The factors of each layer, and what becomes of its bias.

use onnxpress_ir::{Model, Tensor};

use super::form::{Extents, Size};
use super::layers::Layer;
use super::offer::{Asked, Known, factors, offer};
use super::spectrum::Spectrum;
use super::stages::Stages;
use crate::evidence::{EvidenceError, EvidenceSource, SecondMoment, in_parts};
use crate::reconstruction::{Fit, Turned, in_turn};

/// For each group the factors of a layer.
pub(super) type Factors = Vec<Stages>;

/// What a layer becomes.
#[derive(Debug, Clone, Default)]
pub(super) struct Compressed {
    /// None where the layer stays whole.
    pub(super) factors: Factors,
    /// Its constants: the products, or what was fitted.
    pub(super) turned: Turned,
}

/// What each layer offers; `None` for one whose numbers are beyond computing with. Spectra are kept where `keep` says so.
pub(super) fn offers(
    model: &Model,
    layers: &[Layer],
    source: Option<&dyn EvidenceSource>,
    asked: &Asked,
    keep: bool,
) -> Result<Vec<Option<Known>>, EvidenceError> {
    let one = |layer: &Layer, rows: Option<&[SecondMoment]>| {
        let mut known = offer(layer, &layer.turn().weights(&model.graph)?, rows, asked)?;
        known.spectra.truncate(if keep { known.spectra.len() } else { 0 });
        Some(known)
    };
    let Some(source) = source else { return Ok(layers.iter().map(|layer| one(layer, None)).collect()) };
    let wanted: Vec<_> = layers.iter().map(|layer| (layer.node, &layer.layer)).collect();
    let mut offers = vec![None; layers.len()];
    in_parts(model, &wanted, source, &mut |at, moments| offers[at] = one(&layers[at], Some(&moments.groups)))?;
    Ok(offers)
}

/// The factors of each layer that has a size, of the weights as they are; `spectra` are those that are known, by the layer's place.
pub(super) fn plain(
    model: &Model,
    layers: &[Layer],
    sizes: &[Option<Size>],
    spectra: &[Vec<Spectrum>],
    source: Option<&dyn EvidenceSource>,
) -> Result<Vec<Compressed>, EvidenceError> {
    let mut made = vec![Compressed::default(); layers.len()];
    let sized: Vec<(usize, Size)> = sizes.iter().enumerate().filter_map(|(at, size)| Some((at, (*size)?))).collect();
    let mut make = |(at, size): (usize, Size), moments: Option<&[SecondMoment]>| {
        let turn = layers[at].turn();
        let found = turn.weights(&model.graph).zip(model.graph.constant(turn.weight)).and_then(|(weight, like)| {
            let whole = Fit { weight, bias: turn.bias.numbers(&model.graph).filter(|_| moments.is_some()) };
            factorized(&layers[at].extents, like, whole, moments, size, spectra.get(at).map_or(&[], |known| &known[..]))
        });
        if let Some((factors, fit)) = found {
            made[at] = Compressed { factors, turned: turn.stored(&fit, &model.graph) };
        }
    };
    match source {
        Some(source) => {
            let wanted: Vec<_> = sized.iter().map(|&(at, _)| (layers[at].node, &layers[at].layer)).collect();
            in_parts(model, &wanted, source, &mut |place, moments| make(sized[place], Some(&moments.groups)))?;
        }
        None => sized.iter().for_each(|&one| make(one, None)),
    }
    Ok(made)
}

/// Factors of weights in the metric of their rows; the mean of what is lost goes into the bias, if there is one.
fn factorized(
    extents: &Extents,
    like: &Tensor,
    whole: Fit,
    rows: Option<&[SecondMoment]>,
    size: Size,
    known: &[Spectrum],
) -> Option<(Factors, Fit)> {
    let (mut made, mut products, mut bias) = (Vec::new(), Vec::new(), whole.bias);
    for (group, weight) in whole.weight.iter().enumerate() {
        let metric = rows.map(|rows| if bias.is_some() { rows[group].covariance() } else { rows[group].second() });
        let stages = factors(extents, size, weight, metric.as_ref(), known.get(group))?.stored(like)?;
        let product = stages.product(extents, size.form);
        if let (Some(rows), Some(bias)) = (rows, &mut bias) {
            let own = &mut bias[group * weight.nrows()..(group + 1) * weight.nrows()];
            Fit::keep_means(own, weight, &product, &rows[group].mean());
        }
        products.push(product);
        made.push(stages);
    }
    Some((made, Fit { weight: products, bias }))
}

/// Layers in topological order, each fitted to what the original answers for the inputs that the model compressed so far produces, then
/// written by factors. Layers without a size are fitted too: they repair what those before them lost.
pub(super) fn reconstructed(
    model: &Model,
    layers: &[Layer],
    sizes: &[Option<Size>],
    ridge: f64,
    source: &dyn EvidenceSource,
) -> Result<Vec<Compressed>, EvidenceError> {
    let first = sizes.iter().position(Option::is_some).unwrap_or(layers.len());
    let mut made = vec![Compressed::default(); layers.len()];
    let turns: Vec<_> = layers[first..].iter().map(Layer::turn).collect();
    let turned = in_turn(model, &turns, ridge, source, &mut |place, seen, fit| {
        let Some(size) = sizes[first + place] else { return Some(fit) };
        let layer = &layers[first + place];
        let like = model.graph.constant(layer.weight)?;
        let (factors, fit) = factorized(&layer.extents, like, fit, Some(&seen.rows), size, &[])?;
        made[first + place].factors = factors;
        Some(fit)
    })?;
    made[first..].iter_mut().zip(turned).for_each(|(made, turned)| made.turned = turned);
    Ok(made)
}
