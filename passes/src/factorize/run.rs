//! The pass from beginning to end, and the same from a plan.

use std::collections::BTreeMap;

use onnxpress_ir::{Edit, EditError, Model};
use onnxpress_ops::infer::{self, Standard};

use super::compress::Compressed;
use super::form::Size;
use super::layers::{Kind, Layer, layers};
use super::offer::{Asked, Candidate};
use super::options::{Factorize, Ranks};
use super::plan::{Plan, Planned, SCHEMA};
use super::spectrum::Spectrum;
use super::{choose, compress, convolutions, rewrite};
use crate::InlineFunctions;
use crate::digest;
use crate::evidence::{EvidenceError, EvidenceSource, Extents};
use crate::options::Pattern;
use crate::pass::{Pass, PassCx, PassError};
use crate::plan::{self, LeftAlone};
use crate::prune_channels::Quantity;
use crate::reconstruction::{Turned, give_bias};

fn failed(error: EvidenceError) -> PassError {
    PassError::Request(error.to_string())
}

/// Factorizes what the options ask for.
///
/// # Errors
/// Where a pattern matches nothing, or the samples do not suit the model.
pub(super) fn run(
    options: &Factorize,
    ranks: Ranks,
    text: &str,
    model: &mut Model,
    cx: &mut PassCx<'_>,
) -> Result<(), PassError> {
    let digest = digest::of(model);
    let source = cx.user_samples();
    let mut whole = model.clone();
    InlineFunctions::default().run(&mut whole, cx)?;
    // Evidence that was kept serves without the samples; where those are needed, it is said later why they cannot be had.
    let open = source.and_then(|source| Extents::seen(&whole, source).ok()).unwrap_or_default();
    let (found, mut left) = layers(&whole.graph, &open);
    let found = wanted(options, found, &mut left)?;
    let asked = Asked { forms: options.form, ranks, save: options.save };
    let keep = !(options.reconstruct && source.is_some());
    let offers = compress::offers(&whole, &found, source, &asked, (keep, options.weigh)).map_err(failed)?;
    let (mut kept, mut known, mut spectra) = (Vec::new(), Vec::new(), Vec::new());
    for (layer, offer) in found.into_iter().zip(offers) {
        match offer {
            Some(found) => {
                kept.push(layer);
                known.push(found.offer);
                spectra.push(found.spectra);
            }
            None => left.push((layer.name, "its weights or inputs are not finite".to_owned())),
        }
    }
    let chosen = choose::choose(&kept, &known, &asked);
    let mut planned = Vec::new();
    for ((layer, offer), chosen) in kept.iter().zip(&known).zip(chosen) {
        match chosen.map(|at| &offer.candidates[at]) {
            Ok(Candidate { size, price, loss }) => {
                let before = layer.extents.price();
                planned.push(Planned {
                    tensor: layer.name.clone(),
                    layer: whole.graph.label(layer.node.port(0)),
                    form: size.form,
                    rank: size.rank,
                    inner_rank: (size.inner != size.rank).then_some(size.inner),
                    full_rank: layer.extents.full(size.form).rank,
                    energy_kept: 1.0 - offer.share(*loss),
                    params: (before.params, price.params),
                    macs: (before.macs, price.macs),
                });
            }
            Err(reason) => left.push((layer.name.clone(), reason)),
        }
    }
    if matches!(ranks, Ranks::Target(Quantity::Macs, _))
        && let Some(untold) = open.untold(&whole.graph)
    {
        cx.notice(untold);
    }
    if matches!(ranks, Ranks::Target(Quantity::Macs, _)) && open.are_seen() {
        // Reports count open extents as one.
        let whole: f64 = kept.iter().map(|layer| layer.extents.price().macs).sum();
        let saved: f64 = planned.iter().map(|planned| planned.macs.0 - planned.macs.1).sum();
        let percent = 100.0 * saved / whole.max(1.0);
        cx.notice(format!(
            "{percent:.1} % of these layers' macs are removed where open extents are those of the samples"
        ));
    }
    for (name, reason) in &left {
        cx.declined(Factorize::NAME, name.clone(), reason.clone());
    }
    let plan = Plan {
        schema: SCHEMA,
        pass: text.to_owned(),
        model: digest,
        data: source.map(EvidenceSource::describe),
        reconstruct: options.reconstruct && source.is_some(),
        ridge: options.ridge.get(),
        layers: planned,
        left: left.into_iter().map(|(tensor, reason)| LeftAlone { tensor, reason }).collect(),
    };
    carry_out(&plan, (&kept, &spectra), whole, model, source, cx)
}

/// Does what a plan says, to the model that it is for.
///
/// # Errors
/// What is wrong with the plan, as messages say it.
pub fn apply_plan(planned: serde_json::Value, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), String> {
    let plan: Plan = serde_json::from_value(planned).map_err(|error| error.to_string())?;
    let source = plan::of_format(plan.schema, SCHEMA)
        .and_then(|()| plan::for_model(&plan.model, model))
        .and_then(|()| plan::same_samples(plan.data.as_deref(), cx))
        .map_err(|error| error.to_string())?;
    let mut whole = model.clone();
    InlineFunctions::default().run(&mut whole, cx).map_err(|error| error.to_string())?;
    let (found, _) = layers(&whole.graph, &Extents::default());
    for layer in &plan.layers {
        let known = found.iter().find(|one| one.name == layer.tensor);
        let known = known.ok_or_else(|| format!("`{}` is no layer that can be factorized", layer.tensor))?;
        fits(layer, known)?;
    }
    carry_out(&plan, (&found, &[]), whole, model, source, cx).map_err(|error| error.to_string())
}

/// Whether a layer has what is planned for it.
fn fits(planned: &Planned, layer: &Layer) -> Result<(), String> {
    let (name, size) = (&planned.tensor, planned.size());
    if !layer.extents.has(size.form) {
        return Err(format!("`{name}` has no factors of the form that is planned for it"));
    }
    let full = layer.extents.full(size.form);
    for (rank, full) in [(size.rank, full.rank), (size.inner, full.inner)] {
        if rank == 0 || rank > full {
            return Err(format!("`{name}` has rank {rank}, expected 1 to {full}"));
        }
    }
    Ok(())
}

fn carry_out(
    plan: &Plan,
    (layers, spectra): (&[Layer], &[Vec<Spectrum>]),
    mut whole: Model,
    model: &mut Model,
    source: Option<&dyn EvidenceSource>,
    cx: &mut PassCx<'_>,
) -> Result<(), PassError> {
    let by_name: BTreeMap<&str, Size> = plan.layers.iter().map(|layer| (layer.tensor.as_str(), layer.size())).collect();
    cx.set_plan(plan);
    if by_name.is_empty() {
        return Ok(());
    }
    let mut layers = layers.to_vec();
    if source.is_some() {
        for layer in layers.iter_mut().filter(|layer| layer.is_seen) {
            layer.bias = give_bias(&mut whole, layer.node, &layer.layer, layer.bias, Factorize::NAME);
        }
        infer::model(&mut whole);
    }
    let sizes: Vec<Option<Size>> = layers.iter().map(|layer| by_name.get(layer.name.as_str()).copied()).collect();
    let (mut witness, mut result) = (whole.clone(), whole.clone());
    let (mut done, mut fault) = (0, None);
    let mut put = |at: usize, compressed: Compressed| match written(
        [&mut witness, &mut result],
        &layers[at],
        sizes[at],
        compressed,
    ) {
        Ok(is_written) => done += usize::from(is_written),
        Err(error) => fault = fault.take().or(Some(error)),
    };
    match source.filter(|_| plan.reconstruct) {
        Some(source) => {
            let made = compress::reconstructed(&whole, &layers, &sizes, plan.ridge, source).map_err(failed)?;
            made.into_iter().enumerate().for_each(|(at, compressed)| put(at, compressed));
        }
        None => compress::plain(&whole, &layers, &sizes, spectra, source, &mut put).map_err(failed)?,
    }
    if let Some(error) = fault {
        return Err(PassError::Broken(error.to_string()));
    }
    if done > 0 {
        infer::model(&mut result);
        cx.applied(Factorize::NAME, done);
        cx.set_witness(witness);
        *model = result;
    }
    Ok(())
}

/// Puts what a layer became into the witness, and by factors into the result; answers whether there are any.
fn written(
    [witness, result]: [&mut Model; 2],
    layer: &Layer,
    size: Option<Size>,
    compressed: Compressed,
) -> Result<bool, EditError> {
    let Turned { weight, bias } = compressed.turned;
    let weight = weight.map(|tensor| (layer.weight, tensor));
    for (value, tensor) in weight.into_iter().chain(bias) {
        for model in [&mut *witness, &mut *result] {
            let mut edit = Edit::new(&mut model.graph, &Standard, Factorize::NAME, &[]);
            edit.set_constant(value.node, tensor.clone());
            edit.commit();
        }
    }
    let Some(size) = size.filter(|_| !compressed.factors.is_empty()) else { return Ok(false) };
    match layer.kind {
        Kind::Conv => convolutions::rewrite(&mut result.graph, layer, size, &compressed.factors),
        _ => rewrite::rewrite(&mut result.graph, layer, &compressed.factors),
    }
}

/// The layers that were asked for; the others are left, with the reason.
fn wanted(options: &Factorize, layers: Vec<Layer>, left: &mut Vec<(String, String)>) -> Result<Vec<Layer>, PassError> {
    let matches = |pattern: &Pattern, layer: &Layer| layer.names.iter().any(|name| pattern.matches(name));
    for pattern in options.keep.iter().chain(&options.only) {
        let other = |(name, _): &(String, String)| pattern.matches(name);
        if !layers.iter().any(|layer| matches(pattern, layer)) && !left.iter().any(other) {
            return Err(PassError::Request(format!("`{pattern}` matches no layer")));
        }
    }
    let (mut taken, mut reasons) = (Vec::new(), Vec::new());
    for layer in layers {
        if options.keep.iter().any(|pattern| matches(pattern, &layer)) {
            reasons.push((layer.name, "`keep` names it".to_owned()));
        } else if !options.only.is_empty() && !options.only.iter().any(|pattern| matches(pattern, &layer)) {
            reasons.push((layer.name, "`only` does not name it".to_owned()));
        } else {
            taken.push(layer);
        }
    }
    left.append(&mut reasons);
    Ok(taken)
}
