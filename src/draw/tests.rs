//! What holds for every drawing, and two small ones in full.

#![allow(clippy::unwrap_used, clippy::panic)]

pub(super) mod gallery;

use proptest::prelude::*;

use super::card::{self, Card, TYPE, TYPE_OFFSET};
use super::layout::{Frame, Layout, layout};
use super::nest::{Nest, split};
use super::route::Stroke;
use super::text_width::{Face, width};
use super::{Cluster, DrawError, Drawing, Edge, Family, Kind, Line, Node};
use gallery::Sketch;

fn small() -> Drawing {
    let mut s = Sketch::new("small");
    let x = s.input("x", "float[N,4]");
    let y = s.op("Gemm", &["/fc", "B float[4,4]"], &[&x], "float[N,4]");
    let y = s.op("Add", &["/add"], &[&y, &x], "float[N,4]");
    let inner = s.cluster("body", |s| {
        let z = s.op("Relu", &[], &[&y], "float[N,4]");
        s.output("z", &z)
    });
    let y = s.op("Loop", &[], &[&y], "float[N,4]");
    s.body(inner, y.0);
    s.drawing
}

#[test]
fn a_small_graph_as_graphviz_text() {
    insta::assert_snapshot!(small().to_dot().unwrap(), @r##"
    digraph "small" {
      label="small"; labelloc=t; rankdir=TB;
      fontname="Arial";
      node [shape=box, style="rounded,filled", fontname="Arial", fontsize=11];
      edge [fontname="Arial", fontsize=9, color="#7b8794"];
      n0 [label="x", tooltip="x", fillcolor="#dde3ea", color="#5b6878", shape=oval, style=filled];
      n1 [label="Gemm\n/fc\nB float[4,4]", tooltip="Gemm\n/fc\nB float[4,4]", fillcolor="#d3e4fb", color="#3a76c0"];
      n2 [label="Add\n/add", tooltip="Add\n/add", fillcolor="#d0eef5", color="#24899e"];
      n5 [label="Loop", tooltip="Loop", fillcolor="#fbdaea", color="#c23f7b"];
      subgraph cluster_0 {
        label="body"; style="rounded,dashed";
        n3 [label="Relu", tooltip="Relu", fillcolor="#fdded0", color="#d2602f"];
        n4 [label="z", tooltip="z", fillcolor="#dde3ea", color="#5b6878", shape=oval, style=filled];
      }
      n0 -> n1 [label="float[N,4]"];
      n1 -> n2 [label="float[N,4]"];
      n0 -> n2 [label="float[N,4]"];
      n2 -> n3 [label="float[N,4]"];
      n3 -> n4 [label="float[N,4]"];
      n2 -> n5 [label="float[N,4]"];
      n4 -> n5 [style=dashed];
    }
    "##);
}

#[test]
fn a_small_graph_as_svg() {
    insta::assert_snapshot!(small().to_svg().unwrap(), @r#"
    <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 563.5 635.2" width="563.5" height="635.2" role="img">
    <title>small</title>
    <style>
    text{font-family:Arial,Helvetica,'Liberation Sans','DejaVu Sans',sans-serif;fill:#1b2430}
    .title{font-size:18px;font-weight:bold}
    .key{font-size:11px}
    .name{font-size:13px;font-weight:bold;text-anchor:middle}
    .more{font-size:11px;text-anchor:middle}
    .type{font-size:10px;fill:#55606d}
    .caption{font-size:12px;font-weight:bold;fill:#55606d}
    .page{fill:#ffffff}
    .frame{fill:#7f8fa3;fill-opacity:.08;stroke:#7f8fa3;stroke-dasharray:6 4}
    .edge{fill:none;stroke:#7b8794;stroke-width:1.3}
    .dashed{stroke-dasharray:4 4}
    .tip{fill:#7b8794}
    g:hover>.edge{stroke:#d2451e;stroke-width:2.4}
    g:hover>.tip{fill:#d2451e}
    .io{fill:#dde3ea;stroke:#5b6878}
    .lin{fill:#d3e4fb;stroke:#3a76c0}
    .act{fill:#fdded0;stroke:#d2602f}
    .ew{fill:#d0eef5;stroke:#24899e}
    .ctl{fill:#fbdaea;stroke:#c23f7b}
    @media (prefers-color-scheme:dark){
    text{fill:#e8edf2}
    .type,.caption{fill:#a9b4c0}
    .page{fill:#14181d}
    .edge{stroke:#8793a0}
    .tip{fill:#8793a0}
    .io{fill:#39424e;stroke:#93a1b3}
    .lin{fill:#1d3c63;stroke:#6ba4ea}
    .act{fill:#5a2c1a;stroke:#f1946c}
    .ew{fill:#12454f;stroke:#57c2d8}
    .ctl{fill:#5a203f;stroke:#ef85b5}
    }
    </style>
    <rect class="page" width="563.5" height="635.2"/>
    <text class="title" x="24" y="39">small</text>
    <rect class="io" x="24" y="52" width="12" height="12" rx="3"/><text class="key" x="41" y="62">input, output</text>
    <rect class="lin" x="129.4" y="52" width="12" height="12" rx="3"/><text class="key" x="146.4" y="62">convolution, linear</text>
    <rect class="act" x="265.7" y="52" width="12" height="12" rx="3"/><text class="key" x="282.7" y="62">activation</text>
    <rect class="ew" x="353.8" y="52" width="12" height="12" rx="3"/><text class="key" x="370.8" y="62">elementwise</text>
    <rect class="ctl" x="457.3" y="52" width="12" height="12" rx="3"/><text class="key" x="474.3" y="62">control flow</text>
    <g transform="translate(211.8 84)">
    <g><title>body</title><rect class="frame" x="20" y="266.6" width="119.9" height="203" rx="10"/><text class="caption" x="74" y="282.6">body</text></g>
    <g><title>float[N,4]
    from x
    to Gemm /fc
    to Add /add</title><path class="edge" d="M34.5 26V41C34.5 54.5 5.4 52 5.4 65.5V145.5M34.5 41V65.5V68.5M5.4 145.5C5.4 157.8 16.5 155.5 16.5 167.8V170.8"/><path class="tip" d="M34.5 74.5l-3.5 -6h7zM16.5 176.8l-3.5 -6h7z"/></g>
    <g><title>float[N,4]
    from Gemm /fc
    to Add /add</title><path class="edge" d="M63.6 130.5V145.5C63.6 157.8 52.5 155.5 52.5 167.8V170.8"/><path class="tip" d="M52.5 176.8l-3.5 -6h7z"/></g>
    <g><title>float[N,4]
    from Add /add
    to Relu
    to Loop</title><path class="edge" d="M34.5 217.8V232.8C34.5 246.5 3 244 3 257.6V469.6M34.5 232.8C34.5 246.5 66 244 66 257.6V266.6M3 469.6C3 482.1 16.5 479.8 16.5 492.2V495.2M66 266.6V296.6V317.6V320.6"/><path class="tip" d="M16.5 501.2l-3.5 -6h7zM66 326.6l-3.5 -6h7z"/></g>
    <g><title>float[N,4]
    from Relu
    to z</title><path class="edge" d="M66 352.6V367.6V388.6V391.6"/><path class="tip" d="M66 397.6l-3.5 -6h7z"/></g>
    <g><title>from z
    to Loop</title><path class="edge dashed" d="M66 469.6V469.6C66 482.1 52.5 479.8 52.5 492.2V495.2M66 453.6V469.6M66 423.6V423.6V444.6V453.6"/><path class="tip" d="M52.5 501.2l-3.5 -6h7z"/></g>
    <g><title>x</title><rect class="io" x="4.5" y="0" width="60" height="26" rx="13"/><text class="name" x="34.5" y="18">x</text><text class="type" x="39.5" y="37">float[N,4]</text></g>
    <g><title>Gemm
    /fc
    B float[4,4]</title><rect class="lin" x="22.4" y="74.5" width="82.6" height="56" rx="6"/><text class="name" x="63.6" y="92.5">Gemm</text><text class="more" x="63.6" y="107.5">/fc</text><text class="more" x="63.6" y="122.5">B float[4,4]</text><text class="type" x="68.6" y="141.5">float[N,4]</text></g>
    <g><title>Add
    /add</title><rect class="ew" x="4.5" y="176.8" width="60" height="41" rx="6"/><text class="name" x="34.5" y="194.8">Add</text><text class="more" x="34.5" y="209.8">/add</text><text class="type" x="39.5" y="228.8">float[N,4]</text></g>
    <g><title>Relu</title><rect class="act" x="36" y="326.6" width="60" height="26" rx="6"/><text class="name" x="66" y="344.6">Relu</text><text class="type" x="71" y="363.6">float[N,4]</text></g>
    <g><title>z</title><rect class="io" x="36" y="397.6" width="60" height="26" rx="13"/><text class="name" x="66" y="415.6">z</text></g>
    <g><title>Loop</title><rect class="ctl" x="4.5" y="501.2" width="60" height="26" rx="6"/><text class="name" x="34.5" y="519.2">Loop</text></g>
    </g>
    </svg>
    "#);
}

/// A layout with what it was made from.
struct Laid<'a> {
    nest: Nest<'a>,
    cards: Vec<Card>,
    layout: Layout,
}

fn lay(drawing: &Drawing) -> Laid<'_> {
    let nest = split(drawing).unwrap();
    let cards = card::cards(drawing, &nest.values);
    let captions: Vec<String> = drawing.clusters.iter().map(|c| c.label.clone()).collect();
    let layout = layout(drawing, &nest, &cards, &captions).unwrap();
    Laid { nest, cards, layout }
}

impl Laid<'_> {
    /// The texts under the boxes.
    fn types(&self) -> Vec<Frame> {
        let mut frames = Vec::new();
        for (card, frame) in self.cards.iter().zip(&self.layout.nodes) {
            for port in card.ports.iter().filter(|port| !port.label.is_empty()) {
                let x = frame.x + frame.width / 2.0 + port.dx + TYPE_OFFSET;
                let wide = width(&port.label, TYPE, Face::Regular);
                frames.push(Frame { x, y: frame.y + frame.height + 1.0, width: wide, height: 12.0 });
            }
        }
        frames
    }
}

fn overlap(a: &Frame, b: &Frame) -> bool {
    let hair = 0.01;
    a.x + hair < b.x + b.width
        && b.x + hair < a.x + a.width
        && a.y + hair < b.y + b.height
        && b.y + hair < a.y + a.height
}

fn holds(outer: &Frame, inner: &Frame) -> bool {
    outer.x <= inner.x
        && outer.y <= inner.y
        && inner.x + inner.width <= outer.x + outer.width
        && inner.y + inner.height <= outer.y + outer.height
}

/// Points along a stroke.
fn points(stroke: Stroke) -> Vec<(f64, f64)> {
    let cubic = |t: f64, [a, b, c, d]: [f64; 4]| {
        let s = 1.0 - t;
        a * s * s * s + 3.0 * b * s * s * t + 3.0 * c * s * t * t + d * t * t * t
    };
    let ([x0, x1], ys) = match stroke {
        Stroke::Straight { x, y0, y1 } => ([x, x], [y0, y0, y1, y1]),
        Stroke::Curve { x0, y0, x1, y1 } => {
            let bend = (y1 - y0) * 0.55;
            ([x0, x1], [y0, y0 + bend, y1 - bend, y1])
        }
        Stroke::Turn { x0, x1, y, reach } => ([x0, x1], [y, y + reach, y + reach, y]),
    };
    (0..=32).map(|i| f64::from(i) / 32.0).map(|t| (cubic(t, [x0, x0, x1, x1]), cubic(t, ys))).collect()
}

/// Boxes and types lie apart from each other and from all lines; clusters hold exactly what is theirs.
fn check_places(drawing: &Drawing) {
    let laid = lay(drawing);
    let nodes = &laid.layout.nodes;
    let texts: Vec<Frame> = nodes.iter().copied().chain(laid.types()).collect();
    for (i, a) in texts.iter().enumerate() {
        for (j, b) in texts.iter().enumerate().skip(i + 1) {
            assert!(!overlap(a, b), "{i} {a:?} and {j} {b:?}");
        }
    }
    for track in &laid.layout.tracks {
        for (x, y) in track.strokes.iter().flat_map(|stroke| points(*stroke)) {
            let point = Frame { x, y, width: 0.0, height: 0.0 };
            for (i, text) in texts.iter().enumerate() {
                let inside =
                    Frame { x: text.x + 0.1, y: text.y + 0.1, width: text.width - 0.2, height: text.height - 0.2 };
                assert!(!holds(&inside, &point), "a line at {x} {y} runs through {i} {text:?}");
            }
        }
    }
    let page = Frame { x: -0.01, y: -0.01, width: laid.layout.width + 0.02, height: laid.layout.height + 0.02 };
    for (node, frame) in drawing.nodes.iter().zip(nodes) {
        assert!(holds(&page, frame));
        let mut around = Vec::new();
        let mut cluster = node.cluster;
        while let Some(c) = cluster {
            around.push(c);
            cluster = drawing.clusters[c].parent;
        }
        for (c, (outer, _)) in laid.layout.clusters.iter().enumerate() {
            let fits = if around.contains(&c) { holds(outer, frame) } else { !overlap(outer, frame) };
            assert!(fits, "{frame:?} and cluster {c} {outer:?}");
        }
    }
    assert_eq!(laid.nest.values.len(), laid.layout.tracks.len());
}

fn check_downward(drawing: &Drawing) {
    let nodes = lay(drawing).layout.nodes;
    for edge in &drawing.edges {
        let (from, to) = (nodes[edge.from], nodes[edge.to]);
        assert!(from.y + from.height < to.y, "{edge:?} leads from {from:?} to {to:?}");
    }
}

/// The SVG is well-formed, says the same twice, and no text is wider than its box.
fn check_svg(drawing: &Drawing) {
    let svg = drawing.to_svg().unwrap();
    assert_eq!(svg, drawing.clone().to_svg().unwrap());
    let document = roxmltree::Document::parse(&svg).unwrap();
    for group in document.descendants().filter(|n| n.has_tag_name("g")) {
        let Some(rect) = group.children().find(|n| n.has_tag_name("rect") && n.attribute("class") != Some("frame"))
        else {
            continue;
        };
        let room: f64 = rect.attribute("width").unwrap().parse().unwrap();
        for text in group.children().filter(|n| matches!(n.attribute("class"), Some("name" | "more"))) {
            let (size, face) =
                if text.attribute("class") == Some("name") { (13.0, Face::Bold) } else { (11.0, Face::Regular) };
            assert!(width(text.text().unwrap_or(""), size, face) <= room, "{text:?}");
        }
    }
}

#[test]
fn graphs_as_they_occur_are_well_placed() {
    for drawing in [
        gallery::residual(3),
        gallery::inception(2),
        gallery::attention(2),
        gallery::chain(40),
        gallery::branches(),
        gallery::ports(),
    ] {
        check_places(&drawing);
        check_downward(&drawing);
        check_svg(&drawing);
    }
    check_places(&gallery::odd());
}

#[test]
fn an_empty_drawing_is_a_picture() {
    check_svg(&Drawing::default());
}

/// Nodes with edges between any two of them, or only from earlier to later ones.
fn any_drawing(acyclic: bool, clusters: usize) -> impl Strategy<Value = Drawing> {
    let label = prop_oneof!["[a-zA-Z/_.]{0,60}", any::<String>(), Just("]]>&\"'\u{0}\u{ffff}\u{202e}<!--".to_owned())];
    let node = (label.clone(), prop::collection::vec(label.clone(), 0..10), 0..4_usize, 0..11_usize, any::<usize>());
    let edge = (any::<usize>(), 0..3_usize, any::<usize>(), label.clone(), any::<bool>());
    (
        label,
        prop::collection::vec(node, 1..25),
        prop::collection::vec(edge, 0..50),
        prop::collection::vec(any::<usize>(), 0..=clusters),
    )
        .prop_map(move |(title, nodes, edges, parents)| {
            let count = nodes.len();
            // A cluster lies in an earlier one, or in none.
            let cluster = |pick: usize, of: usize| (pick % (of + 1)).checked_sub(1);
            let kinds = [Kind::Input, Kind::Output, Kind::Operator, Kind::Constant];
            Drawing {
                title: title.clone(),
                nodes: (nodes.into_iter())
                    .map(|(label, detail, kind, family, pick)| Node {
                        label,
                        detail,
                        kind: kinds[kind],
                        family: Family::ALL[family],
                        cluster: cluster(pick, parents.len()),
                    })
                    .collect(),
                edges: (edges.into_iter())
                    .map(|(from, port, to, label, dashed)| (from % count, port, to % count, label, dashed))
                    .filter(|(from, _, to, ..)| !acyclic || from < to)
                    .map(|(from, port, to, label, dashed)| {
                        let line = if dashed { Line::Dashed } else { Line::Solid };
                        Edge { from, port, to, label, line }
                    })
                    .collect(),
                clusters: (parents.iter().enumerate())
                    .map(|(index, pick)| Cluster { label: title.clone(), parent: cluster(*pick, index) })
                    .collect(),
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_flow_downward(drawing in any_drawing(true, 0)) {
        check_downward(&drawing);
    }

    #[test]
    fn nothing_overlaps(drawing in any_drawing(false, 5)) {
        check_places(&drawing);
    }

    #[test]
    fn any_text_makes_a_well_formed_picture(drawing in any_drawing(false, 3)) {
        check_svg(&drawing);
    }

    /// What stands outside quotes is a handful of words of our own, whatever the labels are.
    #[test]
    fn any_text_stays_inside_the_quotes(drawing in any_drawing(false, 3)) {
        let dot = drawing.to_dot().unwrap();
        let mut outside = String::new();
        let (mut quoted, mut escaped) = (false, false);
        for c in dot.chars() {
            if quoted {
                prop_assert!(!c.is_control());
                quoted = escaped || c != '"';
                escaped = !escaped && c == '\\';
            } else if c == '"' {
                quoted = true;
            } else {
                outside.push(c);
            }
        }
        prop_assert!(!quoted);
        prop_assert_eq!(outside.matches('{').count(), outside.matches('}').count());
        prop_assert_eq!(outside.matches("->").count(), drawing.edges.len());
        prop_assert_eq!(outside.matches("subgraph").count(), drawing.clusters.len());
        prop_assert!(outside.chars().all(|c| c.is_ascii_alphanumeric() || " \n[]{}=,;->_".contains(c)), "{}", outside);
    }
}

#[test]
fn indices_that_point_nowhere_are_errors() {
    let edge =
        Drawing { edges: vec![Edge { to: 3, ..Edge::default() }], nodes: vec![Node::default()], ..Drawing::default() };
    insta::assert_snapshot!(edge.to_svg().unwrap_err(), @"edge 0 joins node 3, but the drawing has 1 nodes");
    let node = Drawing { nodes: vec![Node { cluster: Some(0), ..Node::default() }], ..Drawing::default() };
    insta::assert_snapshot!(node.to_dot().unwrap_err(), @"node 0 is in cluster 0, but the drawing has 0 clusters");
    let around = |parent| Cluster { parent: Some(parent), ..Cluster::default() };
    let clusters = Drawing { clusters: vec![around(1), around(2), around(1)], ..Drawing::default() };
    insta::assert_snapshot!(clusters.to_dot().unwrap_err(), @"cluster 1 is inside itself");
}

#[test]
fn a_long_chain_and_deep_nesting_are_no_matter_of_the_stack() {
    gallery::chain(20_000).to_svg().unwrap();
    let clusters = (0..20_000_usize).map(|i| Cluster { parent: i.checked_sub(1), ..Cluster::default() }).collect();
    let nested = Drawing { clusters, ..Drawing::default() };
    nested.to_svg().unwrap();
    nested.to_dot().unwrap();
}

#[test]
fn one_value_that_every_node_reads_is_one_line() {
    let mut s = Sketch::new("bus");
    let x = s.input("x", "float");
    let mut y = x.clone();
    for _ in 0..1000 {
        y = s.op("Add", &[], &[&x, &y], "float");
    }
    // A line of its own for each reader would need half a million bends.
    assert!(lay(&s.drawing).layout.tracks[0].strokes.len() < 5000);
}

#[test]
fn a_line_out_of_the_side_of_a_cluster_is_straight() {
    let mut s = Sketch::new("side");
    let x = s.input("x", "float");
    let side = s.cluster("wide", |s| {
        s.op("Relu", &["a box that keeps the other one off the middle"], &[&x], "float");
        s.op("Neg", &[], &[&x], "float")
    });
    s.output("y", &side);
    let laid = lay(&s.drawing);
    let exit = laid.nest.values.iter().position(|value| value.from == side.0).unwrap();
    let strokes = laid.layout.tracks[exit].strokes.iter().flat_map(|stroke| points(*stroke));
    let (left, right) = strokes.fold((f64::MAX, f64::MIN), |(left, right), (x, _)| (left.min(x), right.max(x)));
    assert!(right - left < 0.01, "from {left} to {right}");
}

#[test]
fn what_is_too_large_is_declined_with_a_way_out() {
    let mut s = Sketch::new("all to the end");
    let mut values = vec![s.input("x", "float")];
    for i in 0..2000 {
        values.push(s.op("Relu", &[], &[&values[i].clone()], "float"));
    }
    let all: Vec<&gallery::Value> = values.iter().collect();
    s.op("Sum", &[], &all, "float");
    let error = s.drawing.to_svg().unwrap_err();
    assert_eq!(error, DrawError::TooLarge { nodes: 2002, limit: super::nest::PLACES });
    insta::assert_snapshot!(error, @"the drawing has 2002 nodes, and with the bends of its lines more than 1000000 points to place: write a .dot file instead, and let `sfdp` place them");
    s.drawing.to_dot().unwrap();
}
