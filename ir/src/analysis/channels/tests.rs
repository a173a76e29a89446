//! Graphs whose nodes say how their axes are related by an attribute, so that no operator is needed.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::attr::AttrValue;

/// The relation that a node's attribute `axes` writes: `"n i, i o -> n o"`; a letter after `;` is pinned.
fn written(graph: &Graph, id: NodeId) -> Result<Relation, String> {
    let Some(AttrValue::String(text)) = graph.node(id).unwrap().attr("axes") else {
        return Err("nobody knows".to_owned());
    };
    let text = std::str::from_utf8(text).unwrap();
    let (body, pinned) = text.split_once(';').unwrap_or((text, ""));
    let (operands, outputs) = body.split_once("->").unwrap();
    let mut letters: Vec<Letter> = Vec::new();
    let mut side = |side: &str| {
        side.split(',')
            .map(|row| {
                Some(
                    row.split_whitespace()
                        .map(|axis| {
                            axis.split('+')
                                .map(|segment| {
                                    segment
                                        .split('.')
                                        .map(|factor| {
                                            let (name, extent) = factor.split_once(':').unwrap();
                                            let at = letters.iter().position(|letter| letter.name == name);
                                            at.unwrap_or_else(|| {
                                                letters.push(Letter {
                                                    name: name.to_owned(),
                                                    extent: extent.parse().ok(),
                                                    pinned: pinned.contains(name).then(|| "said so".to_owned()),
                                                    asked: false,
                                                });
                                                letters.len() - 1
                                            })
                                        })
                                        .collect()
                                })
                                .collect()
                        })
                        .collect(),
                )
            })
            .collect::<Vec<_>>()
    };
    let (operands, outputs) = (side(operands), side(outputs));
    Ok(Relation { operands, outputs, letters })
}

/// Every constant's axes by reading, and each leaf with what pins it.
fn coupling(text: &str) -> String {
    let mut graph = crate::Model::from_text(text).unwrap().graph;
    for entry in std::mem::take(&mut graph.declared) {
        graph.set_fact(entry.value.unwrap(), entry.ty, None);
    }
    let graph = &graph;
    let coupling = Coupling::of(graph, |id| written(graph, id));
    let show = |span: SpanId| {
        fn made(coupling: &Coupling, span: SpanId) -> String {
            let all = |parts: &[SpanId], by: &str| {
                parts.iter().map(|&part| made(coupling, part)).collect::<Vec<_>>().join(by)
            };
            match coupling.spans.made(span) {
                Made::Leaf(leaf) => format!("{leaf}"),
                Made::Sum(parts) => all(parts, "+"),
                Made::Product(parts) => format!("({})", all(parts, " ")),
            }
        }
        made(&coupling, span)
    };
    let mut lines = Vec::new();
    for (id, _) in graph.constants() {
        for reading in graph.readers(id.port(0)) {
            let axes = coupling.read(graph, reading).unwrap();
            let axes: Vec<_> = axes.iter().map(|&span| show(span)).collect();
            lines.push(format!("{}: {}", graph.label(id.port(0)), axes.join(", ")));
        }
    }
    let used: std::collections::BTreeSet<usize> = {
        let mut used = std::collections::BTreeSet::new();
        for (id, _) in graph.constants() {
            for reading in graph.readers(id.port(0)) {
                for &span in coupling.read(graph, reading).unwrap() {
                    coupling.spans.visit_leaves(span, &mut |leaf| {
                        used.insert(leaf);
                    });
                }
            }
        }
        used
    };
    for leaf in used {
        let Leaf { extent, pinned, .. } = &coupling.spans.leaves()[leaf];
        lines.push(format!("{leaf}: {extent}{}", pinned.as_ref().map(|why| format!(", {why}")).unwrap_or_default()));
    }
    lines.join("\n")
}

#[test]
fn a_residual_stream_is_one_set_of_indices() {
    insta::assert_snapshot!(coupling(r#"
        <ir_version: 10, opset_import: ["" : 24, "t": 1]>
        g (float[N,3] x) => (float[N,2] y)
        <float[N,8] a, float[N,8] b, float[N,8] s, float[3,8] w1 = iota, float[8,8] w2 = iota, float[8,2] w3 = iota>
        {
          a = t.L <axes = "n:? i:3, i:3 o:8 -> n:? o:8"> (x, w1)
          b = t.L <axes = "n:? i:8, i:8 o:8 -> n:? o:8"> (a, w2)
          s = t.E <axes = "n:? c:8, n:? c:8 -> n:? c:8"> (a, b)
          y = t.L <axes = "n:? i:8, i:8 o:2 -> n:? o:2"> (s, w3)
        }"#), @"
    w1: 0, 1
    w2: 1, 1
    w3: 1, 2
    0: 3, input `x` of the graph
    1: 8
    2: 2, output `y` of the graph
    ");
}

#[test]
fn what_nobody_knows_is_pinned_and_a_shared_constant_is_not() {
    insta::assert_snapshot!(coupling(r#"
        <ir_version: 10, opset_import: ["" : 24, "t": 1]>
        g (float[N,4] x) => (float[N,4] y)
        <float[N,4] a, float[N,4] b, float[4,4] w = iota>
        {
          a = t.L <axes = "n:? i:4, i:4 o:4 -> n:? o:4"> (x, w)
          b = t.L <axes = "n:? i:4, i:4 o:4 -> n:? o:4"> (a, w)
          y = t.Unknown (b)
        }"#), @"
    w: 0, 1
    w: 1, 2
    0: 4, input `x` of the graph
    1: 4
    2: 4, Unknown `y`: nobody knows
    ");
}
