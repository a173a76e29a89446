//! The pass from beginning to end, and the same from a plan.

use std::collections::BTreeMap;

use onnxpress_ir::{Edit, Model};
use onnxpress_ops::infer::{self, Standard};

use super::apply::{Made, Way};
use super::layers::{self, Layer};
use super::options::{Amount, Criterion, Scope, Sparsify};
use super::plan::{Plan, Planned, SCHEMA};
use super::score::Scoring;
use super::structure::Structure;
use super::{share, store};
use crate::InlineFunctions;
use crate::digest;
use crate::evidence::{EvidenceError, EvidenceSource, First};
use crate::options::{ByName, Options, Ratio};
use crate::pass::{Pass, PassCx, PassError};
use crate::pipeline::text::{Item, parse};
use crate::plan::{self, LeftAlone};
use crate::quantize::{Weights, part_mut, tensor};
use crate::reading_across::graph_at;

const NAME: &str = Sparsify::NAME;

fn failed(error: EvidenceError) -> PassError {
    PassError::Request(error.to_string())
}

/// How weights are chosen, by the options and whether there are samples.
fn way(options: &Sparsify, has_samples: bool) -> Way {
    let criterion = match options.criterion {
        Criterion::Auto if has_samples => Criterion::Obs,
        Criterion::Auto => Criterion::Magnitude,
        criterion => criterion,
    };
    let scoring = Scoring { criterion, seed: options.seed, ridge: options.ridge.get() };
    Way { scoring, structure: options.structure(), steps: options.steps }
}

/// The model whose layers samples can be seen at: functions where they are called.
fn opened(model: &Model, source: Option<&dyn EvidenceSource>, cx: &mut PassCx<'_>) -> Result<Model, PassError> {
    let mut whole = model.clone();
    if source.is_some() {
        InlineFunctions::default().run(&mut whole, cx)?;
    }
    Ok(whole)
}

/// Makes zero what the options ask for.
///
/// # Errors
/// Where a pattern matches nothing, or the samples do not suit the model.
pub(super) fn run(
    options: &Sparsify,
    amount: Amount,
    text: &str,
    model: &mut Model,
    cx: &mut PassCx<'_>,
) -> Result<(), PassError> {
    let way = way(options, cx.user_samples().is_some());
    let criterion = way.scoring.criterion;
    let source = if criterion.needs_data() { Some(cx.data(&format!("`criterion={criterion}`"))?) } else { None };
    let whole = opened(model, source, cx)?;
    let weights = Weights::of(&whole);
    let wanted = weights.wanted(&options.keep, &options.only, NAME, cx)?;
    let named =
        |own: &ByName<Ratio>, layer: &Layer| layer.weight.site.names.iter().any(|name| own.pattern.matches(name));
    let (found, left) = layers::layers(&whole, &weights, &wanted);
    if let Some(own) = options.layers.iter().find(|own| !found.iter().any(|layer| named(own, layer))) {
        return Err(PassError::Request(format!("the pattern `{}` matches no weight that can have zeros", own.pattern)));
    }
    for (name, reason) in left.iter().chain(&weights.others) {
        cx.declined(NAME, name.clone(), reason.clone());
    }
    let mut shares = match amount {
        Amount::Share(share) if options.scope != Scope::Layer => {
            share::shared_out(&whole, &found, &way.scoring, (options.scope, share), source).map_err(failed)?
        }
        Amount::Share(share) => vec![share; found.len()],
        amount => {
            let of = |layer: &Layer| {
                let flat = tensor(&whole, &layer.weight).and_then(|(tensor, _)| layer.flat(tensor));
                flat.map_or(0.0, |flat| share::below(amount, &flat))
            };
            found.iter().map(of).collect()
        }
    };
    for (layer, share) in found.iter().zip(&mut shares) {
        if let Some(own) = options.layers.iter().find(|own| named(own, layer)) {
            *share = own.value.get();
        }
    }
    let mut gets_zeros = |(layer, share): &(&Layer, f64)| match way.structure {
        Structure::Neighbours { kept, .. } if layer.run <= kept => {
            let reason =
                format!("no more than {} weights are neighbours along the axis that is summed over", layer.run);
            cx.declined(NAME, layer.name.clone(), reason);
            false
        }
        Structure::Neighbours { .. } => true,
        Structure::Single | Structure::Blocks { .. } => *share > 0.0,
    };
    let planned: Vec<_> = found.iter().zip(shares).filter(|pair| gets_zeros(pair)).collect();
    let planned = planned.into_iter().map(|(layer, sparsity)| Planned {
        id: layer.id,
        tensor: layer.name.clone(),
        reader: layer.weight.site.reader.clone(),
        sparsity,
        zeros: (0.0, 0.0),
        stored: String::new(),
        bytes: (0, 0),
    });
    let mut plan = Plan {
        schema: SCHEMA,
        pass: text.to_owned(),
        model: if cx.request.plans { digest::of(model) } else { String::new() },
        data: source.map(EvidenceSource::describe),
        layers: planned.collect(),
        left: Vec::new(),
    };
    carry_out(options, &mut plan, &found, &way, whole, model, source, cx)?;
    let declined = cx.declines().iter().filter(|decline| decline.rule == NAME);
    plan.left = declined.map(|one| LeftAlone { tensor: one.site.clone(), reason: one.reason.clone() }).collect();
    cx.set_plan(&plan);
    Ok(())
}

/// Does what a plan says, to the model that it is for.
///
/// # Errors
/// What is wrong with the plan, as messages say it.
pub(crate) fn apply_plan(planned: serde_json::Value, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), String> {
    let mut plan: Plan = serde_json::from_value(planned).map_err(|error| error.to_string())?;
    let source = plan::of_format(plan.schema, SCHEMA)
        .and_then(|()| plan::for_model(&plan.model, model))
        .and_then(|()| plan::same_samples(plan.data.as_deref(), cx))
        .map_err(|error| error.to_string())?;
    let text = parse(&plan.pass).map_err(|error| error.to_string())?;
    let options = match text.items.first().map(|item| &item.it) {
        Some(Item::Pass(call)) => Sparsify::from_options(&call.options).map_err(|error| error.to_string())?,
        _ => return Err("`pass` names no pass".to_owned()),
    };
    options.amount().map_err(|error| error.to_string())?;
    let way = way(&options, source.is_some());
    if way.scoring.criterion.needs_data() && source.is_none() {
        return Err(format!("`criterion={}` needs data, and `data` names none", way.scoring.criterion));
    }
    let whole = opened(model, source, cx).map_err(|error| error.to_string())?;
    let weights = Weights::of(&whole);
    let mut wanted: Vec<usize> = plan.layers.iter().map(|layer| layer.id).collect();
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.len() != plan.layers.len() {
        return Err("a weight stands there twice".to_owned());
    }
    wanted.retain(|&id| weights.list.get(id).is_some_and(|weight| !weight.site.given_out));
    let (found, _) = layers::layers(&whole, &weights, &wanted);
    for layer in &plan.layers {
        if !found.iter().any(|one| one.id == layer.id && one.name == layer.tensor) {
            return Err(format!("weight {} `{}` is none that can have zeros", layer.id, layer.tensor));
        }
        if !(0.0..1.0).contains(&layer.sparsity) {
            return Err(format!("`{}` has sparsity {}, expected a number in [0, 1)", layer.tensor, layer.sparsity));
        }
    }
    let done = carry_out(&options, &mut plan, &found, &way, whole, model, source, cx);
    done.map_err(|error| error.to_string())?;
    cx.set_plan(&plan);
    Ok(())
}

/// Does what a plan says, and writes into it what came of it.
#[allow(clippy::too_many_arguments, reason = "all of it is what the plan was made of")]
fn carry_out(
    options: &Sparsify,
    plan: &mut Plan,
    layers: &[Layer],
    way: &Way,
    whole: Model,
    model: &mut Model,
    source: Option<&dyn EvidenceSource>,
    cx: &mut PassCx<'_>,
) -> Result<(), PassError> {
    let shares: BTreeMap<usize, f64> = plan.layers.iter().map(|layer| (layer.id, layer.sparsity)).collect();
    // A bias that is not there stays away: zeros are to make the file smaller.
    let pairs: Vec<(&Layer, f64)> = layers.iter().filter_map(|layer| Some((layer, *shares.get(&layer.id)?))).collect();
    let rebuilds = way.scoring.criterion == Criterion::Obs;
    let made = match source.filter(|_| rebuilds) {
        Some(source) => way.rebuild(&whole, &pairs, &First { source, count: options.samples }),
        None => way.mask(&whole, &pairs, source),
    };
    let Made { weights, biases } = made.map_err(failed)?;
    let mut witness = whole.clone();
    let mut done = Vec::new();
    for (place, made) in weights {
        let (layer, _) = pairs[place];
        let before = tensor(&whole, &layer.weight).map(|(tensor, _)| tensor.clone());
        if before.as_ref().is_some_and(|before| before.same_as(&made)) {
            cx.declined(NAME, layer.name.clone(), "it has these zeros already");
            continue;
        }
        let graph = graph_at(part_mut(&mut witness, layer.weight.function), &layer.weight.site.path);
        let mut edit = Edit::new(graph, &Standard, NAME, &[]);
        edit.set_constant(layer.weight.site.constant, made);
        edit.commit();
        done.push((layer, before));
    }
    for (layer, _) in pairs.iter().filter(|(layer, _)| !done.iter().any(|(one, _)| one.id == layer.id)) {
        if !cx.declines().iter().any(|decline| decline.rule == NAME && decline.site == layer.name) {
            cx.declined(NAME, layer.name.clone(), "its weights or inputs are not finite");
        }
    }
    if done.is_empty() {
        return Ok(());
    }
    let mut edit = Edit::new(&mut witness.graph, &Standard, NAME, &[]);
    biases.into_iter().for_each(|(value, tensor)| edit.set_constant(value.node, tensor));
    edit.commit();
    let mut result = witness.clone();
    let stored = store::store(options.store, &mut result, &done, cx)?;
    for (layer, stored) in stored {
        if let Some(planned) = plan.layers.iter_mut().find(|planned| planned.id == layer) {
            planned.zeros = stored.zeros;
            planned.stored = stored.how.text().to_owned();
            planned.bytes = stored.bytes;
        }
    }
    infer::model(&mut result);
    cx.applied(NAME, done.len());
    cx.set_witness(witness);
    *model = result;
    Ok(())
}
