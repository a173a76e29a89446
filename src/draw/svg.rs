//! The picture as SVG.

use std::fmt::Write;

use super::card::{self, Card, DETAIL, HEADING, HEADING_BASE, LINE_HEIGHT, TYPE, TYPE_OFFSET};
use super::layout::{CAPTION, CAPTION_BASE, Frame, Layout, layout};
use super::nest::{Value, split};
use super::route::{ARROW, Stroke, Track};
use super::text_width::{Face, shorten, visible, width};
use super::{DrawError, Drawing, Family, Kind, Line};

/// Around the picture.
const MARGIN: f64 = 24.0;
/// Font size of the headline of the picture.
const TITLE: f64 = 18.0;
/// The headline is at most this wide, and the legend fills a row up to it, or up to the picture's width where that is
/// more.
const HEAD_WIDTH: f64 = 560.0;
/// Font size, row height and swatch of the legend.
const LEGEND: f64 = 11.0;
const LEGEND_ROW: f64 = 20.0;
const SWATCH: f64 = 12.0;
/// The widest caption of a cluster.
const CAPTION_ROOM: f64 = 300.0;

/// See [`Drawing::to_svg`].
pub(super) fn write(drawing: &Drawing) -> Result<String, DrawError> {
    let nest = split(drawing)?;
    let cards = card::cards(drawing, &nest.values);
    let captions: Vec<String> = drawing.clusters.iter().map(|c| caption(&c.label)).collect();
    let layout = layout(drawing, &nest, &cards, &captions)?;
    let head = Head::new(drawing, layout.width);
    let (wide, high) = (layout.width.max(head.width) + 2.0 * MARGIN, layout.height + head.height + 2.0 * MARGIN);

    let mut out = Svg(String::new());
    out.line(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\">",
        w = Num(wide),
        h = Num(high),
    ));
    out.line(format_args!("<title>{}</title>", Xml(&visible(&drawing.title))));
    out.style(&head.families);
    out.line(format_args!("<rect class=\"page\" width=\"{}\" height=\"{}\"/>", Num(wide), Num(high)));
    out.head(&head);
    // The picture stands in the middle under a wider legend.
    let left = MARGIN + (wide - 2.0 * MARGIN - layout.width) / 2.0;
    out.line(format_args!("<g transform=\"translate({} {})\">", Num(left), Num(MARGIN + head.height)));
    out.clusters(drawing, &layout, &nest.innermost_first, &captions);
    for (value, track) in nest.values.iter().zip(&layout.tracks) {
        out.track(drawing, value, track);
    }
    for ((node, card), frame) in drawing.nodes.iter().zip(&cards).zip(&layout.nodes) {
        out.node(node.kind, node.family, card, *frame);
    }
    out.line(format_args!("</g>\n</svg>"));
    Ok(out.0)
}

fn caption(label: &str) -> String {
    shorten(&visible(label), CAPTION_ROOM, CAPTION, Face::Bold).into_owned()
}

/// The headline and the legend.
struct Head {
    title: String,
    /// The families that occur, with the place of each in the legend.
    families: Vec<Family>,
    places: Vec<(f64, f64)>,
    width: f64,
    height: f64,
}

impl Head {
    fn new(drawing: &Drawing, picture: f64) -> Head {
        let room = picture.max(HEAD_WIDTH);
        let title = shorten(&visible(&drawing.title), room, TITLE, Face::Bold).into_owned();
        let mut head =
            Head { width: width(&title, TITLE, Face::Bold), title, families: vec![], places: vec![], height: 0.0 };
        if !head.title.is_empty() {
            head.height += TITLE + 10.0;
        }
        let mut x = 0.0;
        for family in Family::ALL.into_iter().chain((0..Family::SETS).map(Family::Set)) {
            if !drawing.nodes.iter().any(|node| node.family == family) {
                continue;
            }
            // One entry says what all sets are.
            if matches!(family, Family::Set(_)) && head.families.iter().any(|other| matches!(other, Family::Set(_))) {
                head.families.push(family);
                continue;
            }
            let entry = SWATCH + 5.0 + width(family.caption(), LEGEND, Face::Regular);
            if x > 0.0 && x + entry > room {
                (x, head.height) = (0.0, head.height + LEGEND_ROW);
            }
            head.families.push(family);
            head.places.push((x, head.height));
            head.width = head.width.max(x + entry);
            x += entry + 16.0;
        }
        if !head.families.is_empty() {
            head.height += LEGEND_ROW;
        }
        if head.height > 0.0 {
            head.height += 12.0;
        }
        head
    }
}

/// The text of the picture so far.
struct Svg(String);

impl Svg {
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a String takes what it is given");
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        self.put(text);
        self.0.push('\n');
    }

    fn style(&mut self, families: &[Family]) {
        self.line(format_args!(
            "<style>\n\
             text{{font-family:Arial,Helvetica,'Liberation Sans','DejaVu Sans',sans-serif;fill:#1b2430}}\n\
             .title{{font-size:{TITLE}px;font-weight:bold}}\n\
             .key{{font-size:{LEGEND}px}}\n\
             .name{{font-size:{HEADING}px;font-weight:bold;text-anchor:middle}}\n\
             .more{{font-size:{DETAIL}px;text-anchor:middle}}\n\
             .type{{font-size:{TYPE}px;fill:#55606d}}\n\
             .caption{{font-size:{CAPTION}px;font-weight:bold;fill:#55606d}}\n\
             .page{{fill:#ffffff}}\n\
             .frame{{fill:#7f8fa3;fill-opacity:.08;stroke:#7f8fa3;stroke-dasharray:6 4}}\n\
             .edge{{fill:none;stroke:#7b8794;stroke-width:1.3}}\n\
             .dashed{{stroke-dasharray:4 4}}\n\
             .tip{{fill:#7b8794}}\n\
             g:hover>.edge{{stroke:#d2451e;stroke-width:2.4}}\n\
             g:hover>.tip{{fill:#d2451e}}"
        ));
        for family in families {
            let c = family.colours();
            self.line(format_args!(".{}{{fill:{};stroke:{}}}", family.class(), c.light_fill, c.light_line));
        }
        self.line(format_args!(
            "@media (prefers-color-scheme:dark){{\n\
             text{{fill:#e8edf2}}\n\
             .type,.caption{{fill:#a9b4c0}}\n\
             .page{{fill:#14181d}}\n\
             .edge{{stroke:#8793a0}}\n\
             .tip{{fill:#8793a0}}"
        ));
        for family in families {
            let c = family.colours();
            self.line(format_args!(".{}{{fill:{};stroke:{}}}", family.class(), c.dark_fill, c.dark_line));
        }
        self.line(format_args!("}}\n</style>"));
    }

    fn head(&mut self, head: &Head) {
        if !head.title.is_empty() {
            let (x, y) = (Num(MARGIN), Num(MARGIN + TITLE - 3.0));
            self.line(format_args!("<text class=\"title\" x=\"{x}\" y=\"{y}\">{}</text>", Xml(&head.title)));
        }
        for (family, (x, y)) in head.families.iter().zip(&head.places) {
            let (x, y) = (MARGIN + x, MARGIN + y);
            self.line(format_args!(
                "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{SWATCH}\" height=\"{SWATCH}\" rx=\"3\"/>\
                 <text class=\"key\" x=\"{}\" y=\"{}\">{}</text>",
                family.class(),
                Num(x),
                Num(y),
                Num(x + SWATCH + 5.0),
                Num(y + SWATCH - 2.0),
                family.caption(),
            ));
        }
    }

    fn clusters(&mut self, drawing: &Drawing, layout: &Layout, innermost_first: &[usize], captions: &[String]) {
        for cluster in innermost_first.iter().rev().filter_map(|level| level.checked_sub(1)) {
            let (frame, caption) = layout.clusters[cluster];
            self.line(format_args!(
                "<g><title>{}</title>\
                 <rect class=\"frame\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"10\"/>\
                 <text class=\"caption\" x=\"{}\" y=\"{}\">{}</text></g>",
                Xml(&visible(&drawing.clusters[cluster].label)),
                Num(frame.x),
                Num(frame.y),
                Num(frame.width),
                Num(frame.height),
                Num(caption),
                Num(frame.y + CAPTION_BASE),
                Xml(&captions[cluster]),
            ));
        }
    }

    fn track(&mut self, drawing: &Drawing, value: &Value<'_>, track: &Track) {
        let dashed = if value.line == Line::Dashed { " dashed" } else { "" };
        self.put(format_args!("<g><title>{}</title><path class=\"edge{dashed}\" d=\"", Xml(&reads(drawing, value))));
        let mut at = None;
        for stroke in &track.strokes {
            at = Some(self.stroke(*stroke, at));
        }
        self.put(format_args!("\"/>"));
        if !track.tips.is_empty() {
            self.put(format_args!("<path class=\"tip\" d=\""));
            for (x, y) in &track.tips {
                self.put(format_args!("M{} {}l-3.5 -{ARROW}h7z", Num(*x), Num(*y)));
            }
            self.put(format_args!("\"/>"));
        }
        self.line(format_args!("</g>"));
    }

    /// Writes a stroke, starting from where the pen is if it starts there; gives where the pen is then.
    fn stroke(&mut self, stroke: Stroke, at: Option<(f64, f64)>) -> (f64, f64) {
        let (from, to) = match stroke {
            Stroke::Straight { x, y0, y1 } => ((x, y0), (x, y1)),
            Stroke::Curve { x0, y0, x1, y1 } => ((x0, y0), (x1, y1)),
            Stroke::Turn { x0, x1, y, .. } => ((x0, y), (x1, y)),
        };
        let bare = matches!(stroke, Stroke::Straight { y0, y1, .. } if Num(y0).tenths() == Num(y1).tenths());
        if bare && at == Some(from) {
            return to;
        }
        if at != Some(from) {
            self.put(format_args!("M{} {}", Num(from.0), Num(from.1)));
        }
        match stroke {
            Stroke::Straight { y1, .. } => self.put(format_args!("V{}", Num(y1))),
            Stroke::Curve { x0, x1, y1, .. } if Num(x0).tenths() == Num(x1).tenths() => {
                self.put(format_args!("V{}", Num(y1)))
            }
            Stroke::Curve { x0, y0, x1, y1 } => {
                let bend = (y1 - y0) * 0.55;
                let (a, b) = (Num(y0 + bend), Num(y1 - bend));
                self.put(format_args!("C{} {a} {} {b} {} {}", Num(x0), Num(x1), Num(x1), Num(y1)));
            }
            Stroke::Turn { x0, x1, y, reach } => {
                let reach = Num(y + reach);
                self.put(format_args!("C{} {reach} {} {reach} {} {}", Num(x0), Num(x1), Num(x1), Num(y)));
            }
        }
        to
    }

    fn node(&mut self, kind: Kind, family: Family, card: &Card, frame: Frame) {
        let rounding = match kind {
            Kind::Input | Kind::Output => frame.height / 2.0,
            Kind::Operator => 6.0,
            Kind::Constant => 0.0,
        };
        let middle = frame.x + frame.width / 2.0;
        self.put(format_args!(
            "<g><title>{}</title><rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{}\"/>",
            Xml(&card.tooltip),
            family.class(),
            Num(frame.x),
            Num(frame.y),
            Num(frame.width),
            Num(frame.height),
            Num(rounding.min(18.0)),
        ));
        let mut y = frame.y + HEADING_BASE;
        self.put(format_args!(
            "<text class=\"name\" x=\"{}\" y=\"{}\">{}</text>",
            Num(middle),
            Num(y),
            Xml(&card.heading)
        ));
        for line in &card.lines {
            y += LINE_HEIGHT;
            self.put(format_args!("<text class=\"more\" x=\"{}\" y=\"{}\">{}</text>", Num(middle), Num(y), Xml(line)));
        }
        for port in card.ports.iter().filter(|port| !port.label.is_empty()) {
            let (x, y) = (middle + port.dx + TYPE_OFFSET, frame.y + frame.height + 11.0);
            self.put(format_args!(
                "<text class=\"type\" x=\"{}\" y=\"{}\">{}</text>",
                Num(x),
                Num(y),
                Xml(&port.label)
            ));
        }
        self.line(format_args!("</g>"));
    }
}

/// The tooltip of a line: the type, the producer and the first readers.
fn reads(drawing: &Drawing, value: &Value<'_>) -> String {
    const NAMED: usize = 8;
    let name = |node: usize| {
        let node = &drawing.nodes[node];
        let short = |text: &str| shorten(&visible(text), 500.0, DETAIL, Face::Regular).into_owned();
        match node.detail.first() {
            Some(detail) => format!("{} {}", short(&node.label), short(detail)),
            None => short(&node.label),
        }
    };
    let mut text = card::type_text(value.label);
    if !text.is_empty() {
        text.push('\n');
    }
    write!(text, "from {}", name(value.from)).expect("a String takes what it is given");
    for reader in value.readers.iter().take(NAMED) {
        write!(text, "\nto {}", name(*reader)).expect("a String takes what it is given");
    }
    if value.readers.len() > NAMED {
        write!(text, "\nand {} more", value.readers.len() - NAMED).expect("a String takes what it is given");
    }
    text
}

/// A coordinate, to a tenth.
#[derive(Clone, Copy)]
struct Num(f64);

impl Num {
    fn tenths(self) -> f64 {
        (self.0 * 10.0).round()
    }
}

impl std::fmt::Display for Num {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Adding 0 turns -0 into 0.
        write!(f, "{}", self.tenths() / 10.0 + 0.0)
    }
}

/// Text inside an element. What XML cannot hold at all was made visible before.
struct Xml<'a>(&'a str);

impl std::fmt::Display for Xml<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
