//! Products of whole numbers behind `DynamicQuantizeLinear` as products of floats.
//!
//! `Cast(MatMulInteger(q, w, zero)) * (scale * c)` is the product of the activation and `w * c`, but for the rounding of the
//! activation.

use onnxpress_ir::{Edit, EditError, Graph, Node, NodeId, Tensor, ValueId};
use onnxpress_ops::infer::Standard;
use onnxpress_ops::node::NodeCx;

use super::{Dequantize, Taken, decoded};
use crate::pass::{Pass, PassCx, PassError};
use crate::quantize::weight::Granularity;

/// Makes floats of all such products of a graph; answers how many.
pub(super) fn products(graph: &mut Graph, taken: &Taken, cx: &mut PassCx<'_>) -> Result<usize, PassError> {
    let is_product = |node: &Node| node.is("MatMulInteger") || node.is("ConvInteger");
    let nodes: Vec<NodeId> = graph.nodes().filter(|(_, node)| is_product(node)).map(|(id, _)| id).collect();
    let mut count = 0;
    for id in nodes {
        match found(graph, id, taken) {
            Err(reason) => cx.declined(Dequantize::NAME, graph.describe(id), reason),
            Ok(product) => {
                replace(graph, id, product).map_err(|error| PassError::Broken(error.to_string()))?;
                count += 1;
            }
        }
    }
    Ok(count)
}

/// A product of whole numbers, and what is made of it.
struct Product {
    input: ValueId,
    name: Option<onnxpress_ir::Name>,
    /// The multiplications by the scale, each with the weight that it makes.
    scaled: Vec<(NodeId, Tensor)>,
}

fn found(graph: &Graph, id: NodeId, taken: &Taken) -> Result<Product, String> {
    let cx = NodeCx::new(graph, id).ok_or("it is gone")?;
    let (Some(codes), Some(zero)) = (cx.operand(0), cx.operand(2)) else {
        return Err("its first operand has no zero point".to_owned());
    };
    let quantizes = graph.node(codes.node).is_some_and(|node| node.is("DynamicQuantizeLinear"));
    if !quantizes || codes.port != 0 || zero != codes.node.port(2) {
        return Err("its first operand is not what DynamicQuantizeLinear gives".to_owned());
    }
    let input = graph.operand(codes.node, 0).ok_or("nothing is quantized")?;
    let scale = codes.node.port(1);
    let weight = cx.constant(1).ok_or("its weight is no constant")?;
    let zeros = match cx.operand(3) {
        Some(_) => Some(cx.constant(3).ok_or("the zero point of its weight is no constant")?.clone()),
        None => None,
    };
    let axis = if cx.node.is("ConvInteger") { 0 } else { weight.rank().saturating_sub(1) };
    let mut scaled = Vec::new();
    for reading in graph.readers(id.port(0)) {
        let cast = graph.node(reading.node).filter(|node| node.is("Cast")).ok_or("no Cast makes floats of its sums")?;
        debug_assert!(cast.port_count() == 1);
        for reading in graph.readers(reading.node.port(0)) {
            let reason = "its sums are not multiplied by the scale";
            let product = NodeCx::new(graph, reading.node).filter(|cx| cx.node.is("Mul")).ok_or(reason)?;
            let other = (0..2)
                .filter_map(|slot| product.operand(slot))
                .find(|value| value.node != reading_source(&reading, graph));
            let factor = factor(graph, other.ok_or(reason)?, scale).ok_or(reason)?;
            let count = factor.len();
            let how = if count == 1 { Granularity::Tensor } else { Granularity::Channel(axis) };
            let fits = count == 1 || weight.dims().get(axis) == Some(&count) && along(&factor, axis == 0);
            let float = decoded(weight, &factor, zeros.clone(), how).filter(|_| fits);
            scaled.push((reading.node, float.ok_or("its scales do not run along its output channels")?));
        }
    }
    if scaled.is_empty() {
        return Err("nobody reads its sums".to_owned());
    }
    scaled.sort_by_key(|(node, _)| (graph.place(*node), *node));
    let name = cx.operand(1).and_then(|codes| taken.restored(graph, codes));
    Ok(Product { input, name, scaled })
}

/// The vertex whose value a reading reads.
fn reading_source(reading: &onnxpress_ir::Use, graph: &Graph) -> NodeId {
    match reading.slot {
        onnxpress_ir::Slot::Operand(slot) => {
            graph.operand(reading.node, slot as usize).map_or(reading.node, |value| value.node)
        }
        onnxpress_ir::Slot::Capture(_) => reading.node,
    }
}

/// Whether a list of factors runs along output channels: of a convolution the axis before the spatial ones, of matrices the last.
fn along(factor: &Tensor, of_convolution: bool) -> bool {
    let long: Vec<usize> = (0..factor.rank()).filter(|&axis| factor.dims()[axis] > 1).collect();
    let Some(&axis) = long.first() else { return true };
    long.len() == 1 && (of_convolution || axis + 1 == factor.rank())
}

/// What a value is besides the scale that it is made of.
fn factor(graph: &Graph, value: ValueId, scale: ValueId) -> Option<Tensor> {
    if value == scale {
        return Some(Tensor::scalar(1f32));
    }
    let cx = NodeCx::new(graph, value.node).filter(|cx| cx.node.is("Mul"))?;
    match (cx.operand(0)?, cx.operand(1)?) {
        (a, _) if a == scale => cx.constant(1).cloned(),
        (_, b) if b == scale => cx.constant(0).cloned(),
        _ => None,
    }
}

fn replace(graph: &mut Graph, id: NodeId, product: Product) -> Result<(), EditError> {
    let Some(node) = graph.node(id) else { return Ok(()) };
    let mut own = Node::new(if node.is("ConvInteger") { "Conv" } else { "MatMul" }, 1).named(node.name.clone());
    own.attrs = node.attrs.clone();
    let mut edit = Edit::new(graph, &Standard, Dequantize::NAME, &[id]);
    for (scaled, weight) in product.scaled {
        let weight = edit.add_constant(product.name.clone(), weight);
        let floats = edit.add(own.clone(), &[product.input, weight])?;
        edit.replace(scaled.port(0), floats)?;
    }
    edit.commit();
    Ok(())
}
