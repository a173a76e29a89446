//! Sweeping: what nothing reads any more goes, and with it what only that read.

use onnxpress_ir::{Edit, Graph, NodeId, Touched, Vertex};
use onnxpress_ops::infer::Standard;

use super::effects::Effect;
use super::surroundings::ModelFacts;

/// Whether a vertex may go when nothing reads it.
pub(crate) fn may_go(graph: &Graph, id: NodeId, model: &ModelFacts) -> bool {
    match graph.get(id) {
        Some(Vertex::Constant(_)) => true,
        // A node without outputs can only be there for what else it does.
        Some(Vertex::Node(node)) => node.port_count() > 0 && Effect::of(node, model).may_go(),
        _ => false,
    }
}

/// Removes those of `candidates` that nothing reads and that may go, then those of their producers, and so on. Answers what
/// was removed and which producers lost a reader.
pub fn sweep(graph: &mut Graph, candidates: &[NodeId], model: &ModelFacts) -> Touched {
    let mut swept = Touched::default();
    let mut candidates = candidates.to_vec();
    while !candidates.is_empty() {
        candidates.retain(|&id| graph.contains(id) && !graph.is_read(id) && may_go(graph, id, model));
        let mut edit = Edit::new(graph, &Standard, "eliminate-dead", &[]);
        for &id in &candidates {
            edit.remove(id);
        }
        let touched = edit.commit();
        swept.removed += touched.removed;
        swept.gone.extend(&touched.gone);
        swept.orphaned.extend(&touched.orphaned);
        candidates = touched.orphaned;
    }
    swept.orphaned.retain(|&id| graph.contains(id));
    swept.orphaned.sort_unstable();
    swept.orphaned.dedup();
    swept
}
