//! Which indices of which leaves go: what may, how much each matters, and how many, so that what was asked for is met.

use onnxpress_ir::Model;
use onnxpress_ir::analysis::channels::{Coupling, SpanId};

use super::compensate;
use super::cost::{Costs, Quantity};
use super::cut::Left;
use super::data::{self, Sought};
use super::factors;
use super::mask;
use super::members::{Member, members};
use super::options::{PruneChannels, Scope};
use super::score::{self, Criterion};
use super::select::{self, Group};
use crate::evidence::{EvidenceSource, Extents};
use crate::pass::PassError;

/// The analysis of a model, and what follows from it for choosing.
pub(super) struct Subject {
    pub(super) coupling: Coupling,
    pub(super) members: Vec<Vec<Member>>,
    /// By leaf: the names of its constants and of the nodes that read them.
    names: Vec<Vec<String>>,
    axes: Vec<SpanId>,
    /// What open extents count as.
    pub(super) extents: Extents,
}

impl Subject {
    pub(super) fn of(model: &Model, coupling: Coupling, extents: Extents) -> Self {
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
        Self { coupling, members, names, axes, extents }
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
pub(super) struct Chosen {
    pub(super) left: Left,
    pub(super) scores: Vec<Vec<f64>>,
    pub(super) reasons: Vec<Option<String>>,
    /// What there is to say of the share that was asked for.
    pub(super) told: Option<String>,
}

pub(super) fn choose(
    options: &PruneChannels,
    model: &Model,
    subject: &Subject,
    source: Option<&dyn EvidenceSource>,
    fits: bool,
) -> Result<Chosen, PassError> {
    let coupling = &subject.coupling;
    let leaves = coupling.spans.leaves();
    let mut reasons = eligible(options, subject)?;
    let free: Vec<bool> = reasons.iter().map(Option::is_none).collect();
    let costs = Costs::of(&model.graph, coupling, &subject.extents);
    let limits = options.limits();
    let whole: Vec<usize> = leaves.iter().map(|leaf| leaf.extent).collect();
    let saved = |wanted: &[usize]| {
        let mut left = whole.clone();
        for &leaf in wanted {
            left[leaf] -= (options.ratio.get() * left[leaf] as f64 + 1e-9).floor() as usize;
        }
        costs.with(&whole).params - costs.with(&left).params
    };
    let standing_back = factors::standing_back(options.factors, coupling, &subject.axes, &free, saved);
    for (reason, back) in reasons.iter_mut().zip(standing_back) {
        if reason.is_none() {
            *reason = back.map(str::to_owned);
        }
    }
    let active: Vec<bool> = reasons.iter().map(Option::is_none).collect();
    let (scoring, goal) = (options.scoring(), options.goal()?);
    let own: Vec<Option<f64>> = subject.names.iter().map(|names| own_ratio(options, names)).collect();
    let mut left: Left = whole.iter().map(|&extent| (0..extent).collect()).collect();
    let mut scores: Vec<Vec<f64>> = Vec::new();
    let mut told = None;
    for step in 1..=options.steps {
        let source = source.filter(|_| options.criterion.needs_data());
        // What is seen later is seen without what is gone.
        let so_far = match (step, source) {
            (2.., Some(source)) => Some(without(model, coupling, &left, source, fits)?),
            _ => None,
        };
        let so_far = so_far.as_ref().unwrap_or(model);
        let sensed = match source.filter(|_| options.criterion.takes_gradients()) {
            Some(source) => data::sensed(so_far, &subject.members, &active, source, options.criterion)?,
            None => data::Sensed::default(),
        };
        let mut now = scoring.scores(&model.graph, coupling, &subject.members, &active, &left, &sensed);
        if let Some(source) = source.filter(|_| !options.criterion.takes_gradients()) {
            let sought = match (options.criterion, goal, options.scope) {
                (Criterion::Hessian, None, Scope::Group) => Sought::Order,
                (Criterion::Hessian, ..) => Sought::Loss { macs: costs.with(&whole).macs },
                _ => Sought::Activation,
            };
            let worth = data::measured(so_far, coupling, &subject.members, &active, source, sought);
            let worth = worth.map_err(|error| PassError::Request(error.to_string()))?;
            seen(options.criterion, &worth, &mut now);
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
                let percent = format!("{:.1} % of the {quantity} are removed", 100.0 * found);
                told = if (found - share).abs() > 0.02 {
                    Some(format!("{percent}, and channels are too few to come nearer to {:.1} %", 100.0 * share))
                } else {
                    // Reports count open extents as one.
                    match quantity == Quantity::Macs {
                        true if subject.extents.are_seen() => {
                            Some(format!("{percent} where open extents are those of the samples"))
                        }
                        true => subject.extents.untold(&model.graph),
                        false => None,
                    }
                };
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
    Ok(Chosen { left, scores, reasons, told })
}

/// Scores by what was seen on samples. For leaves that nobody reads whose rows can be seen, there is what weights say: of their squares
/// the share that has gone by then.
fn seen(criterion: Criterion, worth: &[Option<data::Worth>], scores: &mut [Vec<f64>]) {
    for (scores, worth) in scores.iter_mut().zip(worth) {
        let gone: Vec<usize> = (0..scores.len()).filter(|&index| scores[index] == score::GONE).collect();
        match worth {
            Some(worth) if criterion == Criterion::Activation => scores.clone_from(&worth.activation),
            Some(worth) => scores.clone_from(&worth.lost),
            None if criterion == Criterion::Hessian => {
                let mut order: Vec<usize> = (0..scores.len()).filter(|index| !gone.contains(index)).collect();
                order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(a.cmp(&b)));
                let whole: f64 = order.iter().map(|&index| scores[index] * scores[index]).sum();
                let mut sum = 0.0;
                for index in order {
                    sum += scores[index] * scores[index];
                    scores[index] = if whole > 0.0 { sum / whole } else { 0.0 };
                }
            }
            None => {}
        }
        gone.into_iter().for_each(|index| scores[index] = score::GONE);
    }
}

/// The model without what is not left, its layers fitted to samples where that is asked for.
fn without(
    model: &Model,
    coupling: &Coupling,
    left: &Left,
    source: &dyn EvidenceSource,
    fits: bool,
) -> Result<Model, PassError> {
    let (mut whole, mut coupling) = (model.clone(), coupling.clone());
    if fits {
        let biases = data::fit(&mut whole, &coupling, left, source)?;
        compensate::apply(&mut whole, &mut coupling, &biases)?;
    }
    mask::witness(&whole, &coupling, left)
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
