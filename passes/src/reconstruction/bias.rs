//! Where a layer's bias stands.

use onnxpress_ir::{Graph, NodeId, ValueId};
use onnxpress_ops::{LinearLayer, Rows};

/// Where what is added to a layer's results can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BiasSite {
    /// The constant that is the layer's own bias.
    Own(ValueId),
    /// A constant vector that the next node adds, the only one that reads the results.
    Added(ValueId),
    /// The layer has a place for a bias that is not used.
    Free,
    /// Nowhere.
    Nowhere,
}

/// Where the bias of a layer stands: one number for each of `outputs`, read by this layer alone.
pub fn bias_site(graph: &Graph, node: NodeId, layer: &LinearLayer, outputs: usize) -> BiasSite {
    let alone = |value: ValueId| graph.sole_reader(value).is_some();
    let holds = |value: ValueId| {
        let fits = |tensor: &onnxpress_ir::Tensor| {
            tensor.len() == outputs && tensor.dims().last() == Some(&outputs) && tensor.dtype().is_float()
        };
        alone(value) && graph.constant(value).is_some_and(fits)
    };
    if let Some(index) = layer.bias {
        return match graph.operand(node, index) {
            Some(own) if holds(own) => BiasSite::Own(own),
            Some(_) => BiasSite::Nowhere,
            None => BiasSite::Free,
        };
    }
    let results = node.port(0);
    // A vector is added along the last axis, which must be that of the outputs.
    let last = graph.ty(results).shape().and_then(|shape| shape.len().checked_sub(1));
    let along_last = matches!(layer.rows, Rows::Along { output: Some(axis), .. } if Some(axis) == last);
    let Some(reading) = graph.sole_reader(results).filter(|_| along_last) else { return BiasSite::Nowhere };
    if !graph.node(reading.node).is_some_and(|reader| reader.is("Add")) {
        return BiasSite::Nowhere;
    }
    let other = graph.operands(reading.node).flatten().find(|&value| value != results);
    other.filter(|&value| holds(value)).map_or(BiasSite::Nowhere, BiasSite::Added)
}
