//! The pass from beginning to end, and the same from a plan.

use std::collections::{BTreeMap, BTreeSet};

use onnxpress_ir::{DType, Edit, Model, Tensor};
use onnxpress_ops::infer::{self, Standard};
use rayon::prelude::*;

use super::codebook::Codes;
use super::options::Palettize;
use super::palette::{Palette, Parts, Scheme};
use super::plan::{Plan, Planned, SCHEMA};
use super::{put, refine};
use crate::digest;
use crate::evidence::EvidenceSource;
use crate::pass::{Pass, PassCx, PassError};
use crate::plan::{self, LeftAlone};
use crate::quantize::sequential::{self, Layer};
use crate::quantize::weight::Role;
use crate::quantize::weights_only::{Weight, Weights, notice_unseen, oldest_cast, part_mut, tensor};
use crate::quantize::{folding, raise};
use crate::reading_across::graph_at;
use crate::rewrite::file_size;

const NAME: &str = Palettize::NAME;

/// How strongly weights are at least pulled to those at hand, and the share of the mean diagonal that moments are damped by.
const RIDGE: f64 = 0.01;
const DAMPING: f64 = 0.01;

/// A weight, and how it is to be looked up.
#[derive(Debug, Clone, Copy)]
struct Order {
    weight: usize,
    scheme: Scheme,
}

/// What the whole is done with.
struct Work<'a> {
    /// The model, its functions inlined where there are samples.
    model: &'a Model,
    weights: &'a Weights,
    source: Option<&'a dyn EvidenceSource>,
    /// Whether it may go to a newer opset.
    upgrade: bool,
}

/// Does what the options ask for, and says what was done.
///
/// # Errors
/// Where a pattern matches nothing, or the samples do not suit the model.
pub(super) fn run(
    options: &Palettize,
    scheme: Scheme,
    text: &str,
    model: &mut Model,
    cx: &mut PassCx<'_>,
) -> Result<(), PassError> {
    let digest = if cx.request.plans { digest::of(model) } else { String::new() };
    let source = cx.user_samples().filter(|_| options.data);
    let whole = sequential::inlined(model, source, cx)?;
    let weights = Weights::of(&whole);
    let wanted = weights.wanted(&options.keep, &options.only, NAME, cx)?;
    for (name, reason) in &weights.others {
        cx.declined(NAME, name.clone(), reason.clone());
    }
    let orders: Vec<Order> = wanted.into_iter().map(|weight| Order { weight, scheme }).collect();
    let layers =
        carry_out(&Work { model: &whole, weights: &weights, source, upgrade: options.upgrade }, orders, model, cx)?;
    if cx.request.plans {
        let declined = cx.declines().iter().filter(|decline| decline.rule == NAME);
        let left = declined.map(|one| LeftAlone { tensor: one.site.clone(), reason: one.reason.clone() }).collect();
        let data = source.map(EvidenceSource::describe);
        cx.set_plan(&Plan { schema: SCHEMA, pass: text.to_owned(), model: digest, data, layers, left });
    }
    Ok(())
}

/// Repeats what a plan says, on the model that it was made for.
///
/// # Errors
/// Where the plan is none for this model, or says what cannot be.
pub(crate) fn apply_plan(plan: serde_json::Value, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), String> {
    let plan: Plan = serde_json::from_value(plan).map_err(|error| error.to_string())?;
    let source = plan::of_format(plan.schema, SCHEMA)
        .and_then(|()| plan::for_model(&plan.model, model))
        .and_then(|()| plan::same_samples(plan.data.as_deref(), cx))
        .map_err(|error| error.to_string())?;
    let whole = sequential::inlined(model, source, cx).map_err(|error| error.to_string())?;
    let weights = Weights::of(&whole);
    let mut seen = BTreeSet::new();
    let mut orders = Vec::new();
    for planned in &plan.layers {
        let (id, name) = (planned.id, &planned.tensor);
        if weights.list.get(id).is_none_or(|weight| weight.label() != *name || weight.site.given_out) {
            return Err(format!("weight {id} `{name}` is none of the model's"));
        }
        if !seen.insert(id) {
            return Err(format!("weight {id} `{name}` stands there twice"));
        }
        orders.push(Order { weight: id, scheme: planned.scheme()? });
    }
    let declined = cx.declines().len();
    carry_out(&Work { model: &whole, weights: &weights, source, upgrade: true }, orders, model, cx)
        .map_err(|error| error.to_string())?;
    if let Some(decline) = cx.declines().get(declined) {
        return Err(format!("weight `{}`: {}", decline.site, decline.reason));
    }
    cx.set_plan(&plan);
    Ok(())
}

/// The axis of output channels.
fn channels(weight: &Weight) -> Option<usize> {
    match &weight.site.role {
        Role::Layer { channels, .. } => *channels,
        Role::Lookup { axis } => Some(*axis),
    }
}

/// The narrowest type for places of so many bits at a version of the standard; of all versions, where none is given.
fn places(bits: u32, opset: Option<i64>) -> DType {
    let all = [(2, DType::Uint2), (4, DType::Uint4), (8, DType::Uint8)];
    let reads =
        |dtype| opset.is_none_or(|opset| oldest_cast(dtype, DType::Int32).is_some_and(|oldest| oldest <= opset));
    all.into_iter().find(|&(most, dtype)| bits <= most && reads(dtype)).map_or(DType::Uint8, |(_, dtype)| dtype)
}

/// About how many bytes a weight takes before and after.
fn bytes(
    tensor: &Tensor,
    name: Option<&onnxpress_ir::Name>,
    axis: Option<usize>,
    scheme: &Scheme,
    codes: DType,
) -> (usize, usize) {
    let before = file_size::new_tensor(tensor, name, file_size::Written::Initializer);
    let extent = axis.and_then(|axis| tensor.dims().get(axis)).copied().unwrap_or(1);
    let tables = scheme.group.map_or(1, |group| extent.div_ceil(group));
    let begins = (tables > 1).then_some(extent);
    let scales = (scheme.scale && extent > 1).then_some(extent);
    let values = tables.saturating_mul(1 << scheme.bits);
    (before, put::bytes((codes, tensor.dtype()), tensor.dims(), values, begins, scales))
}

/// Makes tables and places of weights, and puts them into the model. Answers what was done.
fn carry_out(
    work: &Work<'_>,
    orders: Vec<Order>,
    model: &mut Model,
    cx: &mut PassCx<'_>,
) -> Result<Vec<Planned>, PassError> {
    let (whole, weights) = (work.model, work.weights);
    let mut result = whole.clone();
    let needed = orders.iter().filter_map(|order| oldest_cast(places(order.scheme.bits, None), DType::Int32)).max();
    // Bytes are there in any version.
    let needed = needed.filter(|_| work.upgrade).unwrap_or(0);
    let (from, to) = raise(&mut result, needed, work.upgrade, cx)?;
    let mut planned = Vec::new();
    let mut jobs: Vec<(Order, DType)> = Vec::new();
    for order in orders {
        let weight = &weights.list[order.weight];
        let Some((tensor, name)) = tensor(whole, weight) else { continue };
        let codes = places(order.scheme.bits, Some(to));
        let (before, after) = bytes(tensor, name, channels(weight), &order.scheme, codes);
        let same = self::tensor(&result, weight).is_some_and(|(found, _)| found.same_as(tensor));
        if !same {
            cx.declined(NAME, weight.label(), "a newer opset writes it in another way");
        } else if after >= before {
            cx.declined(NAME, weight.label(), "places and tables take no less than the weight");
        } else {
            jobs.push((order, codes));
            planned.push(Planned {
                id: order.weight,
                tensor: weight.label(),
                reader: weight.site.reader.clone(),
                bits: order.scheme.bits,
                codes: order.scheme.codes.text().to_owned(),
                init: order.scheme.init.text().to_owned(),
                group: order.scheme.group,
                scale: order.scheme.scale,
                unseen: None,
                bytes: (before, after),
            });
        }
    }
    let made = make(work, &result, &jobs, &mut planned, cx)?;
    let Made { witness, parts } = made;
    let mut result = witness.clone();
    let mut kept = Vec::new();
    for (((order, _), parts), planned) in jobs.iter().zip(parts).zip(planned) {
        let weight = &weights.list[order.weight];
        let Some(parts) = parts else {
            cx.declined(NAME, weight.label(), "it holds a NaN or an infinity");
            continue;
        };
        let graph = graph_at(part_mut(&mut result, weight.function), &weight.site.path);
        put::put(graph, weight.site.constant, &parts, NAME).map_err(|error| PassError::Broken(error.to_string()))?;
        cx.coded(&planned.tensor, &parts.codes, planned.bits);
        kept.push(planned);
    }
    if kept.is_empty() {
        return Ok(kept);
    }
    if from < to {
        cx.notice(format!("the model goes from opset {from} to {to}, which its codes need"));
    }
    let looked_up = kept.iter().filter_map(|planned| {
        let weight = &weights.list[planned.id];
        Some((weight.label(), tensor(work.model, weight)?.0))
    });
    folding::notice(looked_up, "Cast and Gather", cx);
    infer::model(&mut result);
    cx.applied(NAME, kept.len());
    cx.set_witness(witness);
    *model = result;
    Ok(kept)
}

/// The model with weights looked up, and the parts of each; none of one that holds what is no number.
struct Made {
    witness: Model,
    parts: Vec<Option<Parts>>,
}

fn make(
    work: &Work<'_>,
    model: &Model,
    jobs: &[(Order, DType)],
    planned: &mut [Planned],
    cx: &mut PassCx<'_>,
) -> Result<Made, PassError> {
    let broken = |error: onnxpress_ir::TensorError| PassError::Broken(error.to_string());
    let weight = |job: usize| &work.weights.list[jobs[job].0.weight];
    let (mut seen, mut unseen): (Vec<(usize, Layer)>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (job, planned) in planned.iter_mut().enumerate() {
        match work.source.map(|_| sequential::of_weight(model, weight(job))) {
            Some(Ok(layer)) => seen.push((job, layer)),
            Some(Err(reason)) => {
                reasons.entry(reason.clone()).or_default().push(weight(job).label());
                planned.unseen = Some(reason);
                unseen.push(job);
            }
            None => unseen.push(job),
        }
    }
    notice_unseen(&reasons, cx);
    let alone = |&job: &usize| {
        let (order, codes) = jobs[job];
        let (tensor, _) = tensor(model, weight(job))?;
        let palette = Palette::of(tensor, channels(weight(job)), &order.scheme, None)?;
        Some(palette.parts(tensor, codes).and_then(|parts| Ok((parts.looked_up()?, parts))))
    };
    let made: Vec<_> = unseen.par_iter().map(alone).collect();
    let mut parts: Vec<Option<Parts>> = vec![None; jobs.len()];
    let mut witness = model.clone();
    for (&job, made) in unseen.iter().zip(made) {
        let Some(made) = made else { continue };
        let (rounded, own) = made.map_err(broken)?;
        let weight = weight(job);
        let graph = graph_at(part_mut(&mut witness, weight.function), &weight.site.path);
        let mut edit = Edit::new(graph, &Standard, NAME, &[]);
        edit.set_constant(weight.site.constant, rounded);
        edit.commit();
        parts[job] = Some(own);
    }
    let Some(source) = work.source.filter(|_| !seen.is_empty()) else { return Ok(Made { witness, parts }) };
    let layers: Vec<Layer> = seen.iter().map(|(_, layer)| layer.clone()).collect();
    let witness = sequential::sequential(model, witness, &layers, source, RIDGE, &mut |target| {
        let job = seen[target.index].0;
        let (order, codes) = jobs[job];
        let layer = target.layer;
        let diagonals: Vec<Vec<f64>> =
            target.metric.iter().map(|metric| (0..metric.ncols()).map(|k| metric[(k, k)]).collect()).collect();
        let fitted = layer.matrices.tensor(target.fitted, target.like).map_err(broken)?;
        let importance = layer.by_element(&diagonals);
        let Some(palette) = Palette::of(&fitted, channels(weight(job)), &order.scheme, Some(&importance)) else {
            return Ok(None);
        };
        let rounded = sequential::fed(&target, DAMPING, &|place, value| palette.rounded(place, value));
        let free = order.scheme.codes == Codes::Kmeans;
        let (palette, rounded) = refine::refined(&target, palette, rounded, (DAMPING, free));
        let chosen = layer.matrices.tensor(&rounded, target.like).map_err(broken)?;
        let own = palette.parts(&chosen, codes).map_err(broken)?;
        let looked_up = layer.matrices.matrices(&own.looked_up().map_err(broken)?).map_err(broken)?;
        parts[job] = Some(own);
        Ok(Some(looked_up))
    })?;
    Ok(Made { witness, parts })
}
