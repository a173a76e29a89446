//! How much work a run is, before it is begun.

use onnxpress_ir::{Dim, Graph, Model};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::{Cost, table};

/// Rounds that a loop is likely to make where nobody knows.
pub(super) const ROUNDS: u64 = 16;

/// Elements that a value is taken to have where nobody knows.
const ELEMENTS: u64 = 1024;

/// About how many elementary steps a run takes: multiply-accumulates, and elements of outputs. The model's shapes are inferred
/// for the inputs at hand. Loops of which nobody knows how often they run are taken to run `rounds` times.
pub(super) fn steps(model: &Model, rounds: u64) -> u64 {
    let functions: u64 =
        model.functions.iter().map(|function| graph_steps(&function.body, rounds)).fold(0, u64::saturating_add);
    // How often a function is called is not looked at; bodies are small beside what they are called on.
    graph_steps(&model.graph, rounds).saturating_add(functions)
}

fn graph_steps(graph: &Graph, rounds: u64) -> u64 {
    let known = |dim: &Dim, otherwise: u64| dim.as_const().map_or(otherwise, |count| u64::try_from(count).unwrap_or(0));
    let mut total = 0u64;
    for (id, node) in graph.nodes() {
        let Some(cx) = NodeCx::new(graph, id) else { continue };
        let macs = match table::of(node).map(|operator| operator.cost) {
            Some(Cost::Macs(macs)) => known(&macs(&cx), ELEMENTS),
            _ => 0,
        };
        let outputs = node.ports().iter().filter(|port| !port.omitted);
        let elements = outputs.map(|port| port.ty.shape().map_or(ELEMENTS, |shape| known(&shape.size(), ELEMENTS)));
        let elements = elements.fold(0, u64::saturating_add);
        let bodies = node.subgraphs().map(|body| graph_steps(body, rounds)).fold(0, u64::saturating_add);
        // A node costs something even if it computes nothing.
        let own = macs.saturating_add(elements).saturating_add(16);
        total = total.saturating_add(own).saturating_add(bodies.saturating_mul(turns(&cx).unwrap_or(rounds)));
    }
    total
}

/// How often the subgraphs of a node run, where that is known.
fn turns(cx: &NodeCx<'_>) -> Option<u64> {
    match cx.node.op_type.as_bytes() {
        b"If" => Some(1),
        b"Loop" => u64::try_from(*cx.ints(0)?.first()?).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::Tensor;
    use onnxpress_ops::evaluate::Value;

    use super::*;

    #[test]
    fn work_grows_with_the_inputs() {
        let text = "g (float[N,1,H,H] x) => (y) <float[1,1,3,3] w = iota> { y = Conv(x, w) }";
        let model = Model::from_text(text).unwrap();
        let at = |dims: &[usize]| {
            let zeros = Tensor::from_values(dims, vec![0f32; dims.iter().product()]).unwrap();
            steps(&crate::runner::specialize::at_inputs(&model, &[Some(Value::Tensor(zeros))]), ROUNDS)
        };
        assert_eq!(at(&[1, 1, 3, 3]), 9 + 1 + 16);
        assert_eq!(at(&[2, 1, 12, 12]), 2 * 100 * (9 + 1) + 16);
    }
}
