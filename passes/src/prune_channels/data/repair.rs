//! Layers fitted to what the original answers, for the inputs that the pruned model gives them.
//!
//! Each once: to fit them again, asked only for what a `Relu` or `Clip` behind them lets through (Zhang et al., 2015), made residual
//! networks no better.

use onnxpress_ir::analysis::channels::Coupling;
use onnxpress_ir::{Edit, Model, Slot, Tensor, Use, ValueId};
use onnxpress_ops::infer::Standard;

use super::super::cut::slices::masked;
use super::super::cut::{Left, kept_of};
use super::super::mask;
use super::super::options::PruneChannels;
use super::super::plan::PlannedBias;
use super::consumers::plain;
use crate::evidence::{EvidenceError, EvidenceSource, rows_of};
use crate::pass::{Pass as _, PassError};
use crate::reconstruction::{self, BiasSite, Fit, Lockstep, bias_site, give_bias, held_ridge};

/// Samples at a time in lockstep.
const BATCH: usize = 25;
/// How strongly fitted weights are pulled toward those at hand, at least.
const RIDGE: f64 = 1e-3;

/// What layers became.
struct Repaired {
    /// Weights, by constant.
    weights: Vec<(ValueId, Tensor)>,
    /// Biases.
    biases: Vec<PlannedBias>,
}

/// Fits the layers of a model without what is not left to what it answers whole; answers the biases that belong to the new
/// weights.
///
/// # Errors
/// Where the samples do not suit the model, or it cannot be run.
pub(crate) fn fit(
    model: &mut Model,
    coupling: &Coupling,
    left: &Left,
    source: &dyn EvidenceSource,
) -> Result<Vec<PlannedBias>, PassError> {
    let masked = mask::witness(model, coupling, left)?;
    let found = repaired(model, &masked, coupling, left, source);
    let found = found.map_err(|error| PassError::Request(error.to_string()))?;
    let mut edit = Edit::new(&mut model.graph, &Standard, PruneChannels::NAME, &[]);
    for (weight, tensor) in found.weights {
        edit.set_constant(weight.node, tensor);
    }
    edit.commit();
    Ok(found.biases)
}

/// Fits the layers of a model from the first that loses a column on. `masked_model` is the model whose removed channels are zero.
///
/// # Errors
/// Where the samples do not suit the model, or it cannot be run.
fn repaired(
    model: &Model,
    masked_model: &Model,
    coupling: &Coupling,
    left: &Left,
    source: &dyn EvidenceSource,
) -> Result<Repaired, EvidenceError> {
    // Both get the biases that there is a place for, in the same order, so that constants are the same in both.
    let (mut original, mut compressed) = (model.clone(), masked_model.clone());
    let order = model.graph.topological().unwrap_or_default();
    let mut layers = Vec::new();
    let mut touched = false;
    for &id in &order {
        let Some(layer) = plain(&model.graph, id) else { continue };
        let Ok((reader, _)) = rows_of(&model.graph, id, &layer.layer) else { continue };
        let outputs = layer.matrices.groups() * layer.matrices.outputs();
        let site = bias_site(&model.graph, id, &layer.layer, outputs);
        let weight = Use { node: id, slot: Slot::Operand(layer.layer.weight as u32) };
        let kept = coupling.read(&model.graph, weight).and_then(|axes| kept_of(coupling, axes, left));
        let cut = kept
            .as_ref()
            .is_some_and(|kept| layer.layer.input_axes.iter().any(|&axis| kept.get(axis).is_some_and(Option::is_some)));
        // A weight that has become another constant in the masked model is not one layer's alone.
        let same = masked_model.graph.operand(id, layer.layer.weight) == Some(layer.weight);
        touched |= cut;
        if touched && reader.has_results() && same {
            layers.push((layer, site, kept));
        }
    }
    let sites: Vec<BiasSite> = layers
        .iter()
        .map(|(layer, site, _)| {
            let given = give_bias(&mut original, layer.node, &layer.layer, *site, PruneChannels::NAME);
            let again = give_bias(&mut compressed, layer.node, &layer.layer, *site, PruneChannels::NAME);
            // Constants that the mask added may have taken the place that the other has free.
            if given == again { given } else { BiasSite::Nowhere }
        })
        .collect();
    let mut lockstep = Lockstep::new(&original, source, BATCH)?.against(&compressed)?;
    let mut found = Repaired { weights: Vec::new(), biases: Vec::new() };
    for ((layer, _, kept), site) in layers.iter().zip(sites) {
        let Some(tensor) = model.graph.constant(layer.weight) else { continue };
        let Ok(weights) = layer.matrices.matrices(tensor) else { continue };
        let own = site.numbers(&original.graph);
        lockstep.advance(layer.node)?;
        let seen = lockstep.see(layer.node, &layer.layer)?;
        // A column that is gone holds nothing but zeros in the masked model.
        let alive = mask_of(layer, tensor, kept.as_ref());
        let uses = |group: usize, column: usize| alive.as_ref().is_none_or(|alive| alive[group][column]);
        let ridge = held_ridge(&seen, &weights, uses, site, RIDGE);
        let Fit { weight: fitted, bias } = reconstruction::fit(&seen, &weights, uses, site, own.as_deref(), ridge);
        let Ok(made) = layer.matrices.tensor(&fitted, tensor) else { continue };
        let in_masked = match kept {
            Some(kept) => masked(&made, kept, false).unwrap_or_else(|_| made.clone()),
            None => made.clone(),
        };
        lockstep.set_constant(layer.weight, in_masked);
        found.weights.push((layer.weight, made));
        if let (BiasSite::Own(value) | BiasSite::Added(value), Some(bias)) = (site, &bias)
            && let Some(like) = original.graph.constant(value)
            && let Ok(stored) = Tensor::from_f64s(like.dtype(), like.dims(), bias)
            && let Ok(bias) = stored.to_f64s()
        {
            lockstep.set_constant(value, stored);
            found.biases.push(PlannedBias { layer: model.graph.label(layer.node.port(0)), bias });
        }
    }
    Ok(found)
}

/// For each group and column, whether any of its weights is left; `None` where all are.
fn mask_of(
    layer: &super::consumers::Plain,
    tensor: &Tensor,
    kept: Option<&super::super::cut::slices::Kept>,
) -> Option<Vec<Vec<bool>>> {
    let kept = kept?;
    let ones = Tensor::from_f64s(tensor.dtype(), tensor.dims(), &vec![1.0; tensor.len()]).ok()?;
    let mut of_inputs = vec![None; kept.len()];
    for &axis in &layer.layer.input_axes {
        of_inputs[axis] = kept.get(axis)?.clone();
    }
    let left = layer.matrices.matrices(&masked(&ones, &of_inputs, false).ok()?).ok()?;
    Some(
        left.iter()
            .map(|left| (0..left.ncols()).map(|column| left.nrows() > 0 && left[(0, column)] != 0.0).collect())
            .collect(),
    )
}
