//! Where a layer's bias stands.

use onnxpress_ir::{Edit, Graph, Model, Name, NodeId, Tensor, ValueId};
use onnxpress_ops::infer::Standard;
use onnxpress_ops::node::NodeCx;
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
    /// There is one, and it cannot be changed: others read it, or it is no vector.
    Fixed,
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
            Some(_) => BiasSite::Fixed,
            None => BiasSite::Free,
        };
    }
    // What a Gemm adds is no bias of a weight on its left.
    if graph.node(node).is_some_and(|gemm| gemm.is("Gemm")) && graph.operand(node, 2).is_some() {
        return BiasSite::Fixed;
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

/// Gives a layer with a [free](BiasSite::Free) place for a bias one of zeros, in the name of `pass`; answers where its bias stands then.
pub(crate) fn give_bias(
    model: &mut Model,
    node: NodeId,
    layer: &LinearLayer,
    site: BiasSite,
    pass: &'static str,
) -> BiasSite {
    let made = || {
        let cx = NodeCx::new(&model.graph, node)?;
        let (weight, index) = (cx.operand(layer.weight)?, layer.bias.filter(|_| site == BiasSite::Free)?);
        let tensor = model.graph.constant(weight)?;
        let matrices = super::LayerWeight::of(layer, tensor.dims())?;
        let outputs = matrices.groups() * matrices.outputs();
        let zeros = Tensor::from_f64s(tensor.dtype(), &[outputs], &vec![0.0; outputs]).ok()?;
        let name = model.graph.port(weight).name.as_ref().map(|name| Name::from(format!("{name}_bias")));
        Some((index, zeros, name))
    };
    let Some((index, zeros, name)) = made() else { return site };
    let mut edit = Edit::new(&mut model.graph, &Standard, pass, &[node]);
    let bias = edit.add_constant(name, zeros);
    edit.set_operand(node, index, Some(bias));
    edit.commit();
    BiasSite::Own(bias)
}
