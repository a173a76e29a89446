//! The factors of each layer, and what becomes of its bias.

use faer::Mat;
use onnxpress_ir::{Model, Tensor};

use super::form::{Extents, Size};
use super::layers::Layer;
use super::offer::{Asked, Known, by_parts, factors, offer};
use super::options::Ranks;
use super::parts::Parts;
use super::spectrum::Spectrum;
use super::stages::Packed;
use super::weigh::{KEPT, weigh};
use crate::evidence::{EvidenceError, EvidenceSource, First, SecondMoment, in_parts, shrunk};
use crate::reconstruction::{Fit, Seen, Trial, Turned, held_ridge, in_turn};

/// For each group the factors of a layer.
pub(super) type Factors = Vec<Packed>;

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
    (keep, weighs): (bool, bool),
) -> Result<Vec<Option<Known>>, EvidenceError> {
    let mut seen: Vec<usize> = (0..layers.len()).filter(|&at| source.is_some() && layers[at].is_seen).collect();
    let macs: f64 = layers.iter().map(|layer| layer.extents.price().macs).sum();
    let few = source.map(|source| First { source, count: Trial::samples(KEPT.len() * seen.len(), macs) });
    let mut trial = match &few {
        Some(few) if weighs && matches!(asked.ranks, Ranks::Target(..)) => Some(Trial::new(model, few)?),
        _ => None,
    };
    if let Some(trial) = &trial {
        // Samples pass each layer once.
        seen.sort_by_key(|&at| trial.first(std::iter::once(layers[at].node)));
    }
    let mut fault = None;
    let mut one = |layer: &Layer, rows: Option<&[SecondMoment]>| {
        let tensor = model.graph.constant(layer.weight)?;
        if let Some(parts) = Parts::of(layer, tensor).filter(|_| rows.is_none()) {
            let mut known = by_parts(layer, &parts, asked)?;
            known.spectra.truncate(if keep { known.spectra.len() } else { 0 });
            return Some(known);
        }
        let weights = layer.turn().weights(&model.graph)?;
        let mut known = offer(layer, &weights, rows, asked)?;
        if let (Some(trial), Some(rows)) = (trial.as_mut().filter(|_| !known.offer.candidates.is_empty()), rows) {
            match weigh(trial, model, layer, &known, &weights, rows) {
                Ok(worth) => known.offer.worth = worth,
                Err(error) => fault = fault.take().or(Some(error)),
            }
        }
        known.spectra.truncate(if keep { known.spectra.len() } else { 0 });
        Some(known)
    };
    let mut blind = |layer: &Layer| if source.is_some() && layer.is_seen { None } else { one(layer, None) };
    let mut offers: Vec<Option<Known>> = layers.iter().map(&mut blind).collect();
    if let Some(source) = source {
        let wanted: Vec<_> = seen.iter().map(|&at| (layers[at].node, &layers[at].layer)).collect();
        in_parts(model, &wanted, source, &mut |place, moments| {
            offers[seen[place]] = one(&layers[seen[place]], Some(&moments.groups));
        })?;
    }
    fault.map_or(Ok(offers), Err)
}

/// Hands the factors of each layer that has a size to `put` with the layer's place, one after the other, since those of a large model are
/// more than it is; of the weights as they are. `spectra` are those that are known, by the layer's place.
pub(super) fn plain(
    model: &Model,
    layers: &[Layer],
    sizes: &[Option<Size>],
    spectra: &[Vec<Spectrum>],
    source: Option<&dyn EvidenceSource>,
    put: &mut dyn FnMut(usize, Compressed),
) -> Result<(), EvidenceError> {
    let sized: Vec<(usize, Size)> = sizes.iter().enumerate().filter_map(|(at, size)| Some((at, (*size)?))).collect();
    let mut make = |(at, size): (usize, Size), moments: Option<&[SecondMoment]>| {
        let (layer, turn) = (&layers[at], layers[at].turn());
        let known = spectra.get(at).map_or(&[][..], |known| &known[..]);
        let found = model.graph.constant(turn.weight).and_then(|like| {
            let Some(rows) = moments else { return blind(layer, like, size, known) };
            let whole = Fit { weight: turn.weights(&model.graph)?, bias: turn.bias.numbers(&model.graph) };
            let (factors, fit) = factorized(&layer.extents, like, whole, Some(rows), size, known)?;
            Some(Compressed { factors, turned: turn.stored(&fit, &model.graph) })
        });
        if let Some(found) = found {
            put(at, found);
        }
    };
    let (seen, unseen): (Vec<_>, Vec<_>) =
        sized.into_iter().partition(|&(at, _)| source.is_some() && layers[at].is_seen);
    unseen.into_iter().for_each(|one| make(one, None));
    if let Some(source) = source {
        let wanted: Vec<_> = seen.iter().map(|&(at, _)| (layers[at].node, &layers[at].layer)).collect();
        in_parts(model, &wanted, source, &mut |place, moments| make(seen[place], Some(&moments.groups)))?;
    }
    Ok(())
}

/// A layer of which samples show nothing. Its products are the witness's alone, and are made when somebody looks at them.
fn blind(layer: &Layer, like: &Tensor, size: Size, known: &[Spectrum]) -> Option<Compressed> {
    let packed: Factors = match Parts::of(layer, like) {
        Some(parts) => vec![parts.packed(size, known.first())?],
        None => {
            let one = |(group, weight): (usize, Mat<f64>)| {
                Packed::of(&factors(&layer.extents, size, &weight, None, known.get(group))?, like)
            };
            layer.matrices.matrices(like).ok()?.into_iter().enumerate().map(one).collect::<Option<_>>()?
        }
    };
    let (extents, matrices, source, made) = (layer.extents, layer.matrices.clone(), like.clone(), packed.clone());
    let product = Tensor::deferred(like.dtype(), like.dims(), move || {
        let products = made.iter().filter_map(Packed::stages).map(|stages| stages.product(&extents, size.form));
        let tensor = matrices.tensor(&products.collect::<Vec<_>>(), &source).ok();
        let bytes = tensor.and_then(|tensor| tensor.bytes().cloned());
        bytes.expect("matrices of these extents were read off a tensor of that type")
    });
    Some(Compressed { factors: packed, turned: Turned { weight: Some(product.ok()?), bias: None } })
}

/// Factors of weights in the metric of their rows; the mean of what is lost goes into the bias, if there is one.
pub(super) fn factorized(
    extents: &Extents,
    like: &Tensor,
    whole: Fit,
    rows: Option<&[SecondMoment]>,
    size: Size,
    known: &[Spectrum],
) -> Option<(Factors, Fit)> {
    let (mut made, mut products, mut bias) = (Vec::new(), Vec::new(), whole.bias);
    for (group, weight) in whole.weight.iter().enumerate() {
        let metric = rows.map(|rows| {
            let raw = if bias.is_some() { rows[group].covariance() } else { rows[group].second() };
            shrunk(raw, rows[group].count())
        });
        let packed = Packed::of(&factors(extents, size, weight, metric.as_ref(), known.get(group))?, like)?;
        let product = packed.stages()?.product(extents, size.form);
        if let (Some(rows), Some(bias)) = (rows, &mut bias) {
            let own = &mut bias[group * weight.nrows()..(group + 1) * weight.nrows()];
            Fit::keep_means(own, weight, &product, &rows[group].mean());
        }
        products.push(product);
        made.push(packed);
    }
    Some((made, Fit { weight: products, bias }))
}

/// Layers in topological order, each fitted to what the original answers for the inputs that the model compressed so far produces, then
/// written by factors. Layers without a size are fitted too: they repair what those before them lost. Those that samples do not show
/// have lost theirs before.
pub(super) fn reconstructed(
    model: &Model,
    layers: &[Layer],
    sizes: &[Option<Size>],
    ridge: f64,
    source: &dyn EvidenceSource,
) -> Result<Vec<Compressed>, EvidenceError> {
    let unseen: Vec<_> = layers.iter().zip(sizes).map(|(layer, size)| size.filter(|_| !layer.is_seen)).collect();
    let mut made = vec![Compressed::default(); layers.len()];
    plain(model, layers, &unseen, &[], None, &mut |at, one| made[at] = one)?;
    let lost = layers.iter().zip(&made);
    let given: Vec<_> = lost.filter_map(|(layer, made)| Some((layer.weight, made.turned.weight.clone()?))).collect();
    let first = sizes.iter().position(Option::is_some).unwrap_or(layers.len());
    let seen: Vec<usize> = (first..layers.len()).filter(|&at| layers[at].is_seen).collect();
    let turns: Vec<_> = seen.iter().map(|&at| layers[at].turn()).collect();
    let pull = |seen: &Seen, weights: &[Mat<f64>], site| held_ridge(seen, weights, |_, _| true, site, ridge);
    let turned = in_turn(model, &given, &turns, &pull, source, &mut |place, moments, fit| {
        let (layer, at) = (&layers[seen[place]], seen[place]);
        let Some(size) = sizes[at] else { return Some(fit) };
        let like = model.graph.constant(layer.weight)?;
        let (factors, fit) = factorized(&layer.extents, like, fit, Some(&moments.rows), size, &[])?;
        made[at].factors = factors;
        Some(fit)
    })?;
    seen.into_iter().zip(turned).for_each(|(at, turned)| made[at].turned = turned);
    Ok(made)
}
