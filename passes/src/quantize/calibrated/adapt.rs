//! Weights rounded layer after layer, on samples: adaptive rounding toward what repairs the layers before.
//!
//! The original and the model on codes go side by side. Each layer gets the rows that values on codes and rounded weights leave it,
//! is fitted to what the original answers, and rounded in the metric of these rows; what is off in the mean goes into its bias. So
//! biases are corrected by data, one after the other, too.

use std::collections::BTreeMap;

use faer::Mat;
use onnxpress_ir::{Model, NodeId, Tensor, ValueId};
use onnxpress_ops::LinearLayer;
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::Linear;
use onnxpress_ops::table;

use super::bias;
use super::conversions::conversions;
use super::options::WeightRounding;
use super::plan::{Numbers, PlannedWeight, QuantizePlan};
use super::write::{self, WriteError};
use crate::evidence::{EvidenceError, EvidenceSource};
use crate::pass::PassError;
use crate::quantize::weight::{Quantized, adaptive};
use crate::reconstruction::{BiasSite, LayerWeight, Lockstep, Seen, fit, give_bias};

/// Samples at a time.
const BATCH: usize = 16;
/// How strongly a layer is pulled to the weights that it had, as a share of the mean of its metric's diagonal. Codes of eight bits lose
/// little, so there is little to repair, and much to be learnt by heart of few samples.
const RIDGE: f64 = 0.1;
/// The most columns of a layer: its metric takes their square, several times. Beyond, weights are rounded by themselves.
const COLUMNS: usize = 2560;

/// What layers have become: weights by constant and axis, biases by node.
#[derive(Debug, Default)]
pub(crate) struct Rounded {
    pub(super) weights: BTreeMap<(NodeId, Option<usize>), Quantized>,
    pub(super) biases: BTreeMap<NodeId, Vec<f32>>,
}

/// Why nothing could be rounded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdaptError {
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<AdaptError> for PassError {
    fn from(error: AdaptError) -> Self {
        Self::Request(error.to_string())
    }
}

/// A layer whose weight is to be rounded.
struct Site<'p> {
    node: NodeId,
    linear: LinearLayer,
    weight: ValueId,
    matrices: LayerWeight,
    bias: BiasSite,
    planned: &'p PlannedWeight,
}

/// Whether a plan asks for it.
pub(super) fn is_asked(plan: &QuantizePlan) -> bool {
    plan.layers.iter().filter_map(|layer| layer.weight.as_ref()).any(asks)
}

fn asks(weight: &PlannedWeight) -> bool {
    search(weight).is_some()
}

/// Where the search for a weight's codes begins.
fn search(weight: &PlannedWeight) -> Option<adaptive::Beginning> {
    WeightRounding::named(&weight.rounding)?.search()
}

/// Rounds the weights of the model that a plan is for, those that it says so of.
///
/// # Errors
/// Where the plan does not suit the model, or it cannot be run on the samples.
pub(super) fn rounded(
    plan: &QuantizePlan,
    prepared: &Model,
    source: &dyn EvidenceSource,
) -> Result<Rounded, AdaptError> {
    let mut original = prepared.clone();
    let mut sites = sites(plan, prepared)?;
    for site in &mut sites {
        site.bias = give_bias(&mut original, site.node, &site.linear, site.bias, "quantize");
    }
    let mut on_codes = original.clone();
    conversions(plan, &mut on_codes, &Numbers::of(&original))?;
    let mut lockstep = Lockstep::new(&original, source, BATCH)?.against(&on_codes)?;
    let mut rounded = Rounded::default();
    for site in &sites {
        lockstep.advance(site.node)?;
        let seen = lockstep.see(site.node, &site.linear)?;
        let Some(exact) = original.graph.constant(site.weight) else { continue };
        let Ok(weights) = site.matrices.matrices(exact) else { continue };
        let own = site.bias.numbers(&original.graph);
        let targets = fit(&seen, &weights, |_, _| true, site.bias, own.as_deref(), RIDGE).weight;
        let key = (site.weight.node, site.planned.axis);
        let it = match rounded.weights.get(&key) {
            Some(it) => it.clone(),
            None => codes(site, exact, &targets, &seen)?,
        };
        let floats = it.dequantized().map_err(|reason| write::refused(site.planned, reason))?;
        let changeable = match site.bias {
            BiasSite::Own(value) | BiasSite::Added(value) => Some(value),
            BiasSite::Free | BiasSite::Fixed | BiasSite::Nowhere => None,
        };
        if let (Some(value), Some(own), Ok(written)) = (changeable, own, site.matrices.matrices(&floats)) {
            let numbers = corrected(site, &seen, &weights, &written, &own);
            let like = original.graph.constant(value).map_or(&[][..], Tensor::dims);
            if let Ok(tensor) = Tensor::from_values(like, numbers.clone()) {
                lockstep.set_constant(value, tensor);
                rounded.biases.insert(site.node, numbers);
            }
        }
        lockstep.set_constant(site.weight, floats);
        rounded.weights.insert(key, it);
    }
    source.progress("reconstruct", 0, 0);
    Ok(rounded)
}

fn sites<'p>(plan: &'p QuantizePlan, model: &Model) -> Result<Vec<Site<'p>>, WriteError> {
    let numbers = Numbers::of(model);
    let mut sites = Vec::new();
    for layer in &plan.layers {
        let Some(planned) = layer.weight.as_ref().filter(|weight| asks(weight)) else { continue };
        let node = numbers.vertex(layer.id, &layer.name)?;
        let Some(cx) = NodeCx::new(&model.graph, node) else { continue };
        let Some(Linear::Layers(layers)) = table::of(cx.node).map(|sheet| sheet.linear) else { continue };
        let Some(linear) = layers(&cx).into_iter().find(|layer| cx.constant(layer.weight).is_some()) else { continue };
        let (Some(weight), Some(tensor)) = (cx.operand(linear.weight), cx.constant(linear.weight)) else { continue };
        let matrices = LayerWeight::of(&linear, tensor.dims()).filter(|matrices| matrices.columns() <= COLUMNS);
        let Some(matrices) = matrices else { continue };
        let bias = bias::site(&cx, &linear, matrices.groups() * matrices.outputs());
        sites.push(Site { node, linear, weight, matrices, bias, planned });
    }
    Ok(sites)
}

/// The codes of a layer fitted to `targets`.
fn codes(site: &Site<'_>, exact: &Tensor, targets: &[Mat<f64>], seen: &Seen) -> Result<Quantized, WriteError> {
    let centred = !matches!(site.bias, BiasSite::Fixed | BiasSite::Nowhere);
    let metrics: Vec<Mat<f64>> =
        seen.rows.iter().map(|rows| if centred { rows.covariance() } else { rows.second() }).collect();
    let target = site.matrices.tensor(targets, exact)?;
    let mut it = write::codes(&target, site.planned)?;
    let beginning = search(site.planned).unwrap_or(adaptive::Beginning::Nearest);
    adaptive::round(&mut it, &write::scheme(site.planned)?, &site.matrices, targets, &metrics, beginning)
        .map_err(|reason| write::refused(site.planned, reason))?;
    Ok(it)
}

/// The bias with which a layer of rounded weights answers in the mean what the original does.
fn corrected(site: &Site<'_>, seen: &Seen, exact: &[Mat<f64>], written: &[Mat<f64>], own: &[f64]) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(own.len());
    for (group, (exact, written)) in exact.iter().zip(written).enumerate() {
        let rows = seen.rows[group].mean();
        let product = |weight: &Mat<f64>, output: usize| -> f64 {
            rows.iter().enumerate().map(|(column, mean)| weight[(output, column)] * mean).sum()
        };
        let results = seen.results.get(group).map(|results| results.mean());
        for output in 0..exact.nrows() {
            let own = own[group * exact.nrows() + output];
            let wanted = match (&results, site.bias) {
                // Results have the bias in them, unless the next node adds it.
                (Some(results), BiasSite::Added(_)) => results[output] + own,
                (Some(results), _) => results[output],
                (None, _) => product(exact, output) + own,
            };
            numbers.push((wanted - product(written, output)) as f32);
        }
    }
    numbers
}
