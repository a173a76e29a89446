//! The x of every point: straight lines first, then narrow, keeping the order of each layer.
//!
//! Brandes and Köpf, "Fast and simple horizontal coordinate assignment" (2001): four alignments of points with their
//! median neighbours (from above and from below, leaning left and leaning right), each as narrow as its blocks allow,
//! and of the four places of a point the mean of the middle two. The blocks are packed by longest path over the graph
//! of blocks, which needs none of the original's class shifts (and is not touched by the erratum of 2020 to them).

use super::order::{Link, Links, Order};
use super::rank::Ranks;

/// Room that a point takes left and right of its x.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extent {
    pub(super) left: f64,
    pub(super) right: f64,
}

/// Between two boxes, between two bends, between a box and a bend.
const BOX_GAP: f64 = 26.0;
const BEND_GAP: f64 = 10.0;
const MIXED_GAP: f64 = 14.0;

/// Where a segment leaves its upper and enters its lower point, from the x of each to the right. A line is straight
/// where these meet, so the original's equal x of aligned points is here one x of the joints.
#[derive(Debug, Clone, Copy)]
pub(super) struct Joint {
    pub(super) leaves: f64,
    pub(super) enters: f64,
}

/// The x of every point; the leftmost extent is at 0.
pub(super) fn align(ranks: &Ranks, links: &Links, order: &Order, extents: &[Extent], joints: &[Joint]) -> Vec<f64> {
    let crossed = crossed_by_trunks(ranks, links, order);
    let mut four: Vec<Vec<f64>> = Vec::with_capacity(4);
    for upward in [false, true] {
        for mirrored in [false, true] {
            let view = View { ranks, links, order, extents, joints, crossed: &crossed, upward, mirrored };
            four.push(view.coordinates());
        }
    }
    // Shift the left-leaning ones to the left edge, the right-leaning ones to the right edge, of the narrowest.
    let spans: Vec<(f64, f64)> = four.iter().map(|x| span(x, extents)).collect();
    let narrowest = spans.iter().copied().min_by(|a, b| (a.1 - a.0).total_cmp(&(b.1 - b.0))).unwrap_or((0.0, 0.0));
    for (index, (x, own)) in four.iter_mut().zip(&spans).enumerate() {
        let shift = if index % 2 == 0 { narrowest.0 - own.0 } else { narrowest.1 - own.1 };
        x.iter_mut().for_each(|x| *x += shift);
    }
    let mut middle: Vec<f64> = (0..extents.len())
        .map(|point| {
            let mut places = [four[0][point], four[1][point], four[2][point], four[3][point]];
            places.sort_by(f64::total_cmp);
            f64::midpoint(places[1], places[2])
        })
        .collect();
    pull_in(ranks, links, order, extents, joints, &mut middle);
    let (left, _) = span(&middle, extents);
    middle.iter_mut().for_each(|x| *x -= left);
    middle
}

/// From the leftmost to the rightmost extent; (0, 0) of nothing.
pub(super) fn span(x: &[f64], extents: &[Extent]) -> (f64, f64) {
    x.iter()
        .zip(extents)
        .map(|(x, e)| (x - e.left, x + e.right))
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
        .unwrap_or_default()
}

/// Moves long lines next to what they connect, as far as their neighbours leave room: the mean of the alignments keeps
/// a line around a column of boxes away from the column when lines further down push one of the alignments aside. A
/// line that can be straight from end to end is made straight.
fn pull_in(ranks: &Ranks, links: &Links, order: &Order, extents: &[Extent], joints: &[Joint], x: &mut [f64]) {
    // Twice, since a line may wait for the line beside it to give way.
    for trunk in ranks.trunks.iter().chain(ranks.trunks.iter().rev()) {
        let source = trunk.iter().take(1).flat_map(|bend| &links.up[*bend]);
        let source = source.map(|link| x[link.point] + joints[link.segment].leaves);
        let readers = trunk.iter().flat_map(|bend| &links.down[*bend]).filter(|link| !ranks.is_bend(link.point));
        let readers = readers.map(|link| x[link.point] + joints[link.segment].enters);
        let mut ends: Vec<f64> = source.chain(readers).collect();
        ends.sort_by(f64::total_cmp);
        let Some(target) = ends.get(ends.len() / 2).copied() else {
            continue;
        };
        let rooms: Vec<(f64, f64)> = trunk.iter().map(|bend| room(ranks, order, extents, x, *bend)).collect();
        let all =
            rooms.iter().fold((f64::NEG_INFINITY, f64::INFINITY), |all, room| (all.0.max(room.0), all.1.min(room.1)));
        if all.0 <= all.1 {
            trunk.iter().for_each(|bend| x[*bend] = target.clamp(all.0, all.1));
        }
    }
}

/// How far a point can go left and right before it meets its neighbours.
fn room(ranks: &Ranks, order: &Order, extents: &[Extent], x: &[f64], point: usize) -> (f64, f64) {
    let (layer, position) = (&order.layers[ranks.layer[point]], order.position[point]);
    let left = position.checked_sub(1).map(|before| layer[before]);
    let right = layer.get(position + 1).copied();
    (
        left.map_or(f64::NEG_INFINITY, |left| x[left] + distance(ranks, extents, left, point)),
        right.map_or(f64::INFINITY, |right| x[right] - distance(ranks, extents, point, right)),
    )
}

/// The least distance of a point from the point on its left.
fn distance(ranks: &Ranks, extents: &[Extent], left: usize, right: usize) -> f64 {
    let gap = match (ranks.is_bend(left), ranks.is_bend(right)) {
        (false, false) => BOX_GAP,
        (true, true) => BEND_GAP,
        _ => MIXED_GAP,
    };
    extents[left].right + gap + extents[right].left
}

/// Which segments cross a segment between two bends: those give way, so that long lines are straight.
fn crossed_by_trunks(ranks: &Ranks, links: &Links, order: &Order) -> Vec<bool> {
    let mut crossed = vec![false; ranks.segments.len()];
    let upper_bend = |point: usize| {
        let bend = |link: &&Link| ranks.is_bend(point) && ranks.is_bend(link.point);
        links.up[point].iter().find(bend).map(|link| order.position[link.point])
    };
    for pair in order.layers.windows(2) {
        let mut left = 0;
        let mut from = 0;
        for (place, point) in pair[1].iter().enumerate() {
            let trunk = upper_bend(*point);
            if trunk.is_none() && place + 1 < pair[1].len() {
                continue;
            }
            let right = trunk.unwrap_or(pair[0].len());
            for lower in &pair[1][from..=place] {
                for link in &links.up[*lower] {
                    let upper = order.position[link.point];
                    let inner = ranks.is_bend(*lower) && ranks.is_bend(link.point);
                    if !inner && (upper < left || upper > right) {
                        crossed[link.segment] = true;
                    }
                }
            }
            from = place + 1;
            left = right;
        }
    }
    crossed
}

/// One of the four ways to look at the layers.
struct View<'a> {
    ranks: &'a Ranks,
    links: &'a Links,
    order: &'a Order,
    extents: &'a [Extent],
    joints: &'a [Joint],
    crossed: &'a [bool],
    /// Align with the neighbours below instead of those above.
    upward: bool,
    /// Lean right instead of left.
    mirrored: bool,
}

impl View<'_> {
    fn position(&self, point: usize) -> usize {
        let position = self.order.position[point];
        if self.mirrored { self.order.layers[self.ranks.layer[point]].len() - 1 - position } else { position }
    }

    fn layers(&self) -> impl Iterator<Item = &Vec<usize>> {
        let count = self.order.layers.len();
        (0..count).map(move |i| &self.order.layers[if self.upward { count - 1 - i } else { i }])
    }

    fn points<'b>(&self, layer: &'b [usize]) -> impl Iterator<Item = usize> + use<'b> {
        let mirrored = self.mirrored;
        (0..layer.len()).map(move |i| layer[if mirrored { layer.len() - 1 - i } else { i }])
    }

    fn coordinates(&self) -> Vec<f64> {
        let (root, shift) = self.blocks();
        let x = self.pack(&root, &shift);
        if self.mirrored { x.into_iter().map(|x| -x).collect() } else { x }
    }

    /// For each point the first point of its block, and how far right of that point's x its own is.
    fn blocks(&self) -> (Vec<usize>, Vec<f64>) {
        let points = self.ranks.layer.len();
        let neighbours = if self.upward { &self.links.down } else { &self.links.up };
        let mut root: Vec<usize> = (0..points).collect();
        let mut shift = vec![0.0; points];
        let mut near: Vec<(usize, usize, usize)> = Vec::new();
        for layer in self.layers() {
            // Blocks must not cross: each goes on to the right of the one before.
            let mut free_from = 0;
            for point in self.points(layer) {
                near.clear();
                near.extend(neighbours[point].iter().map(|l| (self.position(l.point), l.point, l.segment)));
                near.sort_unstable();
                let Some(last) = near.len().checked_sub(1) else {
                    continue;
                };
                for middle in [last / 2, near.len() / 2] {
                    let (position, other, segment) = near[middle];
                    if !self.crossed[segment] && position >= free_from {
                        root[point] = root[other];
                        shift[point] = shift[other] + self.offset(segment);
                        free_from = position + 1;
                        break;
                    }
                }
            }
        }
        (root, shift)
    }

    /// How far right of the point before it a point is when the segment between them is straight.
    fn offset(&self, segment: usize) -> f64 {
        let Joint { leaves, enters } = self.joints[segment];
        let downward = leaves - enters;
        if self.upward == self.mirrored { downward } else { -downward }
    }

    fn gap(&self, a: usize, b: usize) -> f64 {
        let (left, right) = if self.mirrored { (b, a) } else { (a, b) };
        distance(self.ranks, self.extents, left, right)
    }

    /// The x of every point, all blocks as far left as they go, then those that touch nothing on their left pulled to
    /// what is on their right.
    fn pack(&self, root: &[usize], shift: &[f64]) -> Vec<f64> {
        let points = root.len();
        let mut right_of: Vec<Vec<(usize, f64)>> = vec![Vec::new(); points];
        let mut waiting = vec![0_usize; points];
        for layer in &self.order.layers {
            let mut before = None;
            for point in self.points(layer) {
                if let Some(before) = before.replace(point) {
                    let gap = self.gap(before, point) + shift[before] - shift[point];
                    right_of[root[before]].push((root[point], gap));
                    waiting[root[point]] += 1;
                }
            }
        }
        let mut ready: Vec<usize> = (0..points).filter(|p| root[*p] == *p && waiting[*p] == 0).collect();
        let mut x: Vec<f64> = waiting.iter().map(|before| if *before == 0 { 0.0 } else { f64::NEG_INFINITY }).collect();
        let mut next = 0;
        while next < ready.len() {
            let block = ready[next];
            for (other, gap) in &right_of[block] {
                x[*other] = x[*other].max(x[block] + gap);
                waiting[*other] -= 1;
                if waiting[*other] == 0 {
                    ready.push(*other);
                }
            }
            next += 1;
        }
        for block in ready.iter().rev() {
            let room = right_of[*block].iter().map(|(other, gap)| x[*other] - gap).reduce(f64::min);
            x[*block] = room.map_or(x[*block], |room| room.max(x[*block]));
        }
        (0..points).map(|point| x[root[point]] + shift[point]).collect()
    }
}
