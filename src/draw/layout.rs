//! The whole picture: levels from the inside out, each part of a level that hangs together on its own, then every box
//! and line at its place on the page.

use super::align::{Extent, Joint, align};
use super::card::Card;
use super::nest::{Item, Level, Nest, PLACES};
use super::order::{Links, order};
use super::rank::{Fan, Role, Segment, rank};
use super::route::{Ends, Piece, Sheet, Stroke, Track, route};
use super::text_width::{Face, width};
use super::{DrawError, Drawing};

/// A rectangle on the page.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Frame {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Everything at its place.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) height: f64,
    /// The boxes of the nodes.
    pub(super) nodes: Vec<Frame>,
    /// The frames of the clusters, and where on them the caption starts.
    pub(super) clusters: Vec<(Frame, f64)>,
    /// The line of each value.
    pub(super) tracks: Vec<Track>,
}

/// Font size of the caption of a cluster.
pub(super) const CAPTION: f64 = 12.0;
/// From the top of a cluster to the base line of its caption.
pub(super) const CAPTION_BASE: f64 = 16.0;
/// Left and right of a caption.
const CAPTION_SIDE: f64 = 8.0;
/// From the top of a cluster to what is inside it.
const CLUSTER_HEAD: f64 = 30.0;
/// From the other sides of a cluster to what is inside it.
const CLUSTER_PADDING: f64 = 16.0;
/// Between parts of a level that no line joins.
const PART_GAP: f64 = 40.0;
/// Parts are put in rows about this many times as wide as all rows are high.
const ROW_SHAPE: f64 = 1.6;
/// Half the room of a line that passes a layer.
const LINE_EXTENT: Extent = Extent { left: 3.0, right: 3.0 };

/// Lays out a drawing. `captions` are the clusters' captions as they are written.
///
/// # Errors
/// [`DrawError::TooLarge`]
pub(super) fn layout(
    drawing: &Drawing,
    nest: &Nest<'_>,
    cards: &[Card],
    captions: &[String],
) -> Result<Layout, DrawError> {
    let mut sheets: Vec<Sheet> = nest.levels.iter().map(|_| Sheet::default()).collect();
    let mut frames = Frames {
        cards,
        captions,
        nest,
        ports: vec![0.0; nest.values.len()],
        sizes: vec![(0.0, 0.0); captions.len()],
        caption_starts: vec![0.0; captions.len()],
    };
    for port in cards.iter().flat_map(|card| &card.ports) {
        frames.ports[port.value] = port.dx;
    }
    let mut places = PLACES;
    for level in &nest.innermost_first {
        let sheet = frames.arrange(*level, &sheets, &mut places).map_err(|e| match e {
            DrawError::TooLarge { limit, .. } => DrawError::TooLarge { nodes: drawing.nodes.len(), limit },
            other => other,
        })?;
        if let Some(cluster) = level.checked_sub(1) {
            frames.frame(cluster, &sheet);
        }
        sheets[*level] = sheet;
    }
    Ok(frames.assemble(&sheets))
}

/// What levels are made of.
struct Frames<'a> {
    cards: &'a [Card],
    captions: &'a [String],
    nest: &'a Nest<'a>,
    /// Where the line of each value leaves its node, from the middle of the box.
    ports: Vec<f64>,
    /// Width and height of the clusters laid out so far.
    sizes: Vec<(f64, f64)>,
    /// From the left of each of these to its caption.
    caption_starts: Vec<f64>,
}

impl Frames<'_> {
    /// Fits the frame of a cluster around what is inside it, with its caption free of the lines that come in at its
    /// top.
    fn frame(&mut self, cluster: usize, inside: &Sheet) {
        let caption = width(&self.captions[cluster], CAPTION, Face::Bold) + 2.0 * CAPTION_SIDE;
        let items = &self.nest.levels[cluster + 1].items;
        let entries = items.iter().zip(&inside.x).filter(|(item, _)| matches!(item, Item::Entry(_)));
        let mut entries: Vec<f64> = entries.map(|(_, x)| x + CLUSTER_PADDING).collect();
        entries.sort_by(f64::total_cmp);
        let wide = inside.width.max(40.0) + 2.0 * CLUSTER_PADDING;
        // Where the caption may start, and the line or side that it must end before.
        let starts = std::iter::once(0.0).chain(entries.iter().copied());
        let stops = entries.iter().copied().chain([wide]);
        let free = starts.zip(stops).find(|(start, stop)| stop - start >= caption).map(|(start, _)| start);
        let last = entries.last().copied().unwrap_or(0.0);
        let start = free.unwrap_or(last);
        self.sizes[cluster] = (wide.max(start + caption), CLUSTER_HEAD + inside.height + CLUSTER_PADDING);
        self.caption_starts[cluster] = start + CAPTION_SIDE;
    }

    /// Where the line of a value leaves a box, from the middle of the box.
    fn leaves(&self, item: Item, value: usize, sheets: &[Sheet]) -> f64 {
        match item {
            Item::Node(_) => self.ports[value],
            Item::Cluster(cluster) => self.gate(cluster, Item::Exit(value), sheets),
            Item::Entry(_) | Item::Exit(_) => 0.0,
        }
    }

    /// Where the line of a value enters a box, from the middle of the box; None where any place on its top will do.
    fn enters(&self, item: Item, value: usize, sheets: &[Sheet]) -> Option<f64> {
        match item {
            Item::Node(_) => None,
            Item::Cluster(cluster) => Some(self.gate(cluster, Item::Entry(value), sheets)),
            Item::Entry(_) | Item::Exit(_) => Some(0.0),
        }
    }

    fn gate(&self, cluster: usize, gate: Item, sheets: &[Sheet]) -> f64 {
        let inside = cluster + 1;
        CLUSTER_PADDING + sheets[inside].x[self.nest.places[&(inside, gate)]] - self.sizes[cluster].0 / 2.0
    }

    fn piece(&self, item: Item) -> Piece {
        match item {
            Item::Node(node) => {
                let card = &self.cards[node];
                Piece {
                    extent: Extent { left: card.left, right: card.right },
                    depth: card.depth,
                    height: card.height,
                    arrows: true,
                    landing: card.landing,
                }
            }
            Item::Cluster(cluster) => {
                let (wide, high) = self.sizes[cluster];
                let extent = Extent { left: wide / 2.0, right: wide / 2.0 };
                Piece { extent, depth: high, height: high, arrows: false, landing: 0.0 }
            }
            Item::Entry(_) | Item::Exit(_) => {
                Piece { extent: LINE_EXTENT, depth: 0.0, height: 0.0, arrows: false, landing: 0.0 }
            }
        }
    }

    /// Lays out one level, taking what it needs from `places`.
    fn arrange(&self, level: usize, sheets: &[Sheet], places: &mut usize) -> Result<Sheet, DrawError> {
        let level = &self.nest.levels[level];
        let mut page = Page::new(level);
        for part in parts(level) {
            let roles: Vec<Role> = part.items.iter().map(|item| role(level.items[*item])).collect();
            let pieces: Vec<Piece> = part.items.iter().map(|item| self.piece(level.items[*item])).collect();
            let mut ends = Ends::default();
            for (index, (wire, fan)) in part.wires.iter().map(|w| &level.wires[*w]).zip(&part.fans).enumerate() {
                ends.out.push(self.leaves(level.items[wire.source], wire.value, sheets));
                for (reader, local) in wire.readers.iter().zip(&fan.readers) {
                    if let Some(gate) = self.enters(level.items[*reader], wire.value, sheets) {
                        ends.gates.insert((index, *local), gate);
                    }
                }
            }
            page.put(&part, draw_part(&roles, &part.fans, &pieces, &ends, places)?);
        }
        Ok(page.finish())
    }

    /// Moves every level to its place on the page, from the outside in.
    fn assemble(&self, sheets: &[Sheet]) -> Layout {
        let mut layout = Layout {
            width: sheets[0].width,
            height: sheets[0].height,
            nodes: vec![Frame::default(); self.cards.len()],
            clusters: vec![(Frame::default(), 0.0); self.captions.len()],
            tracks: vec![Track::default(); self.nest.values.len()],
        };
        let mut origins = vec![(0.0, 0.0); sheets.len()];
        for index in self.nest.innermost_first.iter().rev() {
            let (level, sheet, (left, top)) = (&self.nest.levels[*index], &sheets[*index], origins[*index]);
            for ((item, x), y) in level.items.iter().zip(&sheet.x).zip(&sheet.y) {
                let (x, y) = (left + x, top + y);
                match *item {
                    Item::Node(node) => {
                        let Card { width, height, .. } = self.cards[node];
                        layout.nodes[node] = Frame { x: x - width / 2.0, y, width, height };
                    }
                    Item::Cluster(cluster) => {
                        let (width, height) = self.sizes[cluster];
                        let left = x - width / 2.0;
                        layout.clusters[cluster] =
                            (Frame { x: left, y, width, height }, left + self.caption_starts[cluster]);
                        origins[cluster + 1] = (left + CLUSTER_PADDING, y + CLUSTER_HEAD);
                    }
                    Item::Entry(value) => {
                        layout.tracks[value].strokes.push(straight(x, y - CLUSTER_HEAD, y));
                    }
                    Item::Exit(value) => {
                        layout.tracks[value].strokes.push(straight(x, y, y + CLUSTER_PADDING));
                    }
                }
            }
            for (wire, track) in level.wires.iter().zip(&sheet.tracks) {
                let whole = &mut layout.tracks[wire.value];
                whole.strokes.extend(track.strokes.iter().map(|stroke| stroke.moved(left, top)));
                whole.tips.extend(track.tips.iter().map(|(x, y)| (x + left, y + top)));
            }
        }
        layout
    }
}

fn straight(x: f64, y0: f64, y1: f64) -> Stroke {
    Stroke::Straight { x, y0, y1 }
}

fn role(item: Item) -> Role {
    match item {
        Item::Node(_) | Item::Cluster(_) => Role::Free,
        Item::Entry(_) => Role::Top,
        Item::Exit(_) => Role::Bottom,
    }
}

/// The five steps on what hangs together.
fn draw_part(
    roles: &[Role],
    fans: &[Fan],
    pieces: &[Piece],
    ends: &Ends,
    places: &mut usize,
) -> Result<Sheet, DrawError> {
    let ranks = rank(roles, fans, *places)?;
    *places -= ranks.layer.len();
    let share = |point: usize, offset: f64| match pieces.get(point) {
        Some(Piece { extent, .. }) => ((offset + extent.left) / (extent.left + extent.right)).clamp(0.0, 1.0),
        None => 0.5,
    };
    let joint = |segment: &Segment| Joint {
        leaves: if ranks.is_bend(segment.upper) { 0.0 } else { ends.out[segment.fan] },
        enters: ends.gates.get(&(segment.fan, segment.lower)).copied().unwrap_or(0.0),
    };
    let joints: Vec<Joint> = ranks.segments.iter().map(joint).collect();
    let shares: Vec<(f64, f64)> = (ranks.segments.iter().zip(&joints))
        .map(|(segment, joint)| (share(segment.upper, joint.leaves), share(segment.lower, joint.enters)))
        .collect();
    let links = Links::new(&ranks, &shares);
    let order = order(&ranks, &links);
    let mut extents: Vec<Extent> = pieces.iter().map(|piece| piece.extent).collect();
    extents.resize(ranks.layer.len(), LINE_EXTENT);
    let x = align(&ranks, &links, &order, &extents, &joints);
    Ok(route(&ranks, &x, &extents, pieces, ends))
}

/// Items that lines join, and the lines in terms of positions in `items`.
#[derive(Debug, Default)]
struct Part {
    items: Vec<usize>,
    wires: Vec<usize>,
    fans: Vec<Fan>,
}

/// The parts of a level that no line joins, in the order of their first items. A level with gates is one part, since
/// its gates belong at its top and bottom.
fn parts(level: &Level) -> Vec<Part> {
    let mut leader: Vec<usize> = (0..level.items.len()).collect();
    let mut join = |a: usize, b: usize| {
        let (a, b) = (find(&mut leader, a), find(&mut leader, b));
        leader[a.max(b)] = a.min(b);
    };
    if level.items.iter().any(|item| role(*item) != Role::Free) {
        (1..level.items.len()).for_each(|item| join(0, item));
    }
    for wire in &level.wires {
        wire.readers.iter().for_each(|reader| join(wire.source, *reader));
    }
    let mut part_of = vec![usize::MAX; level.items.len()];
    let mut position = vec![0; level.items.len()];
    let mut parts: Vec<Part> = Vec::new();
    for item in 0..level.items.len() {
        let first = find(&mut leader, item);
        if first == item {
            part_of[item] = parts.len();
            parts.push(Part::default());
        }
        part_of[item] = part_of[first];
        let part = &mut parts[part_of[item]];
        position[item] = part.items.len();
        part.items.push(item);
    }
    for (index, wire) in level.wires.iter().enumerate() {
        let part = &mut parts[part_of[wire.source]];
        part.wires.push(index);
        let readers = wire.readers.iter().map(|reader| position[*reader]).collect();
        part.fans.push(Fan { source: position[wire.source], readers });
    }
    parts
}

/// The first item of the part that an item belongs to so far.
fn find(leader: &mut [usize], mut item: usize) -> usize {
    while leader[item] != item {
        leader[item] = leader[leader[item]];
        item = leader[item];
    }
    item
}

/// Parts side by side in rows.
struct Page {
    whole: Sheet,
    done: Vec<(Vec<usize>, Vec<usize>, Sheet)>,
}

impl Page {
    fn new(level: &Level) -> Page {
        let mut whole = Sheet::default();
        whole.x.resize(level.items.len(), 0.0);
        whole.y.resize(level.items.len(), 0.0);
        whole.tracks.resize(level.wires.len(), Track::default());
        Page { whole, done: Vec::new() }
    }

    fn put(&mut self, part: &Part, sheet: Sheet) {
        self.done.push((part.items.clone(), part.wires.clone(), sheet));
    }

    fn finish(self) -> Sheet {
        let mut whole = self.whole;
        let area: f64 = self.done.iter().map(|(.., sheet)| (sheet.width + PART_GAP) * (sheet.height + PART_GAP)).sum();
        let widest = self.done.iter().map(|(.., sheet)| sheet.width).fold(0.0, f64::max);
        let row_width = (area * ROW_SHAPE).sqrt().max(widest);
        let (mut left, mut top, mut row_height) = (0.0_f64, 0.0, 0.0_f64);
        for (items, wires, sheet) in self.done {
            if left > 0.0 && left + sheet.width > row_width {
                top += row_height + PART_GAP;
                (left, row_height) = (0.0, 0.0);
            }
            for (item, (x, y)) in items.into_iter().zip(sheet.x.iter().zip(&sheet.y)) {
                (whole.x[item], whole.y[item]) = (left + x, top + y);
            }
            for (wire, mut track) in wires.into_iter().zip(sheet.tracks) {
                track.strokes.iter_mut().for_each(|stroke| *stroke = stroke.moved(left, top));
                track.tips.iter_mut().for_each(|(x, y)| (*x, *y) = (*x + left, *y + top));
                whole.tracks[wire] = track;
            }
            row_height = row_height.max(sheet.height);
            whole.width = whole.width.max(left + sheet.width);
            whole.height = whole.height.max(top + row_height);
            left += sheet.width + PART_GAP;
        }
        whole
    }
}
