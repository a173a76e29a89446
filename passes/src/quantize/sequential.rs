//! Weights that are rounded one layer after the other, with samples.
//!
//! Each layer is first fitted to what the original answers for the inputs that the model rounded so far produces
//! ([`crate::reconstruction`]), then rounded in the metric of these inputs; what rounding does to the mean goes into the bias, where
//! there is one that can change. How a weight is rounded is the caller's business.

use faer::Mat;
use onnxpress_ir::{Graph, Model, NodeId, Slot, Tensor, ValueId};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::Linear;
use onnxpress_ops::table;
use onnxpress_ops::{LinearLayer, infer};
use rayon::prelude::*;

use super::weight::Feedback;
use super::weights_only::Weight;
use crate::InlineFunctions;
use crate::evidence::{EvidenceError, EvidenceSource, SecondMoment, rows_of, shrunk};
use crate::pass::{Pass, PassCx, PassError};
use crate::reconstruction::{BiasSite, Fit, LayerWeight, Lockstep, bias_site, fit, held_ridge};

/// Samples at a time in lockstep.
const BATCH: usize = 25;

/// A layer whose rows samples can show.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) node: NodeId,
    pub(crate) layer: LinearLayer,
    /// The constant.
    pub(crate) weight: ValueId,
    pub(crate) matrices: LayerWeight,
    pub(crate) bias: BiasSite,
}

impl Layer {
    /// The layer of the main graph that multiplies by a constant.
    ///
    /// # Errors
    /// Why samples show nothing of it.
    pub(crate) fn reading(graph: &Graph, constant: NodeId) -> Result<Self, String> {
        let weight = constant.port(0);
        let reading = graph.sole_reader(weight).ok_or("several nodes read it")?;
        let Slot::Operand(operand) = reading.slot else { return Err("a subgraph reads it".to_owned()) };
        let node = NodeCx::new(graph, reading.node).ok_or("a graph output reads it")?;
        let operator = table::of(node.node).map(|operator| operator.linear);
        let Some(Linear::Layers(layers)) = operator else { return Err("rows of it are looked up".to_owned()) };
        let layer = layers(&node).into_iter().find(|layer| layer.weight == operand as usize);
        let layer = layer.ok_or("its rows are not seen from outside the operator")?;
        let dims = graph.constant(weight).map(Tensor::dims).unwrap_or_default();
        let matrices = LayerWeight::of(&layer, dims).ok_or("it is a stack of matrices")?;
        rows_of(graph, reading.node, &layer).map_err(|error| match error {
            EvidenceError::Site { reason, .. } => reason,
            other => other.to_string(),
        })?;
        let bias = bias_site(graph, reading.node, &layer, matrices.groups() * matrices.outputs());
        Ok(Self { node: reading.node, layer, weight, matrices, bias })
    }

    /// One number an element of the weight in its order, of numbers a column of each group's matrix.
    pub(crate) fn by_element(&self, columns: &[Vec<f64>]) -> Vec<f32> {
        let (groups, outputs, count) = (self.matrices.groups(), self.matrices.outputs(), self.matrices.columns());
        let mut all = vec![0f32; groups * outputs * count];
        for (group, numbers) in columns.iter().enumerate().take(groups) {
            for output in 0..outputs {
                for (column, &number) in numbers.iter().enumerate().take(count) {
                    all[self.matrices.place(group, output, column)] = number as f32;
                }
            }
        }
        all
    }
}

/// What a layer is to be rounded from.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    /// Its place in the list of layers.
    pub(crate) index: usize,
    /// The layer.
    pub(crate) layer: &'a Layer,
    /// The weight as it was fitted, a matrix a group.
    pub(crate) fitted: &'a [Mat<f64>],
    /// The metric of each group's errors: the second moment of its rows, around their mean where a bias takes that.
    pub(crate) metric: &'a [Mat<f64>],
    /// The weight as it was, for its type and extents.
    pub(crate) like: &'a Tensor,
}

/// What is asked how a layer is rounded: it answers the weight, a matrix a group, or nothing where the layer stays as it is.
pub(crate) type Rounding<'r> = dyn FnMut(Target<'_>) -> Result<Option<Vec<Mat<f64>>>, PassError> + 'r;

/// Rounds layers in the order of the graph. `ridge` is how strongly fitted weights are at least pulled to those at hand. `start` is the model with all changed that needs no samples; answered is that model with
/// weights and biases of the layers as they became.
///
/// # Errors
/// Where the samples do not suit the model, and what `round` answers.
pub(crate) fn sequential(
    model: &Model,
    start: Model,
    layers: &[Layer],
    source: &dyn EvidenceSource,
    ridge: f64,
    round: &mut Rounding<'_>,
) -> Result<Model, PassError> {
    if layers.is_empty() {
        return Ok(start);
    }
    let failed = |error: EvidenceError| PassError::Request(error.to_string());
    let mut lockstep =
        Lockstep::new(model, source, BATCH).and_then(|lockstep| lockstep.against(&start)).map_err(failed)?;
    let place = |layer: &Layer| lockstep.order().iter().position(|&id| id == layer.node);
    let mut order: Vec<(usize, usize)> =
        layers.iter().enumerate().filter_map(|(index, layer)| Some((place(layer)?, index))).collect();
    order.sort_unstable();
    for (_, index) in order {
        let layer = &layers[index];
        lockstep.advance(layer.node).map_err(failed)?;
        let seen = lockstep.see(layer.node, &layer.layer).map_err(failed)?;
        let Some(like) = lockstep.original().graph.constant(layer.weight).cloned() else { continue };
        let Ok(weights) = layer.matrices.matrices(&like) else { continue };
        let own = layer.bias.numbers(&lockstep.original().graph);
        let ridge = held_ridge(&seen, &weights, |_, _| true, layer.bias, ridge);
        let Fit { weight: fitted, bias } = fit(&seen, &weights, |_, _| true, layer.bias, own.as_deref(), ridge);
        let own_metric = |rows: &SecondMoment| if bias.is_some() { rows.covariance() } else { rows.second() };
        let metric: Vec<Mat<f64>> = seen.rows.iter().map(|rows| shrunk(own_metric(rows), rows.count())).collect();
        let target = Target { index, layer, fitted: &fitted, metric: &metric, like: &like };
        let Some(rounded) = round(target)? else { continue };
        if let Ok(tensor) = layer.matrices.tensor(&rounded, &like) {
            lockstep.set_constant(layer.weight, tensor);
        }
        if let (BiasSite::Own(value) | BiasSite::Added(value), Some(mut bias)) = (layer.bias, bias) {
            for (group, (fitted, rounded)) in fitted.iter().zip(&rounded).enumerate() {
                let mean = seen.rows[group].mean();
                for output in 0..fitted.nrows() {
                    let lost = |k: usize| (fitted[(output, k)] - rounded[(output, k)]) * mean[k];
                    bias[group * fitted.nrows() + output] += (0..fitted.ncols()).map(lost).sum::<f64>();
                }
            }
            let old = lockstep.original().graph.constant(value);
            let tensor = old.and_then(|old| Tensor::from_f64s(old.dtype(), old.dims(), &bias).ok());
            if let Some(tensor) = tensor {
                lockstep.set_constant(value, tensor);
            }
        }
    }
    source.progress("reconstruct", 0, 0);
    Ok(lockstep.into_compressed())
}

/// The weights of a layer's groups, each number rounded to what `round` says of its place in the tensor and the number, columns making up
/// for each other; where the metric is beyond computing with, each by itself.
pub(crate) fn fed(target: &Target<'_>, damping: f64, round: &(impl Fn(usize, f32) -> f32 + Sync)) -> Vec<Mat<f64>> {
    let matrices = &target.layer.matrices;
    let groups: Vec<(usize, &Mat<f64>, &Mat<f64>)> =
        target.fitted.iter().zip(target.metric).enumerate().map(|(group, (w, h))| (group, w, h)).collect();
    let one = |&(group, weight, metric): &(usize, &Mat<f64>, &Mat<f64>)| {
        let at = |output: usize, column: usize, value: f32| round(matrices.place(group, output, column), value);
        match Feedback::of(metric, damping) {
            Some(feedback) => feedback.round(weight, &at),
            None => Mat::from_fn(weight.nrows(), weight.ncols(), |output, column| {
                f64::from(at(output, column, weight[(output, column)] as f32))
            }),
        }
    };
    groups.par_iter().map(one).collect()
}

/// The layer that a weight belongs to.
///
/// # Errors
/// Why samples show nothing of it.
pub(super) fn of_weight(model: &Model, weight: &Weight) -> Result<Layer, String> {
    if weight.function.is_some() {
        return Err("it is in a function".to_owned());
    }
    if !weight.site.path.is_empty() {
        return Err("it is in a subgraph".to_owned());
    }
    Layer::reading(&model.graph, weight.site.constant)
}

/// The model whose layers samples can show: functions are inlined where there are samples.
///
/// # Errors
/// Where a function cannot be inlined.
pub(super) fn inlined(
    model: &Model,
    source: Option<&dyn EvidenceSource>,
    cx: &mut PassCx<'_>,
) -> Result<Model, PassError> {
    let mut whole = model.clone();
    if source.is_some() && !whole.functions.is_empty() {
        InlineFunctions::default().run(&mut whole, cx)?;
        infer::model(&mut whole);
    }
    Ok(whole)
}
