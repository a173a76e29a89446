//! A layer over whole numbers, in the result and in the witness.
//!
//! Result: `Cast(MatMulInteger(q, w, zero)) * (scale * w_scale) + bias`, the form that runtimes fuse. Witness: the layer as it
//! was, over the same whole numbers as floats, times the same scales. It rounds nothing but what is quantized: sums of products
//! of bytes are whole numbers that binary32 holds up to 2²⁴, so both round alike, and no activation behind falls to the other
//! side of a tie.

use std::collections::HashMap;

use onnxpress_ir::{Attr, DType, Edit, EditError, Name, Node, NodeId, Tensor, TensorError, ValueId};

use super::layers::{Kind, Layer};
use crate::quantize::weight::{Parts, Quantized, Refusal, Written, parts};

/// Which of the two models is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The result: products of whole numbers.
    Result,
    /// The witness: products of floats that are whole.
    Witness,
}

/// An activation in whole numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Activation {
    /// Codes; in the witness, less the zero point, and floats.
    codes: ValueId,
    scale: ValueId,
    zero_point: ValueId,
}

/// The activations of a graph that are quantized already, by the nodes that do it.
pub(super) type Activations = HashMap<NodeId, Activation>;

/// A weight, and how constants that are added are written.
#[derive(Debug, Clone)]
pub(super) struct Weight<'a> {
    pub(super) name: Option<&'a Name>,
    /// The codes as the layers have the weight.
    pub(super) quantized: &'a Quantized,
    pub(super) written: Written,
}

/// The constants of a weight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Constants {
    parts: Parts,
}

impl Weight<'_> {
    /// Adds its constants: in the result codes as `MatMulInteger` and `ConvInteger` read them, in the witness the same numbers
    /// as floats.
    pub(super) fn constants(&self, edit: &mut Edit<'_>, kind: Kind, side: Side) -> Result<Constants, Refusal> {
        let it = self.quantized;
        let codes = match (side, kind.is_transposed()) {
            (Side::Result, false) => it.codes.clone(),
            (Side::Result, true) => transposed(&it.codes)?,
            (Side::Witness, _) => {
                let ones = Tensor::from_values(it.scale.dims(), vec![1f32; it.scale.len()])?;
                Quantized { scale: ones, ..it.clone() }.deferred()?
            }
        };
        let mut scales = scaled(&it.scale, kind)?;
        if kind == Kind::Conv && scales.rank() > 0 {
            scales = scales.reshaped(&channels_first(scales.len(), it.codes.rank()))?;
        }
        let zero_point = if side == Side::Result { it.zero_point.clone() } else { None };
        let own = Quantized { codes, scale: scales, zero_point, ..it.clone() };
        Ok(Constants { parts: parts(edit, self.name, &own, self.written) })
    }
}

/// Scales as they are multiplied with, the factor of the product among them.
fn scaled(scale: &Tensor, kind: Kind) -> Result<Tensor, TensorError> {
    let mut values = scale.to_f32s()?;
    if let Kind::Gemm { alpha, .. } = kind {
        values.iter_mut().for_each(|value| *value *= alpha);
    }
    Tensor::from_values(scale.dims(), values)
}

/// A matrix of bytes, its axes swapped.
fn transposed(codes: &Tensor) -> Result<Tensor, TensorError> {
    let &[rows, columns] = codes.dims() else { return Ok(codes.clone()) };
    let from = codes.to_codes()?;
    let mut to = vec![0; from.len()];
    for (row, line) in from.chunks_exact(columns.max(1)).enumerate() {
        for (column, &code) in line.iter().enumerate() {
            to[column * rows + row] = code;
        }
    }
    Tensor::from_codes(codes.dtype(), &[columns, rows], &to)
}

/// The activation in whole numbers; quantized once a graph.
fn activation(
    edit: &mut Edit<'_>,
    input: ValueId,
    known: &mut Activations,
    side: Side,
) -> Result<Activation, EditError> {
    let found = edit.graph().readers(input).find_map(|reading| known.get(&reading.node));
    if let Some(found) = found {
        return Ok(*found);
    }
    let name = edit.graph().port(input).name.clone();
    let node = edit.add_node(Node::new("DynamicQuantizeLinear", 3), &[Some(input)])?;
    for (port, suffix) in (0u32..).zip(["_quantized", "_scale", "_zero_point"]) {
        edit.rename(node.port(port), name.as_ref().map(|name| name.suffixed(suffix)));
    }
    let mut made = Activation { codes: node.port(0), scale: node.port(1), zero_point: node.port(2) };
    if side == Side::Witness {
        let codes = edit.add(cast(), &[made.codes])?;
        let zero = edit.add(cast(), &[made.zero_point])?;
        made.codes = edit.add(Node::new("Sub", 1), &[codes, zero])?;
    }
    known.insert(node, made);
    Ok(made)
}

fn cast() -> Node {
    Node::new("Cast", 1).with(Attr::int("to", DType::Float.code()))
}

/// Puts the layer over whole numbers in the place of the one over floats.
///
/// # Errors
/// Where the graph does not take it: a defect.
pub(super) fn replace(
    edit: &mut Edit<'_>,
    layer: &Layer,
    weight: &Constants,
    known: &mut Activations,
    side: Side,
) -> Result<(), EditError> {
    // Layers before this one may have been replaced meanwhile.
    let Some(input) = edit.graph().operand(layer.node, 0) else { return Ok(()) };
    let activation = activation(edit, input, known, side)?;
    let product = product(edit, layer, weight, activation, side)?;
    let scale = edit.add(Node::new("Mul", 1), &[activation.scale, weight.parts.scale])?;
    // What is removed first reads what is removed behind it.
    edit.remove(layer.node);
    let mut result = edit.add(Node::new("Mul", 1), &[product, scale])?;
    if let Some(bias) = bias(edit, layer)? {
        result = edit.add(Node::new("Add", 1), &[result, bias])?;
    }
    edit.replace(layer.node.port(0), result)
}

/// Puts a product over whole numbers in the place of one of two computed values.
///
/// # Errors
/// Where the graph does not take it: a defect.
pub(super) fn replace_computed(
    edit: &mut Edit<'_>,
    id: NodeId,
    known: &mut Activations,
    side: Side,
) -> Result<(), EditError> {
    let graph = edit.graph();
    let (Some(left), Some(right)) = (graph.operand(id, 0), graph.operand(id, 1)) else { return Ok(()) };
    let name = graph.node(id).and_then(|node| node.name.clone());
    let left = activation(edit, left, known, side)?;
    let right = activation(edit, right, known, side)?;
    let sums = if side == Side::Witness {
        edit.add(Node::new("MatMul", 1).named(name), &[left.codes, right.codes])?
    } else {
        let operands = [left.codes, right.codes, left.zero_point, right.zero_point];
        let sums = edit.add(Node::new("MatMulInteger", 1).named(name), &operands)?;
        edit.add(cast(), &[sums])?
    };
    let scale = edit.add(Node::new("Mul", 1), &[left.scale, right.scale])?;
    edit.remove(id);
    let result = edit.add(Node::new("Mul", 1), &[sums, scale])?;
    edit.replace(id.port(0), result)
}

/// The sums of products, as floats.
fn product(
    edit: &mut Edit<'_>,
    layer: &Layer,
    weight: &Constants,
    activation: Activation,
    side: Side,
) -> Result<ValueId, EditError> {
    let Some(node) = edit.graph().node(layer.node).cloned() else { return Ok(layer.node.port(0)) };
    let name = node.name.clone();
    if side == Side::Witness {
        let mut own = node.with_ports([onnxpress_ir::Port::default()]);
        own.attrs.retain(|attr| !["alpha", "beta"].iter().any(|factor| attr.name == **factor));
        return edit.add(own, &[activation.codes, weight.parts.codes]);
    }
    let integer = match layer.kind {
        Kind::Conv => {
            let mut integer = Node::new("ConvInteger", 1);
            integer.attrs = node.attrs;
            integer
        }
        _ => Node::new("MatMulInteger", 1),
    };
    let operands: Vec<ValueId> = [activation.codes, weight.parts.codes, activation.zero_point]
        .into_iter()
        .chain(weight.parts.zero_point)
        .collect();
    let sums = edit.add(integer.named(name), &operands)?;
    edit.add(cast(), &[sums])
}

/// The extents of a vector over output channels that broadcasts to the output of a convolution by a weight of this rank.
fn channels_first(channels: usize, rank: usize) -> Vec<usize> {
    std::iter::once(channels).chain(std::iter::repeat_n(1, rank.saturating_sub(2))).collect()
}

/// The bias as it broadcasts to the output, its factor among it.
fn bias(edit: &mut Edit<'_>, layer: &Layer) -> Result<Option<ValueId>, EditError> {
    let graph = edit.graph();
    let Some(bias) = graph.operand(layer.node, 2).filter(|_| layer.has_bias) else { return Ok(None) };
    let rank = graph.operand(layer.node, 1).and_then(|weight| graph.ty(weight).shape()).map_or(2, |shape| shape.len());
    let name = graph.port(bias).name.clone();
    let made = match (layer.kind, graph.constant(bias)) {
        (Kind::Gemm { beta, .. }, Some(tensor)) if beta != 1.0 => {
            let values = tensor.to_f32s().map(|values| values.into_iter().map(|value| value * beta).collect());
            values.and_then(|values| Tensor::from_values(tensor.dims(), values)).ok()
        }
        (Kind::Conv, Some(tensor)) => tensor.reshaped(&channels_first(tensor.len(), rank)).ok(),
        (Kind::Conv, None) => {
            let dims: Vec<i64> = std::iter::once(-1).chain(std::iter::repeat_n(1, rank.saturating_sub(2))).collect();
            let shape = edit.add_constant(name.map(|name| name.suffixed("_shape")), Tensor::vector(dims));
            return edit.add(Node::new("Reshape", 1), &[bias, shape]).map(Some);
        }
        _ => None,
    };
    let Some(made) = made else { return Ok(Some(bias)) };
    if edit.graph().sole_reader(bias).is_some() {
        edit.remove(bias.node);
    }
    Ok(Some(edit.add_constant(name, made)))
}
