//! From options to a plan, from a plan to a smaller model.
//!
//! Whether every shape follows is known for sure only when the cut is made. A value whose shape does not gets its axes pinned,
//! and all begins anew; so the plan that comes out is one that works. Each round pins something, so it ends.

use onnxpress_ir::analysis::channels::{Coupling, SpanId};
use onnxpress_ir::{Edit, Model};
use onnxpress_ops::coupling::{Norms, coupling_with};
use onnxpress_ops::infer::Standard;

use super::bodies;
use super::compensate;
use super::cost::Costs;
use super::cut::{self, Left, Mismatch};
use super::data;
use super::mask;
use super::members::{Member, WINDOW, has_weights, members};
use super::options::{Compensate, PruneChannels, Scope};
use super::plan::{self, PinnedGroup, Plan, PlannedBias, PlannedGroup, SCHEMA, Shrinkage};
use super::score::{self, Criterion};
use super::select::{self, Group};
use crate::evidence::EvidenceSource;
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

/// The analysis of a model, and what follows from it for choosing.
struct Subject {
    coupling: Coupling,
    members: Vec<Vec<Member>>,
    /// By leaf: the names of its constants and of the nodes that read them.
    names: Vec<Vec<String>>,
    axes: Vec<SpanId>,
}

impl Subject {
    fn of(model: &Model, coupling: Coupling) -> Self {
        let graph = &model.graph;
        let members = members(graph, &coupling);
        let mut axes: Vec<SpanId> = coupling
            .values()
            .flat_map(|(_, axes)| axes.iter().copied())
            .chain(members.iter().flatten().filter_map(|member| {
                coupling.read(graph, member.reading).and_then(|axes| axes.get(member.axis)).copied()
            }))
            .map(|span| coupling.spans.representative(span))
            .collect();
        axes.sort_unstable();
        axes.dedup();
        let names = members.iter().map(|members| {
            let of = |member: &Member| {
                let node = graph.node(member.reading.node).and_then(|node| node.name.as_ref());
                [Some(graph.label(member.constant.port(0))), node.map(ToString::to_string)]
            };
            members.iter().flat_map(of).flatten().collect()
        });
        let names = names.collect();
        Self { coupling, members, names, axes }
    }
}

/// Which of the leaves may lose indices, and why the others may not.
fn eligible(options: &PruneChannels, subject: &Subject) -> Result<Vec<Option<String>>, PassError> {
    let (leaves, names) = (subject.coupling.spans.leaves(), &subject.names);
    let patterns = options.layers.iter().map(|own| &own.pattern);
    for pattern in options.include.iter().chain(&options.exclude).chain(patterns) {
        if !names.iter().flatten().any(|name| pattern.matches(name)) {
            return Err(PassError::Request(format!(
                "the pattern `{pattern}` matches no constant and no node with weights"
            )));
        }
    }
    let says = |patterns: &[crate::options::Pattern], names: &[String]| {
        patterns.iter().any(|pattern| names.iter().any(|name| pattern.matches(name)))
    };
    Ok(leaves
        .iter()
        .enumerate()
        .map(|(number, leaf)| match &leaf.pinned {
            Some(reason) => Some(reason.clone()),
            None if subject.members[number].is_empty() => Some("no constant has it".to_owned()),
            None if !options.include.is_empty() && !says(&options.include, &names[number]) => {
                Some("not among what `include` names".to_owned())
            }
            None if says(&options.exclude, &names[number]) => Some("`exclude` names it".to_owned()),
            None => None,
        })
        .collect())
}

/// A choice of what goes.
struct Chosen {
    left: Left,
    scores: Vec<Vec<f64>>,
    reasons: Vec<Option<String>>,
    /// How far the result is from the share that was asked for, where that is far.
    missed: Option<String>,
}

fn choose(
    options: &PruneChannels,
    model: &Model,
    subject: &Subject,
    source: Option<&dyn EvidenceSource>,
) -> Result<Chosen, PassError> {
    let coupling = &subject.coupling;
    let leaves = coupling.spans.leaves();
    let mut reasons = eligible(options, subject)?;
    let free: Vec<bool> = reasons.iter().map(Option::is_none).collect();
    let costs = Costs::of(&model.graph, coupling);
    let limits = options.limits();
    let whole: Vec<usize> = leaves.iter().map(|leaf| leaf.extent).collect();
    let saved = |wanted: &[usize]| {
        let mut left = whole.clone();
        for &leaf in wanted {
            left[leaf] -= (options.ratio.get() * left[leaf] as f64 + 1e-9).floor() as usize;
        }
        costs.with(&whole).params - costs.with(&left).params
    };
    for (reason, back) in reasons.iter_mut().zip(select::one_factor_each(coupling, &subject.axes, &free, saved)) {
        if reason.is_none() {
            *reason = back.map(str::to_owned);
        }
    }
    let active: Vec<bool> = reasons.iter().map(Option::is_none).collect();
    let (scoring, goal) = (options.scoring(), options.goal()?);
    let own: Vec<Option<f64>> = subject.names.iter().map(|names| own_ratio(options, names)).collect();
    let mut left: Left = whole.iter().map(|&extent| (0..extent).collect()).collect();
    let mut scores: Vec<Vec<f64>> = Vec::new();
    let worth = match source.filter(|_| options.criterion.needs_data()) {
        Some(source) => {
            let orders = options.criterion == Criterion::Hessian;
            let found = data::measured(model, coupling, &subject.members, &active, source, orders);
            Some(found.map_err(|error| PassError::Request(error.to_string()))?)
        }
        None => None,
    };
    let mut missed = None;
    for step in 1..=options.steps {
        let mut now = scoring.scores(&model.graph, coupling, &subject.members, &active, &left);
        if let Some(worth) = &worth {
            seen(options.criterion, worth, &mut now);
        }
        let groups = select::groups(coupling, &active, &now);
        let part = progress(step, options.steps);
        let left_at = |ratio: f64| {
            if let Some((quantity, _)) = goal.filter(|_| options.criterion == Criterion::Hessian) {
                let shared = select::shared_out(&groups, &now, &limits, ratio, |leaf| {
                    let mut less = whole.clone();
                    less[leaf] -= 1;
                    costs.with(&whole).of(quantity) - costs.with(&less).of(quantity)
                });
                return select::without(coupling, &subject.axes, &groups, &shared);
            }
            let wanted = Wanted { scope: options.scope, ratio, own: &own, part };
            select::without(coupling, &subject.axes, &groups, &wanted.numbers(&groups, &now, &limits))
        };
        left = match goal {
            None => left_at(options.ratio.get() * part),
            Some((quantity, share)) => {
                let count = |left: &Left| costs.with(&left.iter().map(Vec::len).collect::<Vec<_>>()).of(quantity);
                let whole = costs.with(&whole).of(quantity);
                let removed = |left: &Left| 1.0 - count(left) / whole.max(1.0);
                let most = removed(&left_at(1.0));
                // Between steps, near enough is good enough.
                if step == options.steps && most < share - 0.02 {
                    return Err(PassError::Request(format!(
                        "at most {:.1} % of the {quantity} can be removed within the limits, {:.1} % are asked for",
                        100.0 * most,
                        100.0 * share
                    )));
                }
                let left = searched(left_at, removed, share * part);
                let found = removed(&left);
                missed = ((found - share).abs() > 0.02).then(|| {
                    let (found, share) = (100.0 * found, 100.0 * share);
                    format!("{found:.1} % of the {quantity} are removed, and channels are too few to come nearer to {share:.1} %")
                });
                left
            }
        };
        // What goes has the score at which it went.
        match scores.is_empty() {
            true => scores = now,
            false => scores.iter_mut().zip(now).for_each(|(scores, now)| {
                let there = scores.iter_mut().zip(now).filter(|(_, now)| *now != score::GONE);
                there.for_each(|(score, now)| *score = now);
            }),
        }
    }
    Ok(Chosen { left, scores, reasons, missed })
}

/// Scores by what was seen on samples. For leaves that nobody reads whose rows can be seen, there is what weights say: of their squares
/// the share that has gone by then.
fn seen(criterion: Criterion, worth: &[Option<data::Worth>], scores: &mut [Vec<f64>]) {
    for (scores, worth) in scores.iter_mut().zip(worth) {
        match worth {
            Some(worth) if criterion == Criterion::Activation => scores.clone_from(&worth.activation),
            Some(worth) => scores.clone_from(&worth.lost),
            None if criterion == Criterion::Hessian => {
                let mut order: Vec<usize> = (0..scores.len()).collect();
                order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(a.cmp(&b)));
                let whole: f64 = scores.iter().map(|score| score * score).sum();
                let mut sum = 0.0;
                for index in order {
                    sum += scores[index] * scores[index];
                    scores[index] = if whole > 0.0 { sum / whole } else { 0.0 };
                }
            }
            None => {}
        }
    }
}

/// How much of the whole is to be gone after a step: much at first, little in the end.
///
/// Source: the cubic schedule of Zhu and Gupta, "To prune, or not to prune" (2017).
fn progress(step: usize, steps: usize) -> f64 {
    1.0 - (1.0 - step as f64 / steps as f64).powi(3)
}

/// What is left where a share of the model's cost is to go, found by bisection.
fn searched(left_at: impl Fn(f64) -> Left, removed: impl Fn(&Left) -> f64, share: f64) -> Left {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..24 {
        let middle = (low + high) / 2.0;
        if removed(&left_at(middle)) < share { low = middle } else { high = middle }
    }
    let near = |left: &Left| (removed(left) - share).abs();
    let ends = [left_at(low), left_at(high)];
    ends.into_iter().min_by(|a, b| near(a).total_cmp(&near(b))).unwrap_or_default()
}

/// The ratio that the request has for a leaf of these names alone.
fn own_ratio(options: &PruneChannels, names: &[String]) -> Option<f64> {
    let own = options.layers.iter().find(|own| names.iter().any(|name| own.pattern.matches(name)));
    own.map(|own| own.value.get())
}

/// How much is to go.
struct Wanted<'a> {
    scope: Scope,
    ratio: f64,
    /// By leaf: the ratio for it alone.
    own: &'a [Option<f64>],
    /// How much of that by now.
    part: f64,
}

impl Wanted<'_> {
    /// How many of each group go.
    fn numbers(&self, groups: &[Group], scores: &[Vec<f64>], limits: &select::Limits) -> Vec<usize> {
        let own = |group: &Group| group.leaves.iter().find_map(|&leaf| self.own[leaf]);
        let of = |ratio: f64, count: usize| (ratio * count as f64 + 1e-9).floor() as usize;
        let mut wanted = vec![0; groups.len()];
        if self.scope == Scope::Global {
            let mut all: Vec<(f64, usize)> = Vec::new();
            for (number, group) in groups.iter().enumerate().filter(|(_, group)| own(group).is_none()) {
                all.extend(group.ranked.iter().map(|&(leaf, index)| (scores[leaf][index], number)));
            }
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            all[..of(self.ratio, all.len())].iter().for_each(|&(_, number)| wanted[number] += 1);
        }
        let number = |(group, found): (&Group, usize)| {
            let wanted = match (own(group), self.scope) {
                (Some(ratio), _) => of(ratio * self.part, group.ranked.len()),
                (None, Scope::Group) => of(self.ratio, group.ranked.len()),
                (None, Scope::Global) => found,
            };
            group.within(wanted, limits)
        };
        groups.iter().zip(wanted).map(number).collect()
    }
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
    let mut subject = Subject::of(model, coupling_with(&model.graph, options.norms()));
    let mut wrong = Vec::new();
    for _ in 0..ROUNDS {
        let chosen = choose(options, model, &subject, source)?;
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
            plan.biases = fit(&mut whole, &subject.coupling, &chosen.left, source)?;
        } else if options.compensate != Compensate::Nothing {
            plan.biases = compensate::by_means(&model.graph, &subject.coupling, &chosen.left);
        }
        compensate::apply(&mut whole, &mut subject.coupling, &plan.biases)?;
        let mut result = whole.clone();
        match cut::cut(&mut result, &subject.coupling, &chosen.left)? {
            Ok(()) => {
                cx.set_witness(mask::witness(&whole, &subject.coupling, &chosen.left)?);
                *model = result;
                chosen.missed.into_iter().for_each(|missed| cx.notice(missed));
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

/// Fits the layers of a model to what it answers as it is; answers the biases that belong to the new weights.
fn fit(
    model: &mut Model,
    coupling: &Coupling,
    left: &Left,
    source: &dyn EvidenceSource,
) -> Result<Vec<PlannedBias>, PassError> {
    let masked = mask::witness(model, coupling, left)?;
    let found = data::repaired(model, &masked, coupling, left, source);
    let found = found.map_err(|error| PassError::Request(error.to_string()))?;
    let mut edit = Edit::new(&mut model.graph, &Standard, PruneChannels::NAME, &[]);
    for (weight, tensor) in found.weights {
        edit.set_constant(weight.node, tensor);
    }
    edit.commit();
    Ok(found.biases)
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
    let costs = Costs::of_all(graph, &subject.coupling);
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
    if let Some(source) = source {
        fit(&mut whole, &coupling, &left, source).map_err(|error| error.to_string())?;
    }
    compensate::apply(&mut whole, &mut coupling, &plan.biases).map_err(|error| error.to_string())?;
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
