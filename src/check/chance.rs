//! Outputs that depend on chance, of which no two runs agree.

use std::collections::BTreeSet;

use onnxpress_ir::{Graph, Model, NodeId};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::{Effects, table};

/// Which outputs of the model depend on a random operator, one entry an output.
pub(super) fn random_outputs(model: &Model) -> Vec<bool> {
    let graph = &model.graph;
    let mut chancy: BTreeSet<NodeId> = BTreeSet::new();
    // A cycle has no order, and is no business of this.
    for id in graph.topological().unwrap_or_default() {
        if is_random(model, graph, id, 0) || graph.reads(id).any(|value| chancy.contains(&value.node)) {
            chancy.insert(id);
        }
    }
    graph.outputs().iter().map(|&id| graph.operand(id, 0).is_some_and(|value| chancy.contains(&value.node))).collect()
}

/// How deep functions that call each other are followed.
const DEPTH: usize = 20;

fn is_random(model: &Model, graph: &Graph, id: NodeId, depth: usize) -> bool {
    let Some(cx) = NodeCx::new(graph, id) else { return false };
    let node = cx.node;
    if let Some(function) = model.function(node.domain.as_bytes(), &node.op_type, &node.overload) {
        return depth > DEPTH || function.body.nodes().any(|(id, _)| is_random(model, &function.body, id, depth + 1));
    }
    if node.subgraphs().any(|body| body.nodes().any(|(id, _)| is_random(model, body, id, depth + 1))) {
        return true;
    }
    match table::of(node).map(|operator| operator.effects) {
        // Outside of training, Dropout drops nothing.
        Some(Effects::Random) if node.is("Dropout") => {
            cx.has(2) && cx.constant(2).and_then(|flag| flag.to_i64s().ok()).is_none_or(|flag| flag != [0])
        }
        Some(Effects::Random) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn random(text: &str) -> Vec<bool> {
        random_outputs(&Model::from_text(text).unwrap())
    }

    #[test]
    fn chance_reaches_whatever_reads_it() {
        let text = "g (float[2] x, bool c) => (y, z, w, d) <float r = {0.5}, bool off = {0}> {
            n = RandomNormalLike(x)
            y = Add(x, n)
            z = Neg(x)
            w = If (c) <then_branch = a () => (p) { p = Neg(n) }, else_branch = b () => (q) { q = Neg(x) }>
            d = Dropout(x, r, off)
        }";
        assert_eq!(random(text), [true, false, true, false]);
        let inside = "g (float[2] x, bool c) => (w) {
            w = If (c) <then_branch = a () => (p) { p = RandomNormalLike(x) }, else_branch = b () => (q) { q = Neg(x) }>
        }";
        assert_eq!(random(inside), [true]);
        let training = "g (float[2] x, bool t) => (y) <float r = {0.5}> { y = Dropout(x, r, t) }";
        assert_eq!(random(training), [true]);
    }
}
