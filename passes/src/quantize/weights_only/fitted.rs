//! Codes chosen with samples, one layer after the other.

use std::collections::BTreeMap;

use onnxpress_ir::{Model, NodeId};
use rayon::prelude::*;

use super::apply::{Order, graph_of, several};
use super::candidates::{Weights, tensor};
use super::put;
use crate::evidence::EvidenceSource;
use crate::pass::{PassCx, PassError};
use crate::quantize::scaling::protect;
use crate::quantize::sequential::{self, Layer};
use crate::quantize::weight::{self, Grid, Quantized, Refusal, Rounding};

/// How strongly weights are at least pulled to those at hand where they are fitted.
const RIDGE: f64 = 0.01;

/// Quantizes weights of `result`, which came as the model itself in the version of the standard that codes need, and makes
/// `witness` of it. Answers the orders that were not declined; weights that samples show nothing of are rounded each by itself.
///
/// # Errors
/// Where the samples do not suit the model.
pub(super) fn carry_out(
    orders: &[Order],
    weights: &Weights,
    (result, witness): (&mut Model, &mut Model),
    (pass, damping): (&'static str, f64),
    source: &dyn EvidenceSource,
    cx: &mut PassCx<'_>,
) -> Result<Vec<Order>, PassError> {
    let mut base = result.clone();
    let mut orders = orders.to_vec();
    let (mut seen, mut unseen): (Vec<(usize, Layer)>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (job, order) in orders.iter_mut().enumerate() {
        let weight = &weights.list[order.weight];
        match sequential::of_weight(&base, weight) {
            Ok(layer) => seen.push((job, layer)),
            Err(reason) => {
                reasons.entry(reason).or_default().push(weight.label());
                if order.scheme.rounding.needs_data() {
                    order.scheme.rounding = Rounding::Mse;
                }
                unseen.push(job);
            }
        }
    }
    notice_unseen(&reasons, cx);
    let aware: BTreeMap<NodeId, usize> = seen
        .iter()
        .filter(|(job, _)| orders[*job].scheme.rounding == Rounding::Awq)
        .map(|(job, layer)| (layer.weight.node, *job))
        .collect();
    if !aware.is_empty() {
        let asked = |id: NodeId| aware.get(&id).map(|&job| (orders[job].granularity, orders[job].scheme));
        protect(&mut base, &asked, source)?;
    }
    let alone = |&job: &usize| {
        let order = &orders[job];
        match tensor(&base, &weights.list[order.weight]) {
            Some((tensor, _)) => weight::quantize(tensor, order.granularity, &order.scheme),
            None => Err(Refusal::Empty),
        }
    };
    let rounded: Vec<Result<Quantized, Refusal>> = unseen.par_iter().map(alone).collect();
    let mut made: Vec<Result<Quantized, Refusal>> = orders.iter().map(|_| Err(Refusal::Empty)).collect();
    let mut start = base.clone();
    for (&job, rounded) in unseen.iter().zip(rounded) {
        let weight = &weights.list[orders[job].weight];
        if let Ok(quantized) = &rounded {
            put::round(graph_of(&mut start, weight), weight, quantized, pass)?;
        }
        made[job] = rounded;
    }
    let layers: Vec<Layer> = seen.iter().map(|(_, layer)| layer.clone()).collect();
    *witness = sequential::sequential(&base, start, &layers, source, RIDGE, &mut |target| {
        let job = seen[target.index].0;
        let (quantized, weights) = match layer(&target, &orders[job], damping) {
            Ok(chosen) => chosen,
            Err(refusal) => {
                made[job] = Err(refusal);
                return Ok(None);
            }
        };
        made[job] = Ok(quantized);
        Ok(Some(weights))
    })?;
    *result = witness.clone();
    let mut taken = Vec::new();
    for (order, made) in orders.iter().zip(made) {
        let weight = &weights.list[order.weight];
        match made {
            Ok(quantized) => {
                let behind = weight.is_behind_lookup(order.scheme.dtype, order.granularity);
                let placed = put::Placing { pass, form: order.form, behind, scales: order.scheme.scales };
                placed.put(graph_of(result, weight), weight.site.constant, &quantized)?;
                cx.coded(&weight.label(), &quantized.codes, order.scheme.used_bits());
                taken.push(*order);
            }
            Err(refusal) => cx.declined(pass, weight.label(), refusal.to_string()),
        }
    }
    Ok(taken)
}

/// A layer's weight in few bits, and the matrices that its codes stand for.
fn layer(
    target: &sequential::Target<'_>,
    order: &Order,
    damping: f64,
) -> Result<(Quantized, Vec<faer::Mat<f64>>), Refusal> {
    let matrices = &target.layer.matrices;
    let diagonals: Vec<Vec<f64>> =
        target.metric.iter().map(|metric| (0..metric.ncols()).map(|k| metric[(k, k)]).collect()).collect();
    let fitted = matrices.tensor(target.fitted, target.like)?;
    let importance = target.layer.by_element(&diagonals);
    let grid = Grid::of(&fitted, order.granularity, &order.scheme, Some(&importance))?;
    let quantized = match order.scheme.rounding {
        Rounding::Gptq => {
            let rounded = sequential::fed(target, damping, &|place, value| grid.rounded(place, value));
            grid.encoded(&matrices.tensor(&rounded, target.like)?)?
        }
        _ => grid.encoded(&fitted)?,
    };
    let weights = matrices.matrices(&quantized.dequantized()?)?;
    Ok((quantized, weights))
}

/// Says of which weights samples show nothing, and why.
pub(in crate::quantize) fn notice_unseen(reasons: &BTreeMap<String, Vec<String>>, cx: &mut PassCx<'_>) {
    for (reason, names) in reasons {
        cx.notice(format!("samples show nothing of {}, rounded without them: {reason}", several(names)));
    }
}
