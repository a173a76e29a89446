//! Products of two computed values, as attention has them.

use onnxpress_ir::{DType, Edit, Graph, Model, NodeId};
use onnxpress_ops::infer::Standard;

use super::options::QuantizeDynamic;
use super::product::{self, Activations, Side};
use crate::pass::{Pass, PassError};

const NAME: &str = QuantizeDynamic::NAME;

/// Computes those of a model on whole numbers, in the result and in the witness, whose vertices are the same ones; answers how many.
pub(super) fn multiplied(
    options: &QuantizeDynamic,
    result: &mut Model,
    witness: &mut Model,
) -> Result<usize, PassError> {
    let mut count = within(options, &mut result.graph, Side::Result)?;
    within(options, &mut witness.graph, Side::Witness)?;
    for (place, function) in result.functions.iter_mut().enumerate() {
        count += within(options, &mut function.body, Side::Result)?;
        within(options, &mut witness.functions[place].body, Side::Witness)?;
    }
    Ok(count)
}

fn within(options: &QuantizeDynamic, graph: &mut Graph, side: Side) -> Result<usize, PassError> {
    let mut known = Activations::new();
    let found = products(options, graph);
    for &id in &found {
        let mut edit = Edit::new(graph, &Standard, NAME, &[id]);
        let replaced = product::replace_computed(&mut edit, id, &mut known, side);
        replaced.map_err(|error| PassError::Broken(error.to_string()))?;
        edit.commit();
    }
    let mut count = found.len();
    let holders: Vec<NodeId> = graph.nodes().filter(|(_, node)| node.has_subgraphs()).map(|(id, _)| id).collect();
    for id in holders {
        for body in graph.subgraphs_mut(id) {
            count += within(options, body, side)?;
        }
    }
    Ok(count)
}

/// The nodes of a graph that multiply two computed matrices of float, and that patterns allow.
fn products(options: &QuantizeDynamic, graph: &Graph) -> Vec<NodeId> {
    let computed = |id: NodeId, slot: usize| {
        let Some(value) = graph.operand(id, slot) else { return false };
        // What a graph takes from around it, and a function from its callers, may be a weight.
        let here = graph.node(value.node).is_some();
        let ty = graph.ty(value);
        here && ty.dtype() == Some(DType::Float) && ty.shape().is_some_and(|shape| shape.len() >= 2)
    };
    let found = graph.nodes().filter(|(id, node)| {
        let names = || node.name.iter().chain(node.ports().iter().filter_map(|port| port.name.as_ref()));
        let named = |patterns: &[crate::options::Pattern]| {
            patterns.iter().any(|pattern| names().any(|name| pattern.matches(&name.to_string())))
        };
        let allowed = !named(&options.keep) && (options.only.is_empty() || named(&options.only));
        node.is("MatMul") && allowed && computed(*id, 0) && computed(*id, 1)
    });
    found.map(|(id, _)| id).collect()
}
