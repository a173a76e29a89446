//! Dead parts of one graph and of all inside of it.

use onnxpress_ir::{Edit, Graph, Node, NodeId, ValueId};
use onnxpress_ops::infer::Standard;
use onnxpress_ops::schema::{self, FormalKind};

use crate::pass::PassCx;
use crate::rewrite::{Effect, ModelFacts};

/// Removes the dead parts, readers before what they read, so one visit to each node is enough.
pub(super) fn clean(graph: &mut Graph, facts: &ModelFacts, cx: &mut PassCx<'_>, place: &str) {
    let mut gone = Gone { dead: vec![false; graph.slot_bound()], list: Vec::new() };
    let mut unread = Vec::new();
    let mut nodes = 0;
    for id in graph.topological().unwrap_or_default().into_iter().rev() {
        let Some(node) = graph.node(id) else { continue };
        if !gone.are_all_readers_of(graph, id) {
            if node.has_subgraphs() {
                clean_bodies(graph, id, facts, cx, place);
            }
            unread.extend(unread_outputs(graph, id, &gone));
        } else if node.port_count() == 0 || !Effect::of(node, facts).may_go() {
            let site = format!("{}{place}", graph.describe(id));
            cx.declined("eliminate-dead", site, "its operator is not known, so it may do more than compute");
        } else {
            gone.add(id);
            nodes += 1;
        }
    }
    let constants: Vec<NodeId> = graph.constants().map(|(id, _)| id).collect();
    for id in constants {
        if gone.are_all_readers_of(graph, id) {
            gone.add(id);
        }
    }
    let constants = gone.list.len() - nodes;
    let mut edit = Edit::new(graph, &Standard, "eliminate-dead", &[]);
    for &id in &gone.list {
        edit.remove(id);
    }
    edit.commit();
    cx.applied("remove-node", nodes);
    cx.applied("remove-constant", constants);

    let mut edit = Edit::new(graph, &Standard, "eliminate-dead", &[]);
    for &value in &unread {
        edit.omit_output(value);
    }
    edit.commit();
    cx.applied("omit-output", unread.len());

    let before = graph.declared.len();
    let mut entries = std::mem::take(&mut graph.declared);
    entries.retain(|entry| entry.value.is_some_and(|value| graph.contains(value.node)));
    graph.declared = entries;
    if graph.declared.len() < before {
        graph.touch();
        cx.applied("remove-declaration", before - graph.declared.len());
    }
}

/// The vertices that are to go.
struct Gone {
    dead: Vec<bool>,
    list: Vec<NodeId>,
}

impl Gone {
    fn add(&mut self, id: NodeId) {
        self.dead[id.slot()] = true;
        self.list.push(id);
    }

    fn are_readers_of(&self, graph: &Graph, value: ValueId) -> bool {
        graph.readers(value).all(|reading| self.dead[reading.node.slot()])
    }

    fn are_all_readers_of(&self, graph: &Graph, id: NodeId) -> bool {
        let ports = 0..graph.vertex(id).ports().len() as u32;
        ports.into_iter().all(|port| self.are_readers_of(graph, id.port(port)))
    }
}

fn clean_bodies(graph: &mut Graph, holder: NodeId, facts: &ModelFacts, cx: &mut PassCx<'_>, place: &str) {
    let inside = format!(" in {}{place}", graph.describe(holder));
    let mut changed = false;
    for body in graph.annotating_subgraphs(holder) {
        let before = body.revision();
        clean(body, facts, cx, &inside);
        changed |= body.revision() != before;
    }
    if changed {
        graph.touch();
    }
    if graph.drop_unread_captures(holder) {
        cx.applied("drop-capture", 1);
    }
}

/// The optional outputs of a node that nothing reads, and whose absence changes nothing else.
fn unread_outputs(graph: &Graph, id: NodeId, gone: &Gone) -> Vec<ValueId> {
    let Some(node) = graph.node(id).filter(|node| node.port_count() > 1 || node.ports()[0].omitted) else {
        return Vec::new();
    };
    let version = graph.opsets.standard();
    let Some(schema) = schema::schema(b"", node.op_type.as_bytes(), version)
        .filter(|_| node.canonical_domain().is_empty() && !outputs_set_the_mode(node))
    else {
        return Vec::new();
    };
    let ports = (0u32..).zip(node.ports()).filter(|(_, port)| !port.omitted).map(|(port, _)| id.port(port));
    let optional = |value: &ValueId| {
        schema.output(value.port as usize).is_some_and(|formal| matches!(formal.kind, FormalKind::Optional))
    };
    let mut unread: Vec<_> =
        ports.clone().filter(optional).filter(|&value| gone.are_readers_of(graph, value)).collect();
    // A node gives at least one value.
    if unread.len() == ports.count() {
        unread.pop();
    }
    unread
}

/// Whether a node computes something else depending on which outputs it has: `BatchNormalization` trains if it gives more
/// than one, or must give them when it trains.
fn outputs_set_the_mode(node: &Node) -> bool {
    node.is("BatchNormalization")
}
