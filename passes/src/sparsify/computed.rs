//! Weights that are computed of constants alone, as of values and a bit for each element, written out.

use std::collections::BTreeSet;

use onnxpress_ir::{Edit, Graph, Model, NodeId, Tensor, ValueId};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::infer::Standard;
use onnxpress_ops::interpret::{self, Limits};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::Linear;
use onnxpress_ops::table;

use crate::evidence::part;

/// The most nodes that a weight is computed by.
const REACH: usize = 64;

/// Puts constants in the place of computed weights. What cannot be computed stays; so does what `DequantizeLinear` gives, which is looked
/// through by whoever reads weights.
pub(super) fn write_out(model: &mut Model) {
    let found: BTreeSet<ValueId> = weights(&model.graph).collect();
    let made: Vec<(ValueId, Tensor)> =
        found.into_iter().filter_map(|value| Some((value, computed(model, value)?))).collect();
    if made.is_empty() {
        return;
    }
    let mut edit = Edit::new(&mut model.graph, &Standard, "sparsify", &[]);
    for (value, tensor) in made {
        let name = edit.graph().port(value).name.clone();
        let constant = edit.add_constant(name, tensor);
        if edit.replace(value, constant).is_err() {
            return;
        }
    }
    edit.commit();
}

/// The weights of linear layers that are no constants but hang on nothing else.
fn weights(graph: &Graph) -> impl Iterator<Item = ValueId> + '_ {
    let of_node = |(id, node)| {
        let cx = NodeCx::new(graph, id)?;
        let Linear::Layers(layers) = table::of(node)?.linear else { return None };
        let weights: Vec<ValueId> = layers(&cx).iter().filter_map(|layer| cx.operand(layer.weight)).collect();
        Some(weights)
    };
    let all = graph.nodes().filter_map(of_node).flatten();
    all.filter(|&weight| graph.constant(weight).is_none() && of_constants(graph, weight.node))
}

fn of_constants(graph: &Graph, root: NodeId) -> bool {
    let (mut open, mut seen) = (vec![root], BTreeSet::new());
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let is_plain = graph.node(id).is_some_and(|node| !node.is("DequantizeLinear"));
        if !is_plain || seen.len() > REACH {
            return false;
        }
        open.extend(graph.reads(id).filter(|value| graph.constant(*value).is_none()).map(|value| value.node));
    }
    true
}

fn computed(model: &Model, value: ValueId) -> Option<Tensor> {
    let part = part(model, &[], &[value]).ok()?;
    match interpret::run(&part, Vec::new(), Limits::default()).ok()?.pop()? {
        Value::Tensor(tensor) => Some(tensor),
        _ => None,
    }
}
