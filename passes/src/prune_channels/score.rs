//! How much each index of each leaf matters, by the weights that would go with it.
//!
//! Every member of a leaf, that is, every axis of a weight along which it lies, gives its indices a score. Divided by their mean,
//! so that layers compare, the scores of all members are brought together.
//!
//! Sources: `l1`, `l2`: Li et al., "Pruning filters for efficient ConvNets" (2017). `bn-scale`: Liu et al., "Learning efficient
//! convolutional networks through network slimming" (2017). `fpgm`: He et al., "Filter pruning via geometric median" (2019).
//! `activation`, `hessian`, `taylor` and `fisher` are measured on samples, in `data`.

use std::collections::BTreeMap;

use onnxpress_ir::analysis::channels::Coupling;
use onnxpress_ir::{Graph, NodeId, Tensor};

use super::cut::slices::masked;
use super::cut::{Left, kept_of};
use super::data::Sensed;
use super::members::{Member, occurrences, operand, weights};

crate::option_enum! {
    /// By what channels are ranked.
    pub enum Criterion {
        /// Sum of magnitudes of the weights that go with the channel.
        L1,
        /// Root of the sum of their squares.
        L2,
        /// Drawn by lot, from the seed.
        Random,
        /// Magnitude of the scale that a batch normalization gives the channel; `l2` where there is none.
        BnScale,
        /// Sum of distances to the other filters: what lies in the middle of the others can be done without.
        Fpgm,
        /// Mean square of what the channel holds, on samples.
        Activation,
        /// What those who read the channel lose without it, on samples, once their other weights have made up for it; each next cost
        /// counts what is gone already.
        Hessian,
        /// On samples, the square of what weights times gradients add up to: what the answers lose without the channel, to a first
        /// approximation.
        Taylor,
        /// On samples, the sum of squares of weights times gradients: the information that is in the channel's weights.
        Fisher,
    }
}

crate::option_enum! {
    /// How the scores of all weights that lose a channel together become one.
    pub enum Aggregate {
        /// Their mean.
        Mean,
        /// The largest.
        Max,
        /// Their sum.
        Sum,
    }
}

crate::option_enum! {
    /// How scores are made to compare.
    pub enum Normalize {
        /// Those of each weight are divided by their mean.
        Mean,
        /// By the largest.
        Max,
        /// Not at all: large weights matter more.
        Nothing = "false",
        /// The square of each over the sum of squares of those of the group that are no less (Lee et al., 2021).
        Lamp,
    }
}

/// The score of what is gone already.
pub(crate) const GONE: f64 = -1.0;

/// How to score.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scoring {
    pub(crate) criterion: Criterion,
    pub(crate) aggregate: Aggregate,
    pub(crate) normalize: Normalize,
    pub(crate) seed: u64,
}

impl Criterion {
    /// Whether it takes samples.
    pub(crate) fn needs_data(self) -> bool {
        self.takes_gradients() || matches!(self, Self::Activation | Self::Hessian)
    }

    /// Whether gradients say it.
    pub(crate) fn takes_gradients(self) -> bool {
        matches!(self, Self::Taylor | Self::Fisher)
    }
}

impl Scoring {
    /// The score of every index of every leaf that `wanted` names, with no regard for what is not in `left`. Whatever is gone
    /// scores less than anything that is left. What gradients say counts for the weights that have some.
    pub(crate) fn scores(
        &self,
        graph: &Graph,
        coupling: &Coupling,
        members: &[Vec<Member>],
        wanted: &[bool],
        left: &Left,
        sensed: &Sensed,
    ) -> Vec<Vec<f64>> {
        let mut scores = self.of_all(graph, coupling, members, wanted, left, sensed);
        for (scores, kept) in scores.iter_mut().zip(left) {
            if kept.len() < scores.len() {
                let mut gone = vec![GONE; scores.len()];
                kept.iter().for_each(|&index| gone[index] = scores[index]);
                *scores = gone;
            }
        }
        scores
    }

    fn of_all(
        &self,
        graph: &Graph,
        coupling: &Coupling,
        members: &[Vec<Member>],
        wanted: &[bool],
        left: &Left,
        sensed: &Sensed,
    ) -> Vec<Vec<f64>> {
        let leaves = coupling.spans.leaves();
        if self.criterion == Criterion::Random {
            let draw = |(number, leaf): (usize, &onnxpress_ir::analysis::channels::Leaf)| {
                (0..leaf.extent).map(|index| drawn(self.seed, number as u64, index as u64)).collect()
            };
            return leaves.iter().enumerate().map(draw).collect();
        }
        let mut sums: Vec<Bundle> = leaves.iter().map(|leaf| Bundle::new(leaf.extent)).collect();
        let mut work: BTreeMap<(NodeId, usize), Vec<usize>> = BTreeMap::new();
        let mut readings = BTreeMap::new();
        for (leaf, members) in members.iter().enumerate().filter(|(leaf, _)| wanted[*leaf]) {
            let chosen = self.chosen(graph, members, sensed);
            for member in chosen {
                let leaves = work.entry((member.constant, member.axis)).or_default();
                if !leaves.contains(&leaf) {
                    leaves.push(leaf);
                }
                readings.entry((member.constant, member.axis)).or_insert(member.reading);
            }
        }
        for ((constant, axis), wanted) in work {
            let (Some(tensor), Some(reading)) = (graph.constant(constant.port(0)), readings.get(&(constant, axis)))
            else {
                continue;
            };
            let Some(axes) = coupling.read(graph, *reading) else { continue };
            let Some(&span) = axes.get(axis) else { continue };
            let by_index = match (sensed.along(constant, axis), kept_of(coupling, axes, left)) {
                (Some(worth), _) => worth.to_vec(),
                // What is gone is zero, and no filter's neighbour.
                (None, Some(kept)) => match masked(tensor, &kept, false) {
                    Ok(tensor) => self.along(&tensor, axis, kept[axis].as_deref()),
                    Err(_) => continue,
                },
                (None, None) => self.along(tensor, axis, None),
            };
            let mut parts: BTreeMap<usize, Vec<f64>> =
                wanted.iter().map(|&leaf| (leaf, vec![0.0; leaves[leaf].extent])).collect();
            for (at, leaf, index) in occurrences(coupling, span) {
                if let Some(part) = parts.get_mut(&leaf) {
                    part[index] += by_index[at];
                }
            }
            for (leaf, part) in parts {
                sums[leaf].add(self.finished(part), left[leaf].len(), self.aggregate, self.normalize);
            }
        }
        let settled = sums.into_iter().zip(left).map(|(bundle, left)| {
            let scores = bundle.settled(self.aggregate);
            if self.normalize == Normalize::Lamp { lamp(&scores, left) } else { scores }
        });
        settled.collect()
    }

    fn chosen<'m>(&self, graph: &Graph, members: &'m [Member], sensed: &Sensed) -> Vec<&'m Member> {
        let is_scale = |member: &&Member| {
            graph.node(member.reading.node).is_some_and(|node| node.is("BatchNormalization"))
                && operand(member) == Some(1)
        };
        match self.criterion {
            Criterion::BnScale => {
                let scales: Vec<&Member> = members.iter().filter(is_scale).collect();
                if scales.is_empty() { weights(graph, members) } else { scales }
            }
            _ => {
                let all = weights(graph, members);
                // Numbers of another kind would not compare.
                let sensed: Vec<&Member> =
                    all.iter().copied().filter(|member| sensed.along(member.constant, member.axis).is_some()).collect();
                if sensed.is_empty() { all } else { sensed }
            }
        }
    }

    /// What each index along an axis amounts to; sums of it over several axes make sense.
    fn along(&self, tensor: &Tensor, axis: usize, kept: Option<&[usize]>) -> Vec<f64> {
        let dims = tensor.dims();
        let (extent, inner) = (dims[axis], dims[axis + 1..].iter().product::<usize>());
        let squared = !matches!(self.criterion, Criterion::L1);
        let mut sums = vec![0.0; extent];
        if self.criterion == Criterion::Fpgm {
            return distances(tensor, axis, kept);
        }
        let mut add = |lanes: &mut dyn Iterator<Item = f64>| {
            for (index, amount) in lanes.enumerate() {
                sums[index % extent] += amount;
            }
        };
        match tensor.values::<f32>() {
            Ok(values) if inner > 0 => {
                let amount = |lane: &[f32]| -> f64 {
                    let sum: f32 = match squared {
                        true => lane.iter().map(|value| value * value).sum(),
                        false => lane.iter().map(|value| value.abs()).sum(),
                    };
                    f64::from(sum)
                };
                add(&mut values.chunks_exact(inner).map(amount));
            }
            _ => {
                let values = tensor.to_f64s().unwrap_or_default();
                let amount = |lane: &[f64]| -> f64 {
                    lane.iter().map(|value| if squared { value * value } else { value.abs() }).sum()
                };
                add(&mut values.chunks_exact(inner.max(1)).map(amount));
            }
        }
        sums
    }

    fn finished(&self, sums: Vec<f64>) -> Vec<f64> {
        match self.criterion {
            Criterion::L1 | Criterion::Fpgm | Criterion::Taylor | Criterion::Fisher => sums,
            _ => sums.into_iter().map(f64::sqrt).collect(),
        }
    }
}

/// The sum of Euclidean distances from each slice along an axis to all others.
fn distances(tensor: &Tensor, axis: usize, kept: Option<&[usize]>) -> Vec<f64> {
    let dims = tensor.dims();
    let (extent, inner) = (dims[axis], dims[axis + 1..].iter().product::<usize>());
    let values = tensor.to_f64s().unwrap_or_default();
    let mut rows: Vec<Vec<f32>> = vec![Vec::new(); extent];
    if inner > 0 {
        for (lane, values) in values.chunks_exact(inner).enumerate() {
            rows[lane % extent].extend(values.iter().map(|&value| value as f32));
        }
    }
    let mut sums = vec![0.0; extent];
    let all: Vec<usize> = (0..extent).collect();
    let there = kept.unwrap_or(&all);
    for (place, &a) in there.iter().enumerate() {
        for &b in &there[..place] {
            let square: f32 = rows[a].iter().zip(&rows[b]).map(|(x, y)| (x - y) * (x - y)).sum();
            let distance = f64::from(square).sqrt();
            sums[a] += distance;
            sums[b] += distance;
        }
    }
    sums
}

/// Scores of several members on their way to one.
struct Bundle {
    scores: Vec<f64>,
    members: usize,
}

impl Bundle {
    fn new(extent: usize) -> Self {
        Self { scores: vec![0.0; extent], members: 0 }
    }

    fn add(&mut self, part: Vec<f64>, left: usize, aggregate: Aggregate, normalize: Normalize) {
        let unit = match normalize {
            Normalize::Mean | Normalize::Lamp => part.iter().sum::<f64>() / left.max(1) as f64,
            Normalize::Max => part.iter().copied().fold(0.0, f64::max),
            Normalize::Nothing => 1.0,
        };
        let unit = if unit > 0.0 && unit.is_finite() { unit } else { 1.0 };
        for (score, value) in self.scores.iter_mut().zip(part) {
            let value = if value.is_finite() { value / unit } else { 0.0 };
            *score = if aggregate == Aggregate::Max { score.max(value) } else { *score + value };
        }
        self.members += 1;
    }

    fn settled(mut self, aggregate: Aggregate) -> Vec<f64> {
        if aggregate == Aggregate::Mean && self.members > 1 {
            self.scores.iter_mut().for_each(|score| *score /= self.members as f64);
        }
        self.scores
    }
}

/// The square of each score over the sum of squares of those that are no less.
///
/// Source: Lee et al., "Layer-adaptive sparsity for the magnitude-based pruning" (2021).
fn lamp(scores: &[f64], left: &[usize]) -> Vec<f64> {
    let mut order: Vec<usize> = left.to_vec();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(b.cmp(&a)));
    let mut sum = 0.0;
    let mut result = vec![0.0; scores.len()];
    for index in order {
        let square = scores[index] * scores[index];
        sum += square;
        result[index] = if sum > 0.0 { square / sum } else { 0.0 };
    }
    result
}

/// A number in [0, 1) that depends on nothing but these three. SplitMix64's finalizer (Steele, Lea, Flood, 2014).
fn drawn(seed: u64, leaf: u64, index: u64) -> f64 {
    let mut z = seed.wrapping_add(leaf.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(index.rotate_left(32));
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}
