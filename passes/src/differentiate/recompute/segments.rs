//! Where the way forward can be cut, and what then has to be kept.

use std::collections::{HashMap, HashSet};

use onnxpress_ir::analysis::value_bytes;
use onnxpress_ir::{AttrValue, Graph, NodeId, Symbol, ValueId};
use onnxpress_ops::{Effects, table};

/// The way forward of a training step: nodes that depend on samples, and that the loss depends on.
pub(super) struct Forward {
    /// In the order of computation.
    pub(super) nodes: Vec<NodeId>,
    place: HashMap<NodeId, usize>,
    /// All that the loss depends on, constants and inputs among it.
    behind: HashSet<NodeId>,
    /// Samples, and what is wanted of them.
    samples: HashSet<NodeId>,
    /// Values that cannot be computed anew.
    lasting: HashSet<ValueId>,
    /// The place of the last node of the way forward that reads a value.
    last_read: HashMap<ValueId, usize>,
    /// Bytes of a node's results that the way back reads.
    read_back: Vec<u64>,
    /// Bytes that go from what is computed up to a node to what comes behind.
    across: Vec<u64>,
}

/// All that a value is computed of.
fn behind(graph: &Graph, value: ValueId) -> HashSet<NodeId> {
    let (mut seen, mut waiting) = (HashSet::new(), vec![value.node]);
    while let Some(id) = waiting.pop() {
        if seen.insert(id) {
            waiting.extend(graph.reads(id).map(|value| value.node));
        }
    }
    seen
}

/// Whether a node gives the same again for the same operands, and has no graphs inside.
fn can_repeat(graph: &Graph, id: NodeId) -> bool {
    let Some(node) = graph.node(id) else { return false };
    let holds = node.attrs.iter().any(|attr| matches!(attr.value, AttrValue::Graph(_) | AttrValue::Graphs(_)));
    !holds && table::of(node).is_some_and(|sheet| sheet.effects == Effects::Pure)
}

impl Forward {
    /// That of a step, whose first output is the loss.
    pub(super) fn of(graph: &Graph, bind: &dyn Fn(&Symbol) -> Option<i64>) -> Self {
        let loss = graph.outputs().first().and_then(|&id| graph.operand(id, 0));
        let behind = loss.map(|loss| behind(graph, loss)).unwrap_or_default();
        let inputs = graph.inputs().iter().copied();
        let samples: HashSet<NodeId> = inputs.filter(|&id| graph.input(id).default.is_none()).collect();
        let mut moving = samples.clone();
        let mut nodes = Vec::new();
        for id in graph.topological().unwrap_or_default() {
            if behind.contains(&id)
                && graph.node(id).is_some()
                && graph.reads(id).any(|value| moving.contains(&value.node))
            {
                moving.insert(id);
                nodes.push(id);
            }
        }
        let place: HashMap<NodeId, usize> = nodes.iter().enumerate().map(|(at, &id)| (id, at)).collect();
        let count = nodes.len();
        let mut forward = Self {
            nodes,
            place,
            behind,
            samples,
            lasting: HashSet::new(),
            last_read: HashMap::new(),
            read_back: vec![0; count],
            across: vec![0; count],
        };
        let (mut begun, mut ended) = (vec![0u64; count], vec![0u64; count]);
        for (at, id) in forward.nodes.clone().into_iter().enumerate() {
            for value in results(graph, id) {
                let bytes = value_bytes(graph.ty(value), bind);
                let reading = graph.readers(value).filter_map(|reader| forward.place.get(&reader.node).copied());
                let last = reading.max().unwrap_or(at);
                forward.last_read.insert(value, last);
                begun[at] = begun[at].saturating_add(bytes);
                ended[last] = ended[last].saturating_add(bytes);
                let given_out = graph.readers(value).any(|reader| graph.outputs().contains(&reader.node));
                // Whole numbers are extents and places, which types are inferred from.
                let float = graph.ty(value).dtype().is_some_and(|dtype| dtype.is_float());
                if given_out || !float || !can_repeat(graph, id) {
                    forward.lasting.insert(value);
                } else if forward.is_read_back(graph, value) {
                    forward.read_back[at] = forward.read_back[at].saturating_add(bytes);
                }
            }
        }
        let mut held = 0u64;
        for (at, across) in forward.across.iter_mut().enumerate() {
            held = held.saturating_add(begun[at]).saturating_sub(ended[at]);
            *across = held;
        }
        forward
    }

    /// Whether the loss depends on a node.
    pub(super) fn is_behind(&self, id: NodeId) -> bool {
        self.behind.contains(&id)
    }

    /// Whether what a value is depends on samples, and it is computed on the way forward or given.
    pub(super) fn moves(&self, value: ValueId) -> bool {
        self.place.contains_key(&value.node) || self.samples.contains(&value.node)
    }

    /// Where a node stands on the way forward.
    pub(super) fn place(&self, id: NodeId) -> Option<usize> {
        self.place.get(&id).copied()
    }

    /// Whether the way back reads a value.
    pub(super) fn is_read_back(&self, graph: &Graph, value: ValueId) -> bool {
        graph.readers(value).any(|reader| !self.is_behind(reader.node))
    }

    /// Whether a value of a segment that ends there is kept.
    pub(super) fn is_kept(&self, value: ValueId, end: usize) -> bool {
        self.lasting.contains(&value) || self.last_read.get(&value).is_none_or(|&last| last > end)
    }

    /// Bytes of all that the way back reads and that could be computed anew.
    pub(super) fn read_back(&self) -> u64 {
        self.read_back.iter().fold(0, |sum, &bytes| sum.saturating_add(bytes))
    }

    /// The places of last nodes of segments that hold about so many bytes for the way back, each where least goes across. What stands behind
    /// the last of them is a segment too, which nothing is computed anew of.
    pub(super) fn ends(&self, bytes: u64) -> Vec<usize> {
        let (mut ends, mut held) = (Vec::new(), 0u64);
        let mut best: Option<usize> = None;
        for at in 0..self.nodes.len() {
            held = held.saturating_add(self.read_back[at]);
            if 2 * held >= bytes && best.is_none_or(|best| self.across[at] <= self.across[best]) {
                best = Some(at);
            }
            if held > bytes
                && let Some(end) = best.take()
            {
                ends.push(end);
                held = self.read_back[end + 1..=at].iter().sum();
            }
        }
        ends.retain(|&end| end + 1 < self.nodes.len());
        ends
    }
}

/// The results of a node.
pub(super) fn results(graph: &Graph, id: NodeId) -> impl Iterator<Item = ValueId> {
    let count = graph.node(id).map_or(0, |node| node.port_count()) as u32;
    (0..count).map(move |port| id.port(port))
}
