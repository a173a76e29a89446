//! Scales that protect what matters of weights before they are rounded.
//!
//! A channel that is large where a layer reads it makes errors of the weights behind it count more. Multiplied by `s` in these weights and
//! divided by `s` where the channel is made, its weights are rounded more finely. All of a layer's channels have `s = |x|^α`, their
//! mean magnitude to a power that is searched: that with which rounding changes the outputs of all layers that read the channels
//! least. Scales are folded where nothing but linear layers reads what is scaled: into a normalization, or into a linear layer before it
//! if all between scales along.
//!
//! Source: Lin et al., "AWQ: activation-aware weight quantization for on-device LLM compression and acceleration" (2023), sections 3.2.

use std::collections::{BTreeMap, BTreeSet};

use faer::Mat;
use onnxpress_ir::{Graph, Model, NodeId, Tensor};

use super::equalize::follower;
use super::put;
use super::smooth;
use super::weight::Scaled;
use crate::evidence::{EvidenceSource, SecondMoment, Wants, collect};
use crate::pass::PassError;
use crate::quantize::weight::{Feedback, Granularity, Grid, Scheme};
use crate::reconstruction::LayerWeight;

/// Exponents that are tried, evenly from 0 on.
const TRIED: usize = 20;
/// The most outputs of a layer that the search looks at.
const OUTPUTS: usize = 256;
/// The most bytes of second moments that are held at once.
const HELD: usize = 256 << 20;

/// Channels that are made in one place and read by linear layers alone.
struct Site {
    /// Constants that are divided: each with the channel of an element.
    makers: Vec<Maker>,
    readers: Vec<Scaled>,
}

enum Maker {
    /// A vector of a number a channel.
    Vector(NodeId),
    /// The weight of the layer that makes them.
    Weight(Box<Scaled>),
}

/// How a weight is to be rounded, by its constant; `None` for one that is not.
pub(in crate::quantize) type Asked<'a> = dyn Fn(NodeId) -> Option<(Granularity, Scheme)> + 'a;

/// Moves scales in a model whose weights are to be rounded as `asked`; answers at how many places.
///
/// # Errors
/// Where the samples do not suit the model.
pub(in crate::quantize) fn protect(
    model: &mut Model,
    asked: &Asked<'_>,
    source: &dyn EvidenceSource,
) -> Result<usize, PassError> {
    let sites: Vec<Site> = sites(&model.graph)
        .into_iter()
        .filter(|site| site.readers.iter().any(|reader| asked(reader.weight).is_some()))
        .collect();
    let mut moved = 0;
    let mut rest = &sites[..];
    while !rest.is_empty() {
        let mut held = 0usize;
        let count = rest.iter().take_while(|site| {
            let columns = |reader: &Scaled| reader.elements() / reader.outputs().max(1);
            held = held.saturating_add(site.readers.iter().map(|reader| 8 * columns(reader).pow(2)).sum());
            held <= HELD
        });
        let (now, later) = rest.split_at(count.count().max(1));
        let mut wants = Wants::default();
        for reader in now.iter().flat_map(|site| &site.readers) {
            wants.layer(reader.node, &reader.linear);
        }
        let evidence = collect(model, &wants, source).map_err(|error| PassError::Request(error.to_string()))?;
        let mut changed = BTreeMap::new();
        for site in now {
            let moments = |reader: &Scaled| {
                let moments = evidence.layers.get(&(reader.node, reader.linear.weight))?;
                // Channels of groups lie behind each other, and each group sees its own.
                (moments.groups.len() == 1).then(|| &moments.groups[0])
            };
            let Some(scales) = scales(&model.graph, site, &moments, asked) else { continue };
            fold(&model.graph, site, &scales, &mut changed);
            moved += 1;
        }
        put(model, "activation-aware", changed).map_err(|error| PassError::Broken(error.to_string()))?;
        rest = later;
    }
    Ok(moved)
}

/// Places where scales can move, no weight in two of them.
fn sites(graph: &Graph) -> Vec<Site> {
    let mut layers = BTreeMap::new();
    let mut found = Vec::new();
    let order = graph.topological().unwrap_or_default();
    let scaled: Vec<Scaled> = order.iter().filter_map(|&id| Scaled::of(graph, id).ok()).collect();
    for (number, layer) in scaled.iter().enumerate() {
        layers.insert(layer.node, number);
    }
    for &id in &order {
        if let Ok(Some(site)) = smooth::site(graph, id) {
            found.push(Site { makers: site.made.into_iter().map(Maker::Vector).collect(), readers: site.readers });
        } else if let Some(first) = layers.get(&id).map(|&number| &scaled[number])
            && let Ok(second) = follower(graph, id, &layers)
            && scaled[second].inputs() == first.outputs()
        {
            found.push(Site {
                makers: vec![Maker::Weight(Box::new(first.clone()))],
                readers: vec![scaled[second].clone()],
            });
        }
    }
    let mut taken = BTreeSet::new();
    found.retain(|site| {
        let makers = site.makers.iter().map(|maker| match maker {
            Maker::Vector(id) => *id,
            Maker::Weight(layer) => layer.weight,
        });
        let all: Vec<NodeId> = makers.chain(site.readers.iter().map(|reader| reader.weight)).collect();
        // What is divided in one place and multiplied in another would be searched with numbers that are no more.
        let free = all.iter().all(|id| !taken.contains(id));
        if free {
            taken.extend(all);
        }
        free
    });
    found
}

/// The scales of a site's channels; `None` where one for all of them is the best.
fn scales<'m>(
    graph: &Graph,
    site: &Site,
    moments: &dyn Fn(&Scaled) -> Option<&'m SecondMoment>,
    asked: &Asked<'_>,
) -> Option<Vec<f32>> {
    let channels = site.readers.first()?.inputs();
    let mut squares = vec![0f64; channels];
    for reader in &site.readers {
        let moment = moments(reader)?;
        if reader.inputs() != channels {
            return None;
        }
        let taps = (moment.columns() / channels.max(1)).max(1);
        moment
            .mean_squares()
            .iter()
            .enumerate()
            .for_each(|(column, square)| squares[(column / taps).min(channels - 1)] += square);
    }
    let mut searches = Vec::new();
    for reader in &site.readers {
        if let Some((granularity, scheme)) = asked(reader.weight) {
            searches.push(Search::of(graph, reader, moments(reader)?, granularity, &scheme)?);
        }
    }
    let candidate = |step: usize| -> Vec<f32> {
        let exponent = step as f64 / TRIED as f64;
        let powers: Vec<f64> = squares.iter().map(|square| square.sqrt().max(1e-8).powf(exponent)).collect();
        let (low, high) =
            powers.iter().fold((f64::INFINITY, 0.0f64), |(low, high), &power| (low.min(power), high.max(power)));
        // Around one, so that no scale is far from it for nothing.
        powers.iter().map(|power| (power / (low * high).sqrt()) as f32).collect()
    };
    let mut best: Option<(f64, Vec<f32>)> = None;
    for step in 0..TRIED {
        let scales = candidate(step);
        if scales.iter().any(|scale| !scale.is_normal()) {
            continue;
        }
        let lost: Option<f64> = searches.iter().map(|search| search.lost(&scales)).sum();
        if let Some(lost) = lost
            && best.as_ref().is_none_or(|(least, _)| lost < *least)
        {
            best = Some((lost, scales));
        }
    }
    best.map(|(_, scales)| scales).filter(|scales| scales.iter().any(|scale| *scale != scales[0]))
}

/// Some outputs of a weight that scales are searched for.
struct Search {
    matrices: LayerWeight,
    /// The root of the moment: errors times it have the energy that they have in the output.
    root: Mat<f64>,
    dims: Vec<usize>,
    values: Vec<f32>,
    /// Of each element the channel that it multiplies, and the mean square of what it multiplies.
    channels: Vec<usize>,
    squares: Vec<f32>,
    granularity: Granularity,
    scheme: Scheme,
}

impl Search {
    fn of(
        graph: &Graph,
        reader: &Scaled,
        moment: &SecondMoment,
        granularity: Granularity,
        scheme: &Scheme,
    ) -> Option<Self> {
        let (dims, values) = some_outputs(graph.constant(reader.weight.port(0))?, *reader.linear.output_axes.first()?)?;
        let matrices = LayerWeight::of(&reader.linear, &dims)?;
        let axis = *reader.linear.input_axes.first()?;
        let inner: usize = dims[axis + 1..].iter().product();
        let channels = (0..values.len()).map(|place| place / inner % dims[axis]).collect();
        let mut squares = vec![0f32; values.len()];
        for (column, &square) in moment.mean_squares().iter().enumerate() {
            (0..matrices.outputs()).for_each(|output| squares[matrices.place(0, output, column)] = square as f32);
        }
        let (root, scheme) = (Feedback::root(&moment.second())?, *scheme);
        Some(Self { matrices, root, dims, values, channels, squares, granularity, scheme })
    }

    /// What the layer's output loses when its weight is rounded with these scales, ranges clipped as they will be.
    fn lost(&self, scales: &[f32]) -> Option<f64> {
        let scale = |place: usize| scales[self.channels[place]];
        let scaled: Vec<f32> = self.values.iter().enumerate().map(|(place, value)| value * scale(place)).collect();
        let squares: Vec<f32> =
            self.squares.iter().enumerate().map(|(place, square)| square / scale(place).powi(2)).collect();
        let tensor = Tensor::from_values(&self.dims, scaled.clone()).ok()?;
        let grid = Grid::of(&tensor, self.granularity, &self.scheme, Some(&squares)).ok()?;
        let errors = Mat::from_fn(self.matrices.outputs(), self.matrices.columns(), |output, column| {
            let place = self.matrices.place(0, output, column);
            f64::from((grid.rounded(place, scaled[place]) - scaled[place]) / scale(place))
        });
        Some((&errors * &self.root).squared_norm_l2())
    }
}

/// At most [`OUTPUTS`] indices of a weight's axis, evenly among all: extents and elements.
fn some_outputs(weight: &Tensor, axis: usize) -> Option<(Vec<usize>, Vec<f32>)> {
    let (values, mut dims) = (weight.to_f32s().ok()?, weight.dims().to_vec());
    let extent = *dims.get(axis)?;
    let inner: usize = dims[axis + 1..].iter().product();
    let step = extent.div_ceil(OUTPUTS).max(1);
    dims[axis] = extent.div_ceil(step);
    let chosen = values.chunks(inner.max(1)).enumerate().filter(|(index, _)| (index % extent).is_multiple_of(step));
    Some((dims, chosen.flat_map(|(_, part)| part).copied().collect()))
}

/// Multiplies readers' weights by scales, and divides what makes the channels.
fn fold(graph: &Graph, site: &Site, scales: &[f32], changed: &mut BTreeMap<NodeId, Vec<f32>>) {
    let values = |id: NodeId| graph.constant(id.port(0)).and_then(|tensor| tensor.to_f32s().ok());
    for reader in &site.readers {
        if let Some(mut own) = values(reader.weight) {
            own.iter_mut().enumerate().for_each(|(place, value)| *value *= scales[reader.input_of(place)]);
            changed.insert(reader.weight, own);
        }
    }
    for maker in &site.makers {
        let (id, layer) = match maker {
            Maker::Vector(id) => (*id, None),
            Maker::Weight(layer) => (layer.weight, Some(layer)),
        };
        let Some(mut own) = values(id) else { continue };
        let channel = |place: usize| layer.map_or(place % scales.len(), |layer| layer.output_of(place));
        own.iter_mut().enumerate().for_each(|(place, value)| *value /= scales[channel(place)]);
        changed.insert(id, own);
        if let Some((bias, mut own)) = layer.and_then(|layer| layer.bias).and_then(|bias| Some((bias, values(bias)?))) {
            own.iter_mut().enumerate().for_each(|(place, value)| *value /= scales[place % scales.len()]);
            changed.insert(bias, own);
        }
    }
}
