//! From options to a plan, from a plan to a smaller model.
//!
//! Whether every shape follows is known for sure only when the cut is made. A value whose shape does not gets its axes pinned,
//! and all begins anew; so the plan that comes out is one that works. Each round pins something, so it ends.

use onnxpress_ir::Model;
use onnxpress_ir::analysis::channels::SpanId;
use onnxpress_ops::coupling::{Norms, coupling_with};

use super::bodies;
use super::choose::{Chosen, Subject, choose};
use super::compensate;
use super::cost::Costs;
use super::cut::{self, Mismatch};
use super::data;
use super::mask;
use super::members::{WINDOW, has_weights};
use super::options::{Compensate, PruneChannels};
use super::plan::{self, PinnedGroup, Plan, PlannedGroup, SCHEMA, Shrinkage};
use crate::evidence::Extents;
use crate::inline_functions::InlineFunctions;
use crate::pass::{Pass, PassCx, PassError};
use crate::plan::same_samples;
use crate::specialize::listed_as_constants;

/// Rounds of pinning what turned out not to follow.
const ROUNDS: usize = 64;

/// Functions are called from places with axes of their own, so their bodies are put there. An initializer that is also an input
/// is a weight like others; the cut one stays an input, of its new shape.
pub(super) fn prepare(model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
    listed_as_constants(model, cx)?;
    InlineFunctions::default().run(model, cx)
}

/// Chooses, cuts, and says what was done. Answers whether anything went.
pub(super) fn plan_and_cut(
    options: &PruneChannels,
    model: &mut Model,
    cx: &mut PassCx<'_>,
    digest: &str,
    text: &str,
) -> Result<bool, PassError> {
    let source = cx.user_samples();
    if options.criterion.needs_data() || options.compensate == Compensate::LeastSquares {
        cx.data(&format!(
            "`{}`",
            if options.criterion.needs_data() { "criterion" } else { "compensate=least-squares" }
        ))?;
    }
    let fits = match options.compensate {
        Compensate::LeastSquares => true,
        Compensate::Auto => source.is_some(),
        Compensate::Nothing | Compensate::Mean => false,
    };
    // Evidence that was kept serves without the samples; where those are needed, it is said later why they cannot be had.
    let extents = source.and_then(|source| Extents::seen(model, source).ok()).unwrap_or_default();
    let mut subject = Subject::of(model, coupling_with(&model.graph, options.norms()), extents);
    let mut wrong = Vec::new();
    for _ in 0..ROUNDS {
        let chosen = choose(options, model, &subject, source, fits)?;
        let mut plan = written(model, &subject, &chosen, digest, text);
        if plan.groups.is_empty() {
            for pinned in &plan.pinned {
                cx.declined(PruneChannels::NAME, pinned.name.clone(), pinned.reason.clone());
            }
            cx.set_plan(&plan);
            return Ok(false);
        }
        plan.through_norm = options.through_norm;
        let mut whole = model.clone();
        if let Some(source) = source.filter(|_| fits) {
            plan.fitted_on = Some(source.describe());
            let biases = data::fit(&mut whole, &subject.coupling, &chosen.left, source)?;
            compensate::apply(&mut whole, &mut subject.coupling, &biases)?;
            plan.fitted = Some(crate::digest::of(&whole));
        } else if options.compensate != Compensate::Nothing {
            plan.biases = compensate::by_means(&model.graph, &subject.coupling, &chosen.left);
            compensate::apply(&mut whole, &mut subject.coupling, &plan.biases)?;
        }
        let mut result = whole.clone();
        match cut::cut(&mut result, &subject.coupling, &chosen.left)? {
            Ok(()) => {
                cx.set_witness(mask::witness(&whole, &subject.coupling, &chosen.left)?);
                *model = result;
                chosen.told.into_iter().for_each(|told| cx.notice(told));
                cx.applied(PruneChannels::NAME, plan.groups.len());
                for pinned in &plan.pinned {
                    cx.declined(PruneChannels::NAME, pinned.name.clone(), pinned.reason.clone());
                }
                cx.set_plan(&plan);
                return Ok(true);
            }
            Err(mismatch) => {
                // Who comes out wrong though nothing goes along its axes has it from somewhere before.
                let again = wrong.contains(&mismatch.node);
                pin(&mut subject, model, &mismatch, again);
                wrong.push(mismatch.node);
            }
        }
    }
    let wrong: Vec<String> = wrong.iter().map(|&node| model.graph.describe(node)).collect();
    Err(PassError::Request(format!("the shapes of the model do not follow a cut: {}", wrong.join(", "))))
}

/// Pins whatever the node reads and gives out, or all nodes before it do.
fn pin(subject: &mut Subject, model: &Model, mismatch: &Mismatch, all_before: bool) {
    let graph = &model.graph;
    let reason = format!("{}: {}", graph.describe(mismatch.node), mismatch.reason);
    let mut open = vec![mismatch.node];
    let mut seen = std::collections::HashSet::new();
    while let Some(node) = open.pop() {
        if !seen.insert(node) {
            continue;
        }
        let letters = subject.coupling.letters(node).iter().map(|(_, span)| *span);
        let ports = 0..graph.vertex(node).ports().len() as u32;
        let axes = ports
            .filter_map(|port| subject.coupling.axes(node.port(port)))
            .chain(graph.reads(node).filter_map(|value| subject.coupling.axes(value)))
            .flatten()
            .copied();
        let spans: Vec<SpanId> = letters.chain(axes).collect();
        spans.into_iter().for_each(|span| subject.coupling.pin(span, &reason));
        if all_before {
            open.extend(graph.reads(node).map(|value| value.node));
        }
    }
}

fn written(model: &Model, subject: &Subject, chosen: &Chosen, digest: &str, text: &str) -> Plan {
    let graph = &model.graph;
    let costs = Costs::of_all(graph, &subject.coupling, &subject.extents);
    let before: Vec<usize> = subject.coupling.spans.leaves().iter().map(|leaf| leaf.extent).collect();
    let after: Vec<usize> = chosen.left.iter().map(Vec::len).collect();
    let along = costs.along(&before).into_iter().zip(costs.along(&after));
    let along: Vec<Shrinkage> = along.map(|(before, after)| Shrinkage::of(&before, &after)).collect();
    let total = Shrinkage::of(&costs.with(&before), &costs.with(&after));
    let leaves = subject.coupling.spans.leaves();
    let (mut groups, mut pinned) = (Vec::new(), Vec::new());
    for (id, leaf) in leaves.iter().enumerate() {
        let members = &subject.members[id];
        if members.is_empty() {
            continue;
        }
        let name = plan::name(graph, members);
        let members = plan::planned_members(graph, members);
        if chosen.left[id].len() < leaf.extent {
            let scores = chosen.scores[id].iter().map(|score| (score * 1e6).round() / 1e6).collect();
            let kept = chosen.left[id].clone();
            groups.push(PlannedGroup { id, name, channels: leaf.extent, kept, scores, cost: Some(along[id]), members });
        } else if leaf.extent > 1
            && !chosen.reasons[id].as_ref().is_some_and(|why| why.ends_with(WINDOW))
            && has_weights(graph, &subject.members[id])
        {
            let reason = chosen.reasons[id].clone().unwrap_or_else(|| "the limits leave it whole".to_owned());
            pinned.push(PinnedGroup { name, channels: leaf.extent, reason, members });
        }
    }
    pinned.extend(bodies::layers(graph));
    let (tensors, copies) = plan::tensors(graph, &subject.coupling, &chosen.left);
    let (pass, model) = (text.to_owned(), digest.to_owned());
    Plan {
        schema: SCHEMA,
        pass,
        model,
        through_norm: false,
        fitted_on: None,
        fitted: None,
        total: Some(total),
        groups,
        pinned,
        tensors,
        copies,
        biases: Vec::new(),
    }
}

/// Cuts what a plan says, out of the model that it is for.
///
/// # Errors
/// What is wrong with the plan, as messages say it.
pub(crate) fn apply_plan(planned: serde_json::Value, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), String> {
    let plan: Plan = serde_json::from_value(planned).map_err(|error| error.to_string())?;
    let digest = crate::digest::of(model);
    prepare(model, cx).map_err(|error| error.to_string())?;
    let norms = if plan.through_norm { Norms::Follow } else { Norms::Pin };
    let mut coupling = coupling_with(&model.graph, norms);
    let left = plan.left(&digest, &coupling).map_err(|error| error.to_string())?;
    let (tensors, _) = plan::tensors(&model.graph, &coupling, &left);
    plan.agrees(&tensors).map_err(|error| error.to_string())?;
    let source = same_samples(plan.fitted_on.as_deref(), cx).map_err(|error| error.to_string())?;
    let mut whole = model.clone();
    // Fitted biases belong to fitted weights, and both are made here.
    let fitted = source.map(|source| data::fit(&mut whole, &coupling, &left, source)).transpose();
    let fitted = fitted.map_err(|error| error.to_string())?;
    let biases = fitted.as_ref().unwrap_or(&plan.biases);
    compensate::apply(&mut whole, &mut coupling, biases).map_err(|error| error.to_string())?;
    if fitted.is_some() {
        plan.fits(&whole).map_err(|error| error.to_string())?;
    }
    let mut result = whole.clone();
    match cut::cut(&mut result, &coupling, &left).map_err(|error| error.to_string())? {
        Ok(()) => {
            cx.set_witness(mask::witness(&whole, &coupling, &left).map_err(|error| error.to_string())?);
            *model = result;
            cx.applied(PruneChannels::NAME, plan.groups.len());
            cx.set_plan(&plan);
            Ok(())
        }
        Err(Mismatch { node, reason }) => Err(format!("{}: {reason}", model.graph.describe(node))),
    }
}
