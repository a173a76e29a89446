//! From a model to a drawing: which boxes there are, and what they say.

use std::collections::HashMap;

use onnxpress_ir::{AttrValue, Graph, Model, NodeId, Type, ValueId, Vertex};

use super::{Cluster, Drawing, Edge, Family, Kind, Line, Node};

/// Longest list of numbers that an attribute's line shows.
const MAX_SHOWN: usize = 8;

/// The drawing of a model's main graph, its subgraphs as frames. Types should be inferred.
pub fn of_model(model: &Model, title: &str) -> Drawing {
    let mut filler = Filler { drawing: Drawing { title: title.to_owned(), ..Drawing::default() } };
    filler.graph(&model.graph, None, &[]);
    filler.drawing
}

/// The same of a model of whose nodes some are in sets: those have the colours of sets, and a line more.
pub fn of_sets(model: &Model, title: &str, sets: &HashMap<NodeId, (Family, String)>) -> Drawing {
    let mut filler = Filler { drawing: Drawing { title: title.to_owned(), ..Drawing::default() } };
    let ids = model.graph.topological().unwrap_or_default();
    filler.graph(&model.graph, None, &[]);
    let boxes = filler.drawing.nodes.iter_mut().filter(|node| node.cluster.is_none() && node.kind == Kind::Operator);
    for (node, id) in boxes.zip(ids.into_iter().filter(|&id| model.graph.node(id).is_some())) {
        let (family, line) = sets.get(&id).cloned().unwrap_or_default();
        node.family = family;
        node.detail.splice(0..0, Some(line).filter(|line| !line.is_empty()));
    }
    filler.drawing
}

/// What the readers of a value see of its producer.
type Source = (usize, usize);

struct Filler {
    drawing: Drawing,
}

impl Filler {
    fn node(&mut self, node: Node) -> usize {
        self.drawing.nodes.push(node);
        self.drawing.nodes.len() - 1
    }

    fn edge(&mut self, (from, port): Source, to: usize, label: String, line: Line) {
        self.drawing.edges.push(Edge { from, port, to, label, line });
    }

    /// Draws a graph; answers the boxes that give its outputs out.
    fn graph(&mut self, graph: &Graph, cluster: Option<usize>, captured: &[Option<Source>]) -> Vec<usize> {
        let mut sources: HashMap<ValueId, Source> = HashMap::new();
        for &id in graph.inputs() {
            let label = graph.label(id.port(0));
            let at =
                self.node(Node { label, kind: Kind::Input, family: Family::Interface, cluster, ..Node::default() });
            sources.insert(id.port(0), (at, 0));
        }
        for (id, capture) in graph.captures() {
            if let Some(source) = captured.get(capture.operand as usize).copied().flatten() {
                sources.insert(id.port(0), source);
            }
        }
        for id in graph.topological().unwrap_or_default() {
            let Some(node) = graph.node(id) else { continue };
            let at = self.node(Node {
                label: node.op_type.to_string(),
                detail: detail(graph, id),
                kind: Kind::Operator,
                family: Family::of_operator(&node.op_type.to_str()),
                cluster,
            });
            for port in 0..node.port_count() {
                sources.insert(id.port(port as u32), (at, port));
            }
            for value in graph.operands(id).flatten() {
                if let Some(&source) = sources.get(&value) {
                    self.edge(source, at, type_label(graph, value), Line::Solid);
                }
            }
            let captured: Vec<_> =
                graph.implicit_operands(id).map(|value| value.and_then(|value| sources.get(&value).copied())).collect();
            for attr in &node.attrs {
                for body in attr.value.graphs() {
                    self.drawing
                        .clusters
                        .push(Cluster { label: format!("{} {}", node.op_type, attr.name), parent: cluster });
                    let inner = self.drawing.clusters.len() - 1;
                    for output in self.graph(body, Some(inner), &captured) {
                        self.edge((output, 0), at, String::new(), Line::Dashed);
                    }
                }
            }
        }
        let mut ends = Vec::new();
        for &id in graph.outputs() {
            let label = graph.output(id).name.to_string();
            let at =
                self.node(Node { label, kind: Kind::Output, family: Family::Interface, cluster, ..Node::default() });
            if let Some(value) = graph.operand(id, 0)
                && let Some(&source) = sources.get(&value)
            {
                self.edge(source, at, type_label(graph, value), Line::Solid);
            }
            ends.push(at);
        }
        ends
    }
}

fn type_label(graph: &Graph, value: ValueId) -> String {
    match graph.ty(value) {
        Type::Unknown => String::new(),
        ty => crate::inspect::shown(ty),
    }
}

/// The node's name, its constant operands with their types, its attributes.
fn detail(graph: &Graph, id: NodeId) -> Vec<String> {
    let Some(node) = graph.node(id) else { return Vec::new() };
    let mut lines = Vec::new();
    lines.extend(node.name.as_ref().filter(|name| !name.is_empty()).map(ToString::to_string));
    for value in graph.operands(id).flatten() {
        if matches!(graph.vertex(value.node), Vertex::Constant(_)) {
            lines.push(format!("{}: {}", graph.label(value), crate::inspect::shown(graph.ty(value))));
        }
    }
    for attr in &node.attrs {
        let text = match &attr.value {
            AttrValue::Float(value) => value.to_string(),
            AttrValue::Int(value) => value.to_string(),
            AttrValue::String(value) => String::from_utf8_lossy(value).into_owned(),
            AttrValue::Ints(values) => list(values),
            AttrValue::Floats(values) => list(values),
            AttrValue::Tensor(tensor) => format!("{tensor:?}"),
            _ => continue,
        };
        lines.push(format!("{} = {text}", attr.name));
    }
    lines
}

fn list<T: ToString>(values: &[T]) -> String {
    let shown: Vec<_> = values.iter().take(MAX_SHOWN).map(ToString::to_string).collect();
    let more = if values.len() > MAX_SHOWN { ", …" } else { "" };
    format!("[{}{more}]", shown.join(", "))
}
