//! The graph: vertices in a private `petgraph`, edges for every reading of a value.
//!
//! The edges are the only truth about data flow: a value has no list of readers and a node no list of names. A node keeps
//! its operand *edges* in order, so operand *i* is found in constant time and can never disagree with the edges; the readers
//! of a value are the outgoing edges of its port. What a subgraph captures is an implicit operand of the node that holds it,
//! level by level, so whoever asks for readers sees captures as ordinary reads.
//!
//! Nothing outside this module touches an edge. Passes change a graph through [`Edit`](crate::Edit).

mod audit;
mod capture;
mod id;
mod opsets;
mod sort;
mod vertex;
mod write;

use std::sync::Arc;

use petgraph::Direction;
use petgraph::graph::{EdgeIndex, NodeIndex};
use petgraph::stable_graph::StableDiGraph;
use petgraph::visit::EdgeRef;

pub use audit::Misfit;
pub use id::{NodeId, Slot, Use, ValueId};
pub use opsets::Opsets;
pub use sort::Cycle;
pub use vertex::{
    Capture, Constant, ConstantForm, ConstantValue, Input, Node, Order, Origin, Output, Port, Vertex, canonical_domain,
};

use crate::carried::Carried;
use crate::dim::Dim;
use crate::name::Name;
use crate::tensor::Tensor;
use crate::types::Type;

#[derive(Clone, Debug)]
struct Seat {
    stamp: u32,
    vertex: Vertex,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    from_port: u32,
    to: Slot,
}

/// An entry of a file's list of intermediate types (`value_info`).
#[derive(Clone, Debug)]
pub struct Declared {
    /// The value; `None` where the file names one that does not exist.
    pub value: Option<ValueId>,
    /// The name in the list.
    pub name: Name,
    /// The type as it was read.
    pub ty: Type,
    /// The reader's companion.
    pub carried: Carried,
}

/// A graph: of a model, of a function, or inside a node.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    store: StableDiGraph<Seat, Reading>,
    next_stamp: u32,
    revision: u64,
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
    /// The graph's name.
    pub name: Option<Name>,
    /// The operator sets that its nodes are written in.
    pub opsets: Arc<Opsets>,
    /// Types that the file declares for intermediate values, in the file's order.
    pub declared: Vec<Declared>,
    /// The reader's companion.
    pub carried: Carried,
}

impl Graph {
    /// An empty graph.
    pub fn new(opsets: Arc<Opsets>) -> Self {
        Self { opsets, ..Self::default() }
    }

    /// A number that grows with every change to the graph or, through it, to a subgraph.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    fn seat(&self, id: NodeId) -> Option<&Seat> {
        self.store.node_weight(NodeIndex::new(id.slot())).filter(|seat| seat.stamp == id.stamp)
    }

    fn id_at(&self, index: NodeIndex) -> NodeId {
        let stamp = self.store.node_weight(index).map_or(u32::MAX, |seat| seat.stamp);
        NodeId { slot: index.index() as u32, stamp }
    }

    /// Whether the vertex still exists.
    pub fn contains(&self, id: NodeId) -> bool {
        self.seat(id).is_some()
    }

    /// The vertex, if it still exists.
    pub fn get(&self, id: NodeId) -> Option<&Vertex> {
        self.seat(id).map(|seat| &seat.vertex)
    }

    /// The vertex.
    ///
    /// # Panics
    /// If it was removed: who holds an id across an edit must ask [`contains`](Self::contains).
    pub fn vertex(&self, id: NodeId) -> &Vertex {
        self.get(id).expect("an id of a vertex that was removed")
    }

    /// The node, if the vertex exists and is one.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        match self.get(id)? {
            Vertex::Node(node) => Some(node),
            _ => None,
        }
    }

    /// The number of vertices.
    pub fn vertex_count(&self) -> usize {
        self.store.node_count()
    }

    /// Above every [`NodeId::slot`] in use: the size for side tables.
    pub fn slot_bound(&self) -> usize {
        self.store.node_indices().next_back().map_or(0, |index| index.index() + 1)
    }

    /// Every vertex, in the order of slots (which is that of making, removals aside).
    pub fn vertices(&self) -> impl Iterator<Item = (NodeId, &Vertex)> {
        self.store.node_indices().filter_map(|index| {
            let seat = self.store.node_weight(index)?;
            Some((NodeId { slot: index.index() as u32, stamp: seat.stamp }, &seat.vertex))
        })
    }

    /// Every node, in the order of slots. For dependencies see [`topological`](Self::topological).
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.vertices().filter_map(|(id, vertex)| match vertex {
            Vertex::Node(node) => Some((id, &**node)),
            _ => None,
        })
    }

    /// Every constant, in the order of slots.
    pub fn constants(&self) -> impl Iterator<Item = (NodeId, &Constant)> {
        self.vertices().filter_map(|(id, vertex)| match vertex {
            Vertex::Constant(constant) => Some((id, &**constant)),
            _ => None,
        })
    }

    /// Every captured value, in the order of slots.
    pub fn captures(&self) -> impl Iterator<Item = (NodeId, &Capture)> {
        self.vertices().filter_map(|(id, vertex)| match vertex {
            Vertex::Capture(capture) => Some((id, &**capture)),
            _ => None,
        })
    }

    /// The graph's inputs in order.
    pub fn inputs(&self) -> &[NodeId] {
        &self.inputs
    }

    /// The graph's outputs in order.
    pub fn outputs(&self) -> &[NodeId] {
        &self.outputs
    }

    /// The input at a vertex.
    ///
    /// # Panics
    /// If the vertex is no input.
    pub fn input(&self, id: NodeId) -> &Input {
        match self.vertex(id) {
            Vertex::Input(input) => input,
            _ => unreachable!("the vertex is no input"),
        }
    }

    /// The output at a vertex.
    ///
    /// # Panics
    /// If the vertex is no output.
    pub fn output(&self, id: NodeId) -> &Output {
        match self.vertex(id) {
            Vertex::Output(output) => output,
            _ => unreachable!("the vertex is no output"),
        }
    }

    fn source(&self, edge: EdgeIndex) -> ValueId {
        let (from, _) = self.store.edge_endpoints(edge).expect("an operand's edge is in the graph");
        let reading = self.store.edge_weight(edge).expect("an operand's edge is in the graph");
        ValueId { node: self.id_at(from), port: reading.from_port }
    }

    fn slots(&self, id: NodeId) -> (&[Option<EdgeIndex>], &[Option<EdgeIndex>]) {
        match self.get(id) {
            Some(Vertex::Node(node)) => (&node.operands, &node.captures),
            Some(Vertex::Output(output)) => (std::slice::from_ref(&output.operand), &[]),
            _ => (&[], &[]),
        }
    }

    /// Operand `index` of a node, or the value that a graph output gives out (its operand 0).
    /// `None` where there is no such operand or it is left out.
    pub fn operand(&self, id: NodeId, index: usize) -> Option<ValueId> {
        self.slots(id).0.get(index).copied().flatten().map(|edge| self.source(edge))
    }

    /// The operands in order, `None` for those left out.
    pub fn operands(&self, id: NodeId) -> impl ExactSizeIterator<Item = Option<ValueId>> {
        self.slots(id).0.iter().map(|slot| slot.map(|edge| self.source(edge)))
    }

    /// The implicit operands in order: the values that the node's subgraphs capture.
    pub fn implicit_operands(&self, id: NodeId) -> impl ExactSizeIterator<Item = Option<ValueId>> {
        self.slots(id).1.iter().map(|slot| slot.map(|edge| self.source(edge)))
    }

    /// Every value that the vertex reads, implicit operands too, omitted ones aside.
    pub fn reads(&self, id: NodeId) -> impl Iterator<Item = ValueId> {
        let (operands, captures) = self.slots(id);
        operands.iter().chain(captures).flatten().map(|&edge| self.source(edge))
    }

    /// Every reading of the value, the newest first; graph outputs and implicit operands included.
    pub fn readers(&self, value: ValueId) -> impl Iterator<Item = Use> {
        let live = self.contains(value.node);
        self.store
            .edges_directed(NodeIndex::new(value.node.slot()), Direction::Outgoing)
            .filter(move |edge| live && edge.weight().from_port == value.port)
            .map(|edge| Use { node: self.id_at(edge.target()), slot: edge.weight().to })
    }

    /// Whether anything reads any output of the vertex.
    pub fn is_read(&self, id: NodeId) -> bool {
        self.contains(id) && self.store.edges_directed(NodeIndex::new(id.slot()), Direction::Outgoing).next().is_some()
    }

    /// The only reading of the value; `None` if there is none or more than one.
    pub fn sole_reader(&self, value: ValueId) -> Option<Use> {
        let mut readers = self.readers(value);
        readers.next().filter(|_| readers.next().is_none())
    }

    /// The port of a value.
    ///
    /// # Panics
    /// If the producer was removed or has no such port.
    pub fn port(&self, value: ValueId) -> &Port {
        self.vertex(value.node).ports().get(value.port as usize).expect("a port that its vertex does not have")
    }

    /// What is known of a value.
    pub fn ty(&self, value: ValueId) -> &Type {
        &self.port(value).ty
    }

    /// The elements of a small tensor of whole numbers, where they are known or symbolic.
    pub fn elements(&self, value: ValueId) -> Option<&[Dim]> {
        self.port(value).elements.as_deref()
    }

    /// The dense tensor, if the value is a constant that no caller can override.
    pub fn constant(&self, value: ValueId) -> Option<&Tensor> {
        match self.get(value.node)? {
            Vertex::Constant(constant) => constant.value.dense(),
            _ => None,
        }
    }

    /// The label of a value for messages; a nameless one is called by its producer.
    pub fn label(&self, value: ValueId) -> String {
        match (&self.port(value).name, self.get(value.node)) {
            (Some(name), _) => name.to_string(),
            (None, Some(Vertex::Node(node))) => format!("{} output {}", node.op_type, value.port),
            (None, _) => format!("{value:?}"),
        }
    }

    /// How messages call a vertex: `Conv "conv1"`, `input "x"`, ….
    pub fn describe(&self, id: NodeId) -> String {
        match self.get(id) {
            Some(Vertex::Node(node)) => {
                let own = node.name.as_ref().filter(|name| !name.is_empty());
                match own.or_else(|| node.ports.iter().find_map(|port| port.name.as_ref())) {
                    Some(name) => format!("{} `{name}`", node.op_type),
                    None => format!("{}", node.op_type),
                }
            }
            Some(Vertex::Output(output)) => format!("output `{}`", output.name),
            Some(Vertex::Input(_)) => format!("input `{}`", self.label(id.port(0))),
            Some(Vertex::Constant(_)) => format!("constant `{}`", self.label(id.port(0))),
            Some(Vertex::Capture(_)) => format!("captured `{}`", self.label(id.port(0))),
            None => format!("removed {id:?}"),
        }
    }

    /// Nodes of the graph and of its subgraphs, constants that the file writes as nodes included.
    pub fn node_count(&self) -> usize {
        self.vertices()
            .map(|(_, vertex)| match vertex {
                Vertex::Node(node) => 1 + node.subgraphs().map(Self::node_count).sum::<usize>(),
                Vertex::Constant(constant) => usize::from(matches!(constant.form, ConstantForm::Node { .. })),
                _ => 0,
            })
            .sum()
    }
}
