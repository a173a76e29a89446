//! One of two models on its way through its nodes: how far it is, and which values it has to keep.
//!
//! What depends on no input, such as floats that are made of a weight's codes, is never kept: it is computed anew where it is read, so
//! it takes no memory from layer to layer, and follows the constants that it is made of. Unless a layer reads it as its input, which
//! is looked at.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use onnxpress_ir::{Graph, Model, NodeId, ValueId};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::Linear;
use onnxpress_ops::{Effects, table};

use crate::evidence::EvidenceError;

/// A model, and the place in its order that it has come to.
pub(super) struct Walk {
    pub(super) model: Model,
    order: Vec<NodeId>,
    place: HashMap<NodeId, usize>,
    /// Nodes that depend on inputs, or on chance.
    varying: HashSet<NodeId>,
    /// What linear layers read as their inputs.
    seen: HashSet<ValueId>,
    /// Nodes before this place are behind.
    at: usize,
    /// What of the node at this place is there already.
    ahead: BTreeSet<ValueId>,
}

/// What lies between where a model is and where it is to go.
pub(super) struct Stretch {
    /// What is at hand.
    pub(super) given: Vec<ValueId>,
    /// What has to be computed of it.
    pub(super) made: Vec<ValueId>,
    /// What is still read from there on.
    pub(super) kept: BTreeSet<ValueId>,
    to: usize,
}

impl Walk {
    /// At the inputs of a model.
    ///
    /// # Errors
    /// Where the graph has a circle.
    pub(super) fn of(model: &Model) -> Result<Self, EvidenceError> {
        Self::along(model, |_| None)
    }

    /// At the inputs of a model whose nodes are passed, as far as they do not wait for each other, in the order of the places that
    /// `known` gives them; others as soon as what they read is there.
    ///
    /// # Errors
    /// Where the graph has a circle.
    pub(super) fn along(model: &Model, known: impl Fn(NodeId) -> Option<usize>) -> Result<Self, EvidenceError> {
        let order = ordered(&model.graph, known)?;
        let place = order.iter().enumerate().map(|(place, &id)| (id, place)).collect();
        let (varying, seen) = (varying(&model.graph, &order), seen(&model.graph, &order));
        Ok(Self { model: model.clone(), order, place, varying, seen, at: 0, ahead: BTreeSet::new() })
    }

    /// Nodes in the order in which they are passed.
    pub(super) fn order(&self) -> &[NodeId] {
        &self.order
    }

    /// The place of a node in the order.
    pub(super) fn place(&self, node: NodeId) -> Option<usize> {
        self.place.get(&node).copied()
    }

    /// How far it is.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The values that are kept where it is.
    pub(super) fn live(&self) -> BTreeSet<ValueId> {
        let mut live = self.live_at(self.at);
        live.extend(&self.ahead);
        live
    }

    /// What the next node answers that somebody reads.
    pub(super) fn answered(&self, node: NodeId) -> Vec<ValueId> {
        let graph = &self.model.graph;
        let ports = graph.node(node).map_or(0, |node| node.port_count() as u32);
        (0..ports).map(|port| node.port(port)).filter(|&value| graph.readers(value).next().is_some()).collect()
    }

    /// Has what the next node answers.
    pub(super) fn got(&mut self, answered: &[ValueId]) {
        self.ahead.extend(answered);
    }

    /// The values that nodes before a place have made, inputs too, and that nodes from there on, or outputs, read.
    fn live_at(&self, at: usize) -> BTreeSet<ValueId> {
        let graph = &self.model.graph;
        let behind: HashSet<NodeId> = self.order[..at].iter().chain(graph.inputs()).copied().collect();
        let ahead = self.order[at..].iter().chain(graph.outputs());
        let read = ahead.flat_map(|&id| graph.reads(id).collect::<Vec<_>>());
        let is_kept = |value: &ValueId| self.varying.contains(&value.node) || self.seen.contains(value);
        read.filter(|value| behind.contains(&value.node) && is_kept(value)).collect()
    }

    /// The way to just before a node; `None` where it is there or beyond.
    pub(super) fn stretch(&self, node: NodeId) -> Option<Stretch> {
        let to = self.place(node).filter(|to| *to > self.at)?;
        let (before, kept) = (self.live(), self.live_at(to));
        // What is there already stays; only what the nodes between make is computed.
        let made = kept.iter().copied().filter(|value| !before.contains(value)).collect();
        Some(Stretch { given: before.into_iter().collect(), made, kept, to })
    }

    /// Is at the end of a stretch.
    pub(super) fn went(&mut self, stretch: &Stretch) {
        self.at = stretch.to;
        self.ahead.clear();
    }
}

/// The nodes of a graph in topological order; of those that could be next, the one with the lowest known place, one without a
/// place before all others.
fn ordered(graph: &Graph, known: impl Fn(NodeId) -> Option<usize>) -> Result<Vec<NodeId>, EvidenceError> {
    let plain = graph.topological().map_err(|_| EvidenceError::Run("the graph has a circle".to_owned()))?;
    let plain: Vec<NodeId> = plain.into_iter().filter(|&id| graph.node(id).is_some()).collect();
    let rank: HashMap<NodeId, (usize, usize)> =
        plain.iter().enumerate().map(|(place, &id)| (id, (known(id).map_or(0, |known| known + 1), place))).collect();
    let mut waits: HashMap<NodeId, usize> = HashMap::new();
    let mut readers: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
    for &id in &plain {
        let makers: BTreeSet<NodeId> =
            graph.reads(id).map(|value| value.node).filter(|maker| rank.contains_key(maker)).collect();
        waits.insert(id, makers.len());
        makers.into_iter().for_each(|maker| readers.entry(maker).or_default().push(id));
    }
    let mut ready: BTreeSet<((usize, usize), NodeId)> =
        plain.iter().filter(|id| waits[*id] == 0).map(|&id| (rank[&id], id)).collect();
    let mut order = Vec::with_capacity(plain.len());
    while let Some((_, id)) = ready.pop_first() {
        order.push(id);
        for &reader in readers.get(&id).into_iter().flatten() {
            if let Some(left) = waits.get_mut(&reader) {
                *left -= 1;
                if *left == 0 {
                    ready.insert((rank[&reader], reader));
                }
            }
        }
    }
    Ok(order)
}

/// Nodes that do not always answer the same: they read an input, what such a node answers, or draw at random.
fn varying(graph: &Graph, order: &[NodeId]) -> HashSet<NodeId> {
    let mut varying: HashSet<NodeId> = graph.inputs().iter().copied().collect();
    for &id in order {
        let is_drawn = graph.node(id).and_then(table::of).is_none_or(|sheet| sheet.effects != Effects::Pure);
        if is_drawn || graph.reads(id).any(|value| varying.contains(&value.node)) {
            varying.insert(id);
        }
    }
    varying
}

/// What linear layers read as their inputs.
fn seen(graph: &Graph, order: &[NodeId]) -> HashSet<ValueId> {
    let inputs = |&id: &NodeId| {
        let cx = NodeCx::new(graph, id)?;
        let Linear::Layers(layers) = table::of(cx.node)?.linear else { return None };
        Some(layers(&cx).into_iter().filter_map(|layer| cx.operand(layer.input)).collect::<Vec<_>>())
    };
    order.iter().filter_map(inputs).flatten().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::evidence::testing::{typed, value};

    #[test]
    fn nodes_that_came_in_between_are_passed_as_soon_as_they_can() {
        let before = typed("g (float[2] x) => (y) { a = Neg(x) b = Abs(a) c = Relu(a) y = Add(b, c) }");
        let after = typed("g (float[2] x) => (y) { y = Add(b, c) c = Relu(d) b = Abs(a) d = Identity(a) a = Neg(x) }");
        let walk = Walk::of(&before).unwrap();
        let named = |model: &Model, name: &str| value(model, name).node;
        let known =
            |id: NodeId| ["a", "b", "c", "y"].iter().position(|name| named(&after, name) == id).map(|place| place + 1);
        let along = Walk::along(&after, known).unwrap();
        let labels =
            |walk: &Walk| -> Vec<String> { walk.order().iter().map(|id| walk.model.graph.label(id.port(0))).collect() };
        assert_eq!(labels(&walk), ["a", "b", "c", "y"]);
        assert_eq!(labels(&along), ["a", "d", "b", "c", "y"]);
        let stretch = along.stretch(named(&after, "c")).unwrap();
        assert_eq!((stretch.given.len(), stretch.made.len()), (1, 2));
    }

    #[test]
    fn what_depends_on_no_input_is_made_anew_where_it_is_read() {
        let model = typed(
            "g (float[2] x) => (y) <int32[2] codes = {1, 2}, float s = {0.5}> { b = DequantizeLinear(codes, s) a = Neg(x) n = RandomNormalLike(b) c = Add(a, n) y = Add(c, b) }",
        );
        let walk = Walk::of(&model).unwrap();
        let stretch = walk.stretch(value(&model, "y").node).unwrap();
        assert_eq!(stretch.made, [value(&model, "c")]);
        let stretch = walk.stretch(value(&model, "c").node).unwrap();
        assert_eq!(stretch.made.len(), 2, "what is drawn is kept");
    }
}
