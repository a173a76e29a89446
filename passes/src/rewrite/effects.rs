//! What a node does beside computing its outputs from its operands.

use onnxpress_ir::{Graph, Node};
use onnxpress_ops::operator::Effects;
use onnxpress_ops::{schema, table};

use super::surroundings::ModelFacts;

/// What a node does beside computing its outputs from its operands; the more, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing.
    Pure,
    /// It draws lots: it may go when nothing reads it, and that is all.
    Random,
    /// Nobody knows, since its operator is not known.
    Unknown,
}

impl Effect {
    /// Of a node.
    pub fn of(node: &Node, model: &ModelFacts) -> Self {
        if let Some(effect) = model.called(node) {
            return effect;
        }
        let own = match table::of(node).map(|operator| operator.effects) {
            Some(Effects::Pure | Effects::OfBodies) => Self::Pure,
            Some(Effects::Random) => Self::Random,
            // Operators without a data sheet can be random, and nothing worse, where the standard or onnxruntime has them.
            None if !schema::versions(node.canonical_domain(), node.op_type.as_bytes()).is_empty() => Self::Random,
            None => Self::Unknown,
        };
        node.subgraphs().map(|body| of_graph(body, model)).fold(own, Self::max)
    }

    /// Whether a node may go when nothing reads it.
    pub fn may_go(self) -> bool {
        self <= Self::Random
    }
}

/// Of all nodes of a graph together.
pub(super) fn of_graph(graph: &Graph, model: &ModelFacts) -> Effect {
    graph.nodes().map(|(_, node)| Effect::of(node, model)).fold(Effect::Pure, Effect::max)
}
