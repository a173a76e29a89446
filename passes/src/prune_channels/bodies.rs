//! Layers inside subgraphs, which stay as they are: listed, so that nobody has to wonder.

use onnxpress_ir::{Graph, NodeId};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::Linear;
use onnxpress_ops::table;

use super::plan::PinnedGroup;

/// Deeper bodies are not looked into.
const DEEPEST: usize = 32;

/// The weights of layers in the bodies of a graph's nodes, with the reason why they stay.
pub(super) fn layers(graph: &Graph) -> Vec<PinnedGroup> {
    let mut found = Vec::new();
    for (id, node) in graph.nodes() {
        let reason = format!("in a body of {}: subgraphs are not pruned", graph.describe(id));
        node.subgraphs().for_each(|body| collect(body, &reason, 0, &mut found));
    }
    found
}

fn collect(body: &Graph, reason: &str, depth: usize, found: &mut Vec<PinnedGroup>) {
    for (id, node) in body.nodes() {
        found.extend(layer(body, id, reason));
        if depth < DEEPEST {
            node.subgraphs().for_each(|inner| collect(inner, reason, depth + 1, found));
        }
    }
}

/// The layer's outputs, where its weight is a constant of the body.
fn layer(body: &Graph, id: NodeId, reason: &str) -> Option<PinnedGroup> {
    let cx = NodeCx::new(body, id)?;
    let Linear::Layers(layers) = table::of(cx.node)?.linear else { return None };
    let layers = layers(&cx);
    let layer = layers.first()?;
    let weight = cx.operand(layer.weight)?;
    let channels = cx.shape(layer.weight)?.get(*layer.output_axes.first()?)?.as_const()?;
    // A weight from around the body is among those of the graph that has it.
    body.constant(weight).is_some().then(|| PinnedGroup {
        name: body.label(weight),
        channels: usize::try_from(channels).unwrap_or(0),
        reason: reason.to_owned(),
        members: Vec::new(),
    })
}
