//! Which indices go: the least of each group, or of all groups, within the limits that were asked for.
//!
//! A group is a leaf of the coupling. Leaves of a single index, which come of axes that are taken apart index by index, form
//! groups by the axis that they were.

use std::collections::BTreeMap;

use onnxpress_ir::analysis::channels::{Coupling, SpanId};

use super::cut::Left;
use super::score::GONE;
use crate::allocation::{Choice, allocate};

/// The limits of a selection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The most of a group that may go.
    pub(crate) max_ratio: f64,
    /// What is left is a multiple of this.
    pub(crate) round_to: usize,
    /// At least so many are left.
    pub(crate) min_channels: usize,
}

/// Leaves that are ranked together.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// Numbers of the leaves.
    pub(crate) leaves: Vec<usize>,
    /// Leaf and index, those that matter least first.
    pub(crate) ranked: Vec<(usize, usize)>,
}

/// The groups of the leaves that may lose indices, with their indices ranked.
pub(crate) fn groups(coupling: &Coupling, active: &[bool], scores: &[Vec<f64>]) -> Vec<Group> {
    let mut by_key: BTreeMap<(bool, usize), Vec<usize>> = BTreeMap::new();
    for (number, leaf) in coupling.spans.leaves().iter().enumerate().filter(|(number, _)| active[*number]) {
        let key = if leaf.extent > 1 { (false, number) } else { (true, leaf.family as usize) };
        by_key.entry(key).or_default().push(number);
    }
    let mut groups: Vec<Group> = by_key
        .into_values()
        .map(|leaves| {
            let mut ranked: Vec<(usize, usize)> = leaves
                .iter()
                .flat_map(|&leaf| (0..coupling.spans.leaves()[leaf].extent).map(move |index| (leaf, index)))
                .collect();
            ranked.sort_by(|a, b| scores[a.0][a.1].total_cmp(&scores[b.0][b.1]).then(a.cmp(b)));
            Group { leaves, ranked }
        })
        .collect();
    groups.sort_by_key(|group| group.leaves[0]);
    groups
}

impl Group {
    /// How many of the group go where so many would, all limits kept.
    pub(crate) fn within(&self, wanted: usize, limits: &Limits) -> usize {
        let whole = self.ranked.len();
        let most = (limits.max_ratio * whole as f64 + 1e-9).floor() as usize;
        let least = limits.min_channels.max(1).min(whole);
        let left = whole - wanted.min(most).min(whole - least);
        let rounded = left.next_multiple_of(limits.round_to.max(1)).min(whole);
        whole - rounded
    }
}

/// How many of each group go where a share of all that the groups cost is to go, and scores say what is lost by the time an index has
/// gone, in what compares between groups. `unit` is what an index of a leaf costs.
pub(crate) fn shared_out(
    groups: &[Group],
    lost: &[Vec<f64>],
    limits: &Limits,
    share: f64,
    unit: impl Fn(usize) -> f64,
) -> Vec<usize> {
    let units: Vec<f64> = groups.iter().map(|group| unit(group.leaves[0])).collect();
    let curve = |(group, &unit): (&Group, &f64)| -> Vec<Choice> {
        let at = |count: usize| {
            let loss = count.checked_sub(1).map_or(0.0, |last| lost[group.ranked[last].0][group.ranked[last].1]);
            Choice { saved: count as f64 * unit, loss: loss.max(0.0) }
        };
        // What is gone stays gone.
        let gone = group.ranked.iter().take_while(|&&(leaf, index)| lost[leaf][index] == GONE).count();
        (gone..=group.ranked.len()).filter(|&count| group.within(count, limits) == count).map(at).collect()
    };
    let curves: Vec<Vec<Choice>> = groups.iter().zip(&units).map(curve).collect();
    let whole: f64 = groups.iter().zip(&units).map(|(group, unit)| group.ranked.len() as f64 * unit).sum();
    let picks = allocate(&curves, share * whole);
    let number = |((pick, curve), unit): ((usize, &Vec<Choice>), &f64)| {
        if *unit > 0.0 { (curve[pick].saved / unit).round() as usize } else { 0 }
    };
    picks.into_iter().zip(&curves).zip(&units).map(number).collect()
}

/// What is left when so many of each group go; no axis of any tensor is left without an index.
pub(crate) fn without(coupling: &Coupling, axes: &[SpanId], groups: &[Group], numbers: &[usize]) -> Left {
    let mut gone: Vec<Vec<bool>> = coupling.spans.leaves().iter().map(|leaf| vec![false; leaf.extent]).collect();
    for (group, &number) in groups.iter().zip(numbers) {
        for &(leaf, index) in &group.ranked[..number] {
            gone[leaf][index] = true;
        }
    }
    restore(coupling, axes, groups, &mut gone);
    gone.iter().map(|gone| (0..gone.len()).filter(|&index| !gone[index]).collect()).collect()
}

/// Gives axes that would be empty their best index back. Only leaves of a single index can be lost whole.
fn restore(coupling: &Coupling, axes: &[SpanId], groups: &[Group], gone: &mut [Vec<bool>]) {
    let mut counts: Vec<usize> = gone.iter().map(|gone| gone.iter().filter(|gone| !**gone).count()).collect();
    let mut rank = vec![None; gone.len()];
    for (place, &(leaf, _)) in groups.iter().flat_map(|group| group.ranked.iter().enumerate()) {
        rank[leaf] = Some(place);
    }
    if rank.iter().zip(&counts).all(|(rank, &count)| rank.is_none() || count > 0) {
        return;
    }
    for &axis in axes {
        while coupling.spans.extent(axis).is_some_and(|extent| extent > 0)
            && coupling.spans.is_free(axis)
            && coupling.spans.count(axis, &counts) == 0
        {
            let mut best: Option<(usize, usize)> = None;
            coupling.spans.visit_leaves(axis, &mut |leaf| {
                if let Some(rank) = rank[leaf].filter(|_| counts[leaf] == 0) {
                    best = best.max(Some((rank, leaf)));
                }
            });
            let Some((_, leaf)) = best else { break };
            gone[leaf].iter_mut().for_each(|gone| *gone = false);
            counts[leaf] = gone[leaf].len();
        }
    }
}
