//! The order of the points within each layer, so that few lines cross.
//!
//! Sweeps down and up; each puts the points of a layer in the order of the mean position of their neighbours in the
//! layer before (Sugiyama, Tagawa and Toda 1981), then swaps neighbours where that removes crossings (Gansner et al.
//! 1993). The best order seen is kept.

use super::rank::Ranks;

/// A line to a point of a neighbouring layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// The other point.
    pub(super) point: usize,
    /// Index of the segment.
    pub(super) segment: usize,
    /// Where on the other point the line ends, from 0 at its left to 1 at its right.
    pub(super) at: f64,
}

/// The lines of each point to the layer above and to the layer below.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) up: Vec<Vec<Link>>,
    pub(super) down: Vec<Vec<Link>>,
}

impl Links {
    /// `ends` says for each segment where it leaves its upper and enters its lower point, from 0 to 1.
    pub(super) fn new(ranks: &Ranks, ends: &[(f64, f64)]) -> Links {
        let mut links = Links { up: vec![Vec::new(); ranks.layer.len()], down: vec![Vec::new(); ranks.layer.len()] };
        for (segment, (s, (leaves, enters))) in ranks.segments.iter().zip(ends).enumerate() {
            links.down[s.upper].push(Link { point: s.lower, segment, at: *enters });
            links.up[s.lower].push(Link { point: s.upper, segment, at: *leaves });
        }
        links
    }
}

/// The points of each layer from left to right, and the position of each point in its layer.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) layers: Vec<Vec<usize>>,
    pub(super) position: Vec<usize>,
}

/// Steps along links that all sweeps together may take: a second or two at the most.
const EFFORT: usize = 40_000_000;
/// Sweeps without a better order after which the search ends.
const PATIENCE: usize = 6;

/// Orders the layers.
pub(super) fn order(ranks: &Ranks, links: &Links) -> Order {
    let mut current = Order::initial(ranks, links);
    let mut fewest = current.crossings(links);
    let mut best = current.clone();
    let sweeps = (EFFORT / (4 * (ranks.layer.len() + ranks.segments.len()) + 1)).clamp(4, 40);
    let mut stale = 0;
    for sweep in 0..sweeps {
        if fewest == 0 || stale == PATIENCE {
            break;
        }
        let downward = sweep % 2 == 0;
        // Every other pair of sweeps lets points of equal mean change places, which leads out of dead ends.
        current.sweep(links, downward, sweep % 4 >= 2);
        current.swap_neighbours(links);
        let crossings = current.crossings(links);
        if crossings < fewest {
            fewest = crossings;
            best = current.clone();
            stale = 0;
        } else {
            stale += 1;
        }
    }
    best
}

impl Order {
    /// Depth first along the lines, so that what belongs together starts side by side.
    fn initial(ranks: &Ranks, links: &Links) -> Order {
        let points = ranks.layer.len();
        let mut beside = vec![Vec::new(); ranks.items];
        for climb in &ranks.climbs {
            beside[climb.reader].extend(&climb.bends);
        }
        let mut roots: Vec<usize> = (0..points).collect();
        roots.sort_by_key(|point| ranks.layer[*point]);
        let mut layers = vec![Vec::new(); ranks.layers];
        let mut position = vec![usize::MAX; points];
        let mut open = Vec::new();
        for root in roots {
            open.push(root);
            while let Some(point) = open.pop() {
                if position[point] != usize::MAX {
                    continue;
                }
                let layer: &mut Vec<usize> = &mut layers[ranks.layer[point]];
                position[point] = layer.len();
                layer.push(point);
                open.extend(links.down[point].iter().rev().map(|link| link.point));
                if let Some(bends) = beside.get(point) {
                    open.extend(bends);
                }
            }
        }
        Order { layers, position }
    }

    fn sweep(&mut self, links: &Links, downward: bool, turn_ties: bool) {
        let count = self.layers.len();
        let neighbours = if downward { &links.up } else { &links.down };
        let mut means = Vec::new();
        for step in 1..count {
            let layer = if downward { step } else { count - 1 - step };
            means.clear();
            for point in &self.layers[layer] {
                let near = &neighbours[*point];
                if !near.is_empty() {
                    let sum: f64 = near.iter().map(|link| self.position[link.point] as f64 + link.at).sum();
                    means.push((sum / near.len() as f64, *point));
                }
            }
            if turn_ties {
                means.reverse();
            }
            means.sort_by(|a, b| a.0.total_cmp(&b.0));
            // Points without neighbours there stay where they are.
            let mut sorted = means.iter();
            for place in 0..self.layers[layer].len() {
                if neighbours[self.layers[layer][place]].is_empty() {
                    continue;
                }
                if let Some((_, point)) = sorted.next() {
                    self.layers[layer][place] = *point;
                    self.position[*point] = place;
                }
            }
        }
    }

    fn swap_neighbours(&mut self, links: &Links) {
        for layer in 0..self.layers.len() {
            for _ in 0..4 {
                let mut better = false;
                for place in 1..self.layers[layer].len() {
                    let (a, b) = (self.layers[layer][place - 1], self.layers[layer][place]);
                    if self.gain(links, a, b) > 0 {
                        self.layers[layer].swap(place - 1, place);
                        (self.position[a], self.position[b]) = (place, place - 1);
                        better = true;
                    }
                }
                if !better {
                    break;
                }
            }
        }
    }

    /// Crossings removed by swapping `a` with its right neighbour `b`.
    fn gain(&self, links: &Links, a: usize, b: usize) -> i64 {
        let mut gain = 0;
        for side in [&links.up, &links.down] {
            // Two wide fans side by side would make the pass quadratic; the sweeps order those well enough.
            if side[a].len() * side[b].len() > 400 {
                continue;
            }
            for left in &side[a] {
                for right in &side[b] {
                    let (left, right) = (self.position[left.point], self.position[right.point]);
                    gain += i64::from(left > right) - i64::from(left < right);
                }
            }
        }
        gain
    }

    /// How many pairs of lines cross (Barth, Mutzel and Jünger 2004).
    fn crossings(&self, links: &Links) -> usize {
        let mut crossings = 0;
        let mut ends = Vec::new();
        for pair in self.layers.windows(2) {
            let mut below = Counter::new(pair[1].len());
            let mut seen = 0;
            for point in &pair[0] {
                ends.clear();
                ends.extend(links.down[*point].iter().map(|link| self.position[link.point]));
                crossings += ends.iter().map(|end| seen - below.up_to(*end)).sum::<usize>();
                ends.iter().for_each(|end| below.add(*end));
                seen += ends.len();
            }
        }
        crossings
    }
}

/// Counts of positions with fast prefix sums (a Fenwick tree).
struct Counter(Vec<usize>);

impl Counter {
    fn new(positions: usize) -> Counter {
        Counter(vec![0; positions + 1])
    }

    fn add(&mut self, position: usize) {
        let mut i = position + 1;
        while i < self.0.len() {
            self.0[i] += 1;
            i += i & i.wrapping_neg();
        }
    }

    /// How many were added at `position` or to the left of it.
    fn up_to(&self, position: usize) -> usize {
        let mut i = position + 1;
        let mut sum = 0;
        while i > 0 {
            sum += self.0[i];
            i &= i - 1;
        }
        sum
    }
}
