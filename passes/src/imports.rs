//! The operator sets that a model or function imports, which every graph inside shares.

use std::sync::Arc;

use onnxpress_ir::{Graph, Opsets};

/// Makes a graph, and all inside of it, one of these operator sets.
pub(crate) fn import(graph: &mut Graph, opsets: &Arc<Opsets>) {
    graph.opsets = Arc::clone(opsets);
    graph.touch();
    let holders: Vec<_> = graph.nodes().filter(|(_, node)| node.has_subgraphs()).map(|(id, _)| id).collect();
    for id in holders {
        graph.subgraphs_mut(id).for_each(|body| import(body, opsets));
    }
}
