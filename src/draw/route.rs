//! Lines: through each layer straight down, through the gap below it as a curve that starts and ends upright.
//!
//! Boxes lie inside layers and curves inside gaps, and within a layer a bend has room of its own, so no line runs
//! through a box or a type, whatever the graph.

use std::collections::BTreeMap;

use super::align::{Extent, span};
use super::rank::Ranks;

/// A part of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stroke {
    /// Upright from `y0` to `y1`.
    Straight { x: f64, y0: f64, y1: f64 },
    /// Upright at both ends.
    Curve { x0: f64, y0: f64, x1: f64, y1: f64 },
    /// A turn from `(x0, y)` to `(x1, y)`, below `y` where `reach` is positive, above where it is negative.
    Turn { x0: f64, x1: f64, y: f64, reach: f64 },
}

impl Stroke {
    /// The same stroke moved.
    pub(super) fn moved(self, dx: f64, dy: f64) -> Stroke {
        match self {
            Stroke::Straight { x, y0, y1 } => Stroke::Straight { x: x + dx, y0: y0 + dy, y1: y1 + dy },
            Stroke::Curve { x0, y0, x1, y1 } => Stroke::Curve { x0: x0 + dx, y0: y0 + dy, x1: x1 + dx, y1: y1 + dy },
            Stroke::Turn { x0, x1, y, reach } => Stroke::Turn { x0: x0 + dx, x1: x1 + dx, y: y + dy, reach },
        }
    }
}

/// The line of a value: its strokes, and the points where an arrow enters a box from above.
#[derive(Debug, Clone, Default)]
pub(super) struct Track {
    pub(super) strokes: Vec<Stroke>,
    pub(super) tips: Vec<(f64, f64)>,
}

/// A box as the layout sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) extent: Extent,
    /// From its top to the end of what belongs to it, types included.
    pub(super) depth: f64,
    /// From its top to where its lines leave.
    pub(super) height: f64,
    /// Whether lines end here with an arrow (a node) or go on inside (a cluster, a gate).
    pub(super) arrows: bool,
    /// Half of the part of its top where lines may arrive.
    pub(super) landing: f64,
}

/// Where lines meet boxes, as offsets from the middle of the box.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// For each fan where it leaves its source.
    pub(super) out: Vec<f64>,
    /// Where a fan must enter an item, by (fan, item); elsewhere it enters where the line is straightest.
    pub(super) gates: BTreeMap<(usize, usize), f64>,
}

/// Boxes and lines with coordinates, from (0, 0) to (`width`, `height`).
#[derive(Debug, Default)]
pub(super) struct Sheet {
    /// The middle of each item.
    pub(super) x: Vec<f64>,
    /// The top of each item.
    pub(super) y: Vec<f64>,
    pub(super) tracks: Vec<Track>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// The least gap between layers.
const GAP: f64 = 30.0;
/// A gap grows with the widest curve in it, so that curves are not flat, up to this.
const GAP_MAX: f64 = 130.0;
const GAP_SLOPE: f64 = 0.12;
/// The last bit of a gap, where lines are upright for their arrows.
pub(super) const RUN_IN: f64 = 9.0;
/// Length of an arrow.
pub(super) const ARROW: f64 = 6.0;
/// Between two lines that arrive at one box.
pub(super) const LANDING_GAP: f64 = 11.0;
/// How far the control points of a turn reach into a gap; the curve itself reaches three quarters of it.
const TURN: f64 = 24.0;

/// Gives layers their heights and draws the lines.
pub(super) fn route(ranks: &Ranks, x: &[f64], extents: &[Extent], pieces: &[Piece], ends: &Ends) -> Sheet {
    let fans = ends.out.len();
    let arrivals = Arrivals::new(ranks, x, pieces, ends);
    let leaves = |point: usize, fan: usize| {
        if ranks.is_bend(point) { x[point] } else { x[point] + ends.out[fan] }
    };

    let mut gaps = vec![GAP; ranks.layers];
    for (segment, arrival) in ranks.segments.iter().zip(&arrivals.segments) {
        let gap = &mut gaps[ranks.layer[segment.upper]];
        let across = (arrival - leaves(segment.upper, segment.fan)).abs();
        *gap = gap.max((GAP + GAP_SLOPE * across).min(GAP_MAX));
    }
    let mut depth = vec![0.0_f64; ranks.layers];
    for (piece, layer) in pieces.iter().zip(&ranks.layer) {
        depth[*layer] = depth[*layer].max(piece.depth);
    }
    let mut top = Vec::with_capacity(ranks.layers);
    let mut y = if ranks.climbs.is_empty() { 0.0 } else { GAP };
    for (depth, gap) in depth.iter().zip(&gaps) {
        top.push(y);
        y += depth + gap;
    }
    let bottom: Vec<f64> = top.iter().zip(&depth).map(|(top, depth)| top + depth).collect();
    let height = match bottom.last() {
        Some(last) => last + if ranks.climbs.is_empty() { 0.0 } else { GAP },
        None => 0.0,
    };
    // Boxes stand in the middle of their layer.
    let tops: Vec<f64> = (pieces.iter().zip(&ranks.layer))
        .map(|(piece, layer)| top[*layer] + (depth[*layer] - piece.depth) / 2.0)
        .collect();

    let mut tracks = vec![Track::default(); fans];
    let mut left_source = vec![false; fans];
    let mut leave = |track: &mut Track, fan: usize, item: usize| {
        if !std::mem::replace(&mut left_source[fan], true) {
            let (y0, y1) = (tops[item] + pieces[item].height, bottom[ranks.layer[item]]);
            track.strokes.push(Stroke::Straight { x: leaves(item, fan), y0, y1 });
        }
    };
    let arrive = |track: &mut Track, item: usize, x: f64| {
        let (y0, mut y1) = (top[ranks.layer[item]] - RUN_IN, tops[item]);
        if pieces[item].arrows {
            track.tips.push((x, y1));
            y1 -= ARROW;
        }
        track.strokes.push(Stroke::Straight { x, y0, y1 });
    };
    for (segment, arrival) in ranks.segments.iter().zip(&arrivals.segments) {
        let track = &mut tracks[segment.fan];
        if !ranks.is_bend(segment.upper) {
            leave(track, segment.fan, segment.upper);
        }
        let layer = ranks.layer[segment.lower];
        let (y0, y1) = (bottom[layer - 1], top[layer] - RUN_IN);
        track.strokes.push(Stroke::Curve { x0: leaves(segment.upper, segment.fan), y0, x1: *arrival, y1 });
        if ranks.is_bend(segment.lower) {
            track.strokes.push(Stroke::Straight { x: *arrival, y0: y1, y1: bottom[layer] });
        } else {
            arrive(track, segment.lower, *arrival);
        }
    }
    for (climb, arrival) in ranks.climbs.iter().zip(&arrivals.climbs) {
        let (Some(highest), Some(lowest)) = (climb.bends.first(), climb.bends.last()) else {
            continue;
        };
        let track = &mut tracks[climb.fan];
        leave(track, climb.fan, climb.source);
        let y = bottom[ranks.layer[climb.source]];
        track.strokes.push(Stroke::Turn { x0: leaves(climb.source, climb.fan), x1: x[*lowest], y, reach: TURN });
        let layer = ranks.layer[climb.reader];
        let y = top[layer] - RUN_IN;
        track.strokes.push(Stroke::Straight { x: x[*highest], y0: y, y1: bottom[layer] });
        track.strokes.push(Stroke::Turn { x0: x[*highest], x1: *arrival, y, reach: -TURN });
        arrive(track, climb.reader, *arrival);
    }
    let (left, right) = span(x, extents);
    Sheet { x: x[..ranks.items].to_vec(), y: tops, tracks, width: right - left, height }
}

/// Where each segment and each climb enters its lower point or its reader.
struct Arrivals {
    segments: Vec<f64>,
    climbs: Vec<f64>,
}

impl Arrivals {
    fn new(ranks: &Ranks, x: &[f64], pieces: &[Piece], ends: &Ends) -> Arrivals {
        #[derive(Clone, Copy)]
        enum Line {
            Segment(usize),
            Climb(usize),
        }
        let mut arrivals =
            Arrivals { segments: vec![0.0; ranks.segments.len()], climbs: vec![0.0; ranks.climbs.len()] };
        let mut landing: Vec<Vec<(f64, Line)>> = vec![Vec::new(); ranks.items];
        for (index, segment) in ranks.segments.iter().enumerate() {
            let from = match ranks.is_bend(segment.upper) {
                true => x[segment.upper],
                false => x[segment.upper] + ends.out[segment.fan],
            };
            arrivals.segments[index] = x[segment.lower];
            if let Some(gate) = ends.gates.get(&(segment.fan, segment.lower)) {
                arrivals.segments[index] += gate;
            } else if !ranks.is_bend(segment.lower) {
                landing[segment.lower].push((from, Line::Segment(index)));
            }
        }
        for (index, climb) in ranks.climbs.iter().enumerate() {
            let from = climb.bends.first().map_or(x[climb.reader], |bend| x[*bend]);
            match ends.gates.get(&(climb.fan, climb.reader)) {
                Some(gate) => arrivals.climbs[index] = x[climb.reader] + gate,
                None => landing[climb.reader].push((from, Line::Climb(index))),
            }
        }
        for (item, mut lines) in landing.into_iter().enumerate() {
            lines.sort_by(|a, b| a.0.total_cmp(&b.0));
            let wanted: Vec<f64> = lines.iter().map(|(from, _)| from - x[item]).collect();
            for ((_, line), offset) in lines.iter().zip(spread(&wanted, pieces[item].landing)) {
                match line {
                    Line::Segment(index) => arrivals.segments[*index] = x[item] + offset,
                    Line::Climb(index) => arrivals.climbs[*index] = x[item] + offset,
                }
            }
        }
        arrivals
    }
}

/// Ascending wishes moved into `-reach..=reach` and apart from each other, as little as need be.
fn spread(wanted: &[f64], reach: f64) -> Vec<f64> {
    let Some(last) = wanted.len().checked_sub(1) else {
        return Vec::new();
    };
    let gap = if last == 0 { 0.0 } else { LANDING_GAP.min(2.0 * reach / last as f64) };
    let mut placed: Vec<f64> = Vec::with_capacity(wanted.len());
    for want in wanted {
        let least = placed.last().map_or(-reach, |before| before + gap);
        placed.push(want.clamp(-reach, reach).max(least));
    }
    let mut most = reach;
    for place in placed.iter_mut().rev() {
        *place = place.min(most);
        most = *place - gap;
    }
    placed
}
