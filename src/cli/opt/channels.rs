//! What a plan cut, group by group: read off the plan, for the table, the JSON and the page of a report.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::inspect::human;

/// Characters of a full bar.
const BAR: usize = 24;
/// Groups that are shown to people who did not ask for all.
const SHOWN: usize = 30;

/// The part of a plan that speaks of channels.
#[derive(Deserialize)]
struct Plan {
    groups: Vec<Group>,
    total: Option<Cost>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    channels: usize,
    kept: Vec<usize>,
    cost: Option<Cost>,
}

/// Before and after.
#[derive(Clone, Copy, Deserialize, Serialize)]
pub(super) struct Cost {
    pub(super) parameters: [u64; 2],
    pub(super) macs: [u64; 2],
    pub(super) bytes: [u64; 2],
}

/// A group that lost channels.
#[derive(Serialize)]
pub(super) struct Cut {
    pub(super) name: String,
    /// Before and after.
    pub(super) channels: [usize; 2],
    #[serde(flatten)]
    pub(super) cost: Option<Cost>,
}

/// What was cut.
#[derive(Serialize)]
pub(super) struct Cuts {
    pub(super) groups: Vec<Cut>,
    pub(super) total: Option<Cost>,
}

impl Cuts {
    /// Of a pass that planned to cut channels; `None` for all others.
    pub(super) fn of(plan: Option<&Value>) -> Option<Self> {
        let plan = Plan::deserialize(plan?).ok().filter(|plan| !plan.groups.is_empty())?;
        let cut =
            |group: Group| Cut { name: group.name, channels: [group.channels, group.kept.len()], cost: group.cost };
        Some(Self { groups: plan.groups.into_iter().map(cut).collect(), total: plan.total })
    }

    /// The widths as bars, a group a line.
    pub(super) fn chart(&self, all: bool) -> String {
        let shown = if all { self.groups.len() } else { SHOWN.min(self.groups.len()) };
        let widest = self.groups.iter().map(|cut| cut.channels[0]).max().unwrap_or(1).max(1);
        let mut lines: Vec<String> = self.groups[..shown].iter().map(|cut| line(cut, widest)).collect();
        if shown < self.groups.len() {
            lines.push(format!("  and {} groups more, which -v shows", self.groups.len() - shown));
        }
        lines.join("\n")
    }
}

fn line(cut: &Cut, widest: usize) -> String {
    let [before, after] = cut.channels;
    let cells = |count: usize| (count * BAR).div_ceil(widest);
    let (full, whole) = (cells(after), cells(before));
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(whole.saturating_sub(full)));
    let cost = cut.cost.map(|cost| {
        let [p, q] = cost.parameters.map(human);
        let [m, n] = cost.macs.map(human);
        format!("  parameters {p} → {q}, MACs {m} → {n}")
    });
    format!("  {bar:BAR$} {before:5} → {after:<5} {}{}", cut.name, cost.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_groups_are_wide() {
        let plan = serde_json::json!({"groups": [
            {"name": "a", "channels": 64, "kept": (0..32).collect::<Vec<_>>(),
             "cost": {"parameters": [6400, 1600], "macs": [1000, 250], "bytes": [4, 1]}},
            {"name": "b", "channels": 8, "kept": [0]}]});
        let cuts = Cuts::of(Some(&plan)).map(|cuts| cuts.chart(false)).unwrap_or_default();
        insta::assert_snapshot!(cuts, @"
        ████████████░░░░░░░░░░░░    64 → 32    a  parameters 6.40 k → 1.60 k, MACs 1.00 k → 250
        █░░                          8 → 1     b
        ");
        assert!(Cuts::of(Some(&serde_json::json!({"layers": []}))).is_none());
    }
}
