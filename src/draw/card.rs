//! What stands in a box and how large the box must be: the same for the SVG picture and for Graphviz.

use std::collections::BTreeSet;

use super::nest::Value;
use super::route::LANDING_GAP;
use super::text_width::{Face, shorten, visible, width};
use super::{Drawing, Kind, Node};

/// Font size of the headline of a box.
pub(super) const HEADING: f64 = 13.0;
/// Font size of the detail lines of a box.
pub(super) const DETAIL: f64 = 11.0;
/// Font size of the types at lines.
pub(super) const TYPE: f64 = 10.0;
/// From one detail line to the next.
pub(super) const LINE_HEIGHT: f64 = 15.0;
/// From the top of a box to the base line of its headline.
pub(super) const HEADING_BASE: f64 = 18.0;
/// From a line to the type written at its right.
pub(super) const TYPE_OFFSET: f64 = 5.0;
/// Height of the strip under a box that holds the types of its outputs.
const TYPE_STRIP: f64 = 15.0;
/// Left and right of the text in a box.
const PADDING: f64 = 10.0;
/// The widest text in a box, and the widest type at a line. Half the names in real models are shorter than this.
const TEXT_ROOM: f64 = 250.0;
/// Detail lines beyond this many are counted only.
const DETAIL_LINES: usize = 7;
/// A node with more outputs than this shows their types in the tooltips only, unless they are all the same.
const TYPED_PORTS: usize = 6;
/// The least distance between the lines of outputs whose types are not shown.
const BARE_PORT: f64 = 12.0;
/// The least distance of a line from the corner of the box that it leaves.
const PORT_INSET: f64 = 8.0;
/// Lines arrive at a box this far from its corners, and not further from its middle than this unless there are many.
const CORNER: f64 = 12.0;
const LANDING: f64 = 70.0;
/// Bytes of a tooltip that are kept. Viewers show some hundreds.
const TOOLTIP: usize = 4000;

/// A box with its texts, already cut to size.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) heading: String,
    pub(super) lines: Vec<String>,
    /// The texts in full.
    pub(super) tooltip: String,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) ports: Vec<Port>,
    /// Half of the part of its top where lines may arrive.
    pub(super) landing: f64,
    /// What the box and the types under it need left and right of the middle of the box, and from its top downward.
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) depth: f64,
}

/// Where the line of a value leaves a box.
#[derive(Debug)]
pub(super) struct Port {
    /// Index of the value.
    pub(super) value: usize,
    /// From the middle of the box to the right.
    pub(super) dx: f64,
    /// The type to write at the line, already cut; empty for none.
    pub(super) label: String,
}

/// The headline and the lines of a node, cut to the room in a box.
pub(super) fn texts(node: &Node) -> (String, Vec<String>) {
    let heading = shorten(&visible(&node.label), TEXT_ROOM, HEADING, Face::Bold).into_owned();
    let shown = if node.detail.len() > DETAIL_LINES { DETAIL_LINES - 1 } else { node.detail.len() };
    let mut lines: Vec<String> = node.detail[..shown]
        .iter()
        .map(|line| shorten(&visible(line), TEXT_ROOM, DETAIL, Face::Regular).into_owned())
        .collect();
    if shown < node.detail.len() {
        lines.push(format!("… {} more", node.detail.len() - shown));
    }
    (heading, lines)
}

/// A type as written at a line.
pub(super) fn type_text(label: &str) -> String {
    shorten(&visible(label), TEXT_ROOM, TYPE, Face::Regular).into_owned()
}

/// The texts of a node in full, as far as a tooltip goes.
pub(super) fn tooltip(node: &Node) -> String {
    let mut text = String::new();
    for line in std::iter::once(&node.label).chain(&node.detail) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&visible(clip(line, TOOLTIP)));
        if text.len() >= TOOLTIP {
            let kept = clip(&text, TOOLTIP).len();
            text.truncate(kept);
            text.push('…');
            break;
        }
    }
    text
}

/// The longest prefix of at most `bytes` bytes that does not end inside a character.
fn clip(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The boxes of all nodes.
pub(super) fn cards(drawing: &Drawing, values: &[Value<'_>]) -> Vec<Card> {
    let mut outs: Vec<Vec<usize>> = vec![Vec::new(); drawing.nodes.len()];
    let mut reads = vec![0_usize; drawing.nodes.len()];
    for (index, value) in values.iter().enumerate() {
        outs[value.from].push(index);
        for reader in value.readers.iter().collect::<BTreeSet<_>>() {
            reads[*reader] += 1;
        }
    }
    let mut cards = Vec::with_capacity(drawing.nodes.len());
    for ((node, reads), mut outs) in drawing.nodes.iter().zip(reads).zip(outs) {
        outs.sort_by_key(|v| (values[*v].line, values[*v].port));
        cards.push(card(node, reads, &outs, values));
    }
    cards
}

/// The box of a node that reads `reads` values and gives those in `outs`.
fn card(node: &Node, reads: usize, outs: &[usize], values: &[Value<'_>]) -> Card {
    let (heading, lines) = texts(node);
    let widest = (lines.iter().map(|line| width(line, DETAIL, Face::Regular)))
        .fold(width(&heading, HEADING, Face::Bold), f64::max);
    // The rounded ends of inputs and outputs take from the room for text.
    let padding = if matches!(node.kind, Kind::Operator) { PADDING } else { PADDING + 6.0 };
    // Room for all lines that arrive, as long as they can be told apart in a box of bearable width.
    let arrivals = (LANDING_GAP * reads.saturating_sub(1) as f64).min(TEXT_ROOM);
    let mut width = (widest + 2.0 * padding).max(60.0).max(arrivals + 2.0 * CORNER);
    let (ports, left, right) = ports(outs, values, width);
    // The lines leave from the box, so it reaches to the last of them.
    for port in &ports {
        width = width.max(2.0 * (port.dx.abs() + PORT_INSET));
    }
    let height = HEADING_BASE + 8.0 + LINE_HEIGHT * lines.len() as f64;
    let typed = ports.iter().any(|port| !port.label.is_empty());
    Card {
        heading,
        lines,
        tooltip: tooltip(node),
        width,
        height,
        landing: (width / 2.0 - CORNER).min((arrivals / 2.0).max(LANDING)),
        ports,
        left: left.max(width / 2.0),
        right: right.max(width / 2.0),
        depth: height + if typed { TYPE_STRIP } else { 0.0 },
    }
}

/// The ports of a box of the given width, and what they and their types need left and right of its middle.
fn ports(outs: &[usize], values: &[Value<'_>], box_width: f64) -> (Vec<Port>, f64, f64) {
    let mut labels: Vec<String> = outs.iter().map(|v| type_text(values[*v].label)).collect();
    let Some(last) = labels.len().checked_sub(1) else {
        return (Vec::new(), 0.0, 0.0);
    };
    let same = last > 0 && labels.windows(2).all(|pair| pair[0] == pair[1]) && !labels[last].is_empty();
    if same {
        labels[last] = format!("each {}", labels[last]);
    }
    if same || labels.len() > TYPED_PORTS {
        let bare = if same { last } else { labels.len() };
        labels[..bare].fill(String::new());
    }
    // Lines without types spread over the box, lines with types keep room for those.
    let bare =
        if last == 0 { 0.0 } else { ((box_width - 2.0 * PORT_INSET) / last as f64).clamp(BARE_PORT, 4.0 * BARE_PORT) };
    let cells: Vec<f64> =
        (labels.iter()).map(|label| if label.is_empty() { bare } else { type_width(label) }).collect();
    let to_last: f64 = cells[..last].iter().sum();
    let mut dx = -to_last / 2.0;
    let (left, right) = (-dx, to_last / 2.0 + cells[last]);
    let mut ports = Vec::with_capacity(outs.len());
    for ((value, label), cell) in outs.iter().zip(labels).zip(&cells) {
        ports.push(Port { value: *value, dx, label });
        dx += cell;
    }
    (ports, left, right)
}

/// The room of a line with its type.
fn type_width(label: &str) -> f64 {
    TYPE_OFFSET + width(label, TYPE, Face::Regular) + TYPE_OFFSET
}
