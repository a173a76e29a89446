//! Axes that are products of groups: heads and what is in them, groups and channels of each.
//!
//! To halve both factors of an axis is to leave a quarter of it, so unless that is asked for only one of them loses indices. What
//! is in heads is a group of its own: an index of it goes from all heads of a layer, and what scores are divided by stays.

use onnxpress_ir::analysis::channels::{Coupling, Made, SpanId};

crate::option_enum! {
    /// Which factors of an axis lose indices where it is a product of several groups.
    pub enum Factors {
        /// Of those that are rivals the one that saves more: heads most often.
        Best,
        /// The one that comes first in the axis: heads.
        Outer,
        /// The one that comes last: what is in heads.
        Inner,
        /// Each of them.
        All,
    }
}

/// Why a leaf stands back.
const REASON: &str = "another factor of the same axis is pruned";
/// So many times as much have rivals to save together for one leaf to stand back. Queries, keys and values have two groups within
/// heads, of which halves save as much as half of the heads do.
const BETTER: f64 = 1.0 + 1e-6;

/// Why leaves have to stand back so that others may lose indices which are factors of the same axis. Where factors compete, one stands
/// against all its rivals; `saved` tells how much the leaves of a list would save together.
pub(crate) fn standing_back(
    factors: Factors,
    coupling: &Coupling,
    axes: &[SpanId],
    free: &[bool],
    saved: impl Fn(&[usize]) -> f64,
) -> Vec<Option<&'static str>> {
    let mut rivals: Vec<Vec<usize>> = vec![Vec::new(); free.len()];
    // In how many axes a leaf comes before a rival, less those in which it comes after one.
    let mut before = vec![0i64; free.len()];
    let mut seen = std::collections::HashSet::new();
    let mut open: Vec<SpanId> = axes.to_vec();
    while let Some(span) = open.pop() {
        let span = coupling.spans.representative(span);
        if !seen.insert(span) {
            continue;
        }
        let parts = match coupling.spans.made(span) {
            Made::Leaf(_) => continue,
            Made::Sum(parts) => {
                open.extend(parts);
                continue;
            }
            Made::Product(parts) => parts,
        };
        open.extend(parts);
        let inside = |part: SpanId| {
            let mut leaves = Vec::new();
            coupling.spans.visit_leaves(part, &mut |leaf| leaves.push(leaf));
            leaves.retain(|&leaf| free[leaf]);
            leaves.sort_unstable();
            leaves.dedup();
            leaves
        };
        let parts: Vec<Vec<usize>> = parts.iter().map(|&part| inside(part)).collect();
        for (index, part) in parts.iter().enumerate() {
            for other in &parts[index + 1..] {
                for (&a, &b) in part.iter().flat_map(|a| other.iter().map(move |b| (a, b))).filter(|(a, b)| a != b) {
                    rivals[a].push(b);
                    rivals[b].push(a);
                    before[a] += 1;
                    before[b] -= 1;
                }
            }
        }
    }
    let mut order: Vec<(usize, f64)> = (0..free.len())
        .filter(|&leaf| free[leaf] && !rivals[leaf].is_empty())
        .map(|leaf| (leaf, saved(&[leaf])))
        .collect();
    let place = |leaf: usize| match factors {
        Factors::Best | Factors::All => 0,
        Factors::Outer => -before[leaf],
        Factors::Inner => before[leaf],
    };
    order.sort_by(|a, b| place(a.0).cmp(&place(b.0)).then(b.1.total_cmp(&a.1)).then(a.0.cmp(&b.0)));
    let mut standing_back = vec![None; free.len()];
    if factors == Factors::All {
        return standing_back;
    }
    for (leaf, alone) in order {
        if standing_back[leaf].is_some() {
            continue;
        }
        rivals[leaf].sort_unstable();
        rivals[leaf].dedup();
        rivals[leaf].retain(|&rival| standing_back[rival].is_none());
        if factors == Factors::Best && saved(&rivals[leaf]) > alone * BETTER {
            standing_back[leaf] = Some(REASON);
            continue;
        }
        for &rival in &rivals[leaf] {
            standing_back[rival] = Some(REASON);
        }
    }
    standing_back
}
