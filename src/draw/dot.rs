//! The drawing as text for Graphviz.

use std::fmt::Write;

use super::card::{texts, tooltip, type_text};
use super::nest::check;
use super::text_width::visible;
use super::{DrawError, Drawing, Family, Kind, Line};

/// See [`Drawing::to_dot`].
pub(super) fn write(drawing: &Drawing) -> Result<String, DrawError> {
    let (around, innermost_first) = check(drawing)?;
    let mut out = Dot(String::new());
    out.line(0, format_args!("digraph {} {{", Quoted(&visible(&drawing.title))));
    out.line(1, format_args!("label={}; labelloc=t; rankdir=TB;", Quoted(&visible(&drawing.title))));
    out.line(1, format_args!("fontname=\"Arial\";"));
    out.line(1, format_args!("node [shape=box, style=\"rounded,filled\", fontname=\"Arial\", fontsize=11];"));
    out.line(1, format_args!("edge [fontname=\"Arial\", fontsize=9, color=\"#7b8794\"];"));

    let mut nodes: Vec<Vec<usize>> = vec![Vec::new(); around.len()];
    for (index, node) in drawing.nodes.iter().enumerate() {
        nodes[node.cluster.map_or(0, |c| c + 1)].push(index);
    }
    let mut inside: Vec<Vec<usize>> = vec![Vec::new(); around.len()];
    for level in innermost_first.iter().filter(|level| **level != 0) {
        inside[around[*level]].push(*level);
    }
    inside.iter_mut().for_each(|levels| levels.sort_unstable_by(|a, b| b.cmp(a)));
    nodes[0].iter().for_each(|node| out.node(1, drawing, *node));
    // Clusters open and close like brackets; a stack keeps deep nesting off the machine's own.
    let mut open: Vec<(usize, usize)> = inside[0].iter().map(|level| (*level, 1)).collect();
    let mut depth = 1;
    while let Some((level, at)) = open.pop() {
        out.close(&mut depth, at);
        out.line(at, format_args!("subgraph cluster_{} {{", level - 1));
        depth = at + 1;
        out.line(
            depth,
            format_args!("label={}; style=\"rounded,dashed\";", Quoted(&visible(&drawing.clusters[level - 1].label))),
        );
        nodes[level].iter().for_each(|node| out.node(depth, drawing, *node));
        open.extend(inside[level].iter().map(|inner| (*inner, depth)));
    }
    out.close(&mut depth, 1);
    for edge in &drawing.edges {
        out.edge(edge);
    }
    out.line(0, format_args!("}}"));
    Ok(out.0)
}

/// The text so far.
struct Dot(String);

impl Dot {
    fn line(&mut self, depth: usize, text: std::fmt::Arguments<'_>) {
        // Deep nesting is not shown by indentation, which would be quadratic.
        self.0.extend(std::iter::repeat_n("  ", depth.min(12)));
        self.0.write_fmt(text).expect("a String takes what it is given");
        self.0.push('\n');
    }

    /// Closes clusters until the text is at the given depth.
    fn close(&mut self, depth: &mut usize, at: usize) {
        while *depth > at {
            *depth -= 1;
            self.line(*depth, format_args!("}}"));
        }
    }

    fn node(&mut self, depth: usize, drawing: &Drawing, index: usize) {
        let node = &drawing.nodes[index];
        let (heading, lines) = texts(node);
        let mut label = heading;
        for line in lines {
            label.push('\n');
            label.push_str(&line);
        }
        let shape = match node.kind {
            Kind::Operator => "",
            Kind::Input | Kind::Output => ", shape=oval, style=filled",
            Kind::Constant => ", style=filled",
        };
        let colours = Family::colours(node.family);
        self.line(
            depth,
            format_args!(
                "n{index} [label={}, tooltip={}, fillcolor=\"{}\", color=\"{}\"{shape}];",
                Quoted(&label),
                Quoted(&tooltip(node)),
                colours.light_fill,
                colours.light_line,
            ),
        );
    }

    fn edge(&mut self, edge: &super::Edge) {
        let label = type_text(&edge.label);
        let dashed = if edge.line == Line::Dashed { "style=dashed" } else { "" };
        let (from, to) = (edge.from, edge.to);
        match (label.is_empty(), dashed) {
            (true, "") => self.line(1, format_args!("n{from} -> n{to};")),
            (true, dashed) => self.line(1, format_args!("n{from} -> n{to} [{dashed}];")),
            (false, "") => self.line(1, format_args!("n{from} -> n{to} [label={}];", Quoted(&label))),
            (false, dashed) => self.line(1, format_args!("n{from} -> n{to} [label={}, {dashed}];", Quoted(&label))),
        }
    }
}

/// A quoted string. Graphviz reads escapes such as `\N` and entities such as `&lt;` in labels, so both are disarmed; a
/// newline becomes the escape of a centred line.
struct Quoted<'a>(&'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '&' => f.write_str("&amp;")?,
                '\n' => f.write_str("\\n")?,
                _ => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}
