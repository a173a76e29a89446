//! Which readers of a weight can multiply by whole numbers.

use onnxpress_ir::{DType, Graph, NodeId, Slot, Tensor, Use};
use onnxpress_ops::node::NodeCx;

/// What kind of product a layer is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// `MatMul` by a matrix.
    MatMul,
    /// `Gemm`: whether the weight stands transposed, and the factors of product and C.
    Gemm { transposed: bool, alpha: f32, beta: f32 },
    /// `Conv`.
    Conv,
}

/// A layer that can multiply by whole numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Layer {
    pub(super) node: NodeId,
    pub(super) kind: Kind,
    /// Whether operand 2 is there and counts.
    pub(super) has_bias: bool,
}

impl Kind {
    /// The axis of the weight, as the layer has it, that output channels run along.
    pub(super) fn channels(self) -> usize {
        match self {
            Self::MatMul | Self::Gemm { transposed: false, .. } => 1,
            Self::Gemm { transposed: true, .. } | Self::Conv => 0,
        }
    }

    /// Whether the weight stands transposed.
    pub(super) fn is_transposed(self) -> bool {
        matches!(self, Self::Gemm { transposed: true, .. })
    }
}

/// The layers that read a constant, in the order of the file, all of one kind.
///
/// # Errors
/// Why they cannot multiply by whole numbers.
pub(super) fn layers(graph: &Graph, constant: NodeId, convolutions: bool) -> Result<Vec<Layer>, String> {
    let tensor = graph.constant(constant.port(0)).ok_or("it is no constant")?;
    let mut readers: Vec<Use> = graph.readers(constant.port(0)).collect();
    readers.sort_by_key(|reading| (graph.place(reading.node), *reading));
    let layers: Vec<Layer> =
        readers.into_iter().map(|reading| layer(graph, reading, tensor, convolutions)).collect::<Result<_, _>>()?;
    let same = |layer: &Layer| std::mem::discriminant(&layer.kind) == std::mem::discriminant(&layers[0].kind);
    let fits = |layer: &Layer| same(layer) && layer.kind.is_transposed() == layers[0].kind.is_transposed();
    if layers.iter().all(fits) { Ok(layers) } else { Err("layers of several kinds read it".to_owned()) }
}

fn layer(graph: &Graph, reading: Use, weight: &Tensor, convolutions: bool) -> Result<Layer, String> {
    let site = || graph.describe(reading.node);
    let Some(cx) = NodeCx::new(graph, reading.node) else { return Err(format!("{} gives it out", site())) };
    let slot = match reading.slot {
        Slot::Operand(slot) => slot,
        Slot::Capture(_) => return Err(format!("a graph inside of {} reads it", site())),
    };
    let known = ["MatMul", "Gemm", "Conv"].into_iter().find(|name| cx.node.is(name));
    let Some(known) = known.filter(|&name| convolutions || name != "Conv") else {
        return Err(format!("no product of whole numbers is asked of {}", cx.node.op_type));
    };
    if slot != 1 {
        return Err(format!("it is operand {slot} of {}", site()));
    }
    if weight.dtype() != DType::Float || cx.dtype(0) != Some(DType::Float) {
        return Err(format!("{} is not of float", site()));
    }
    let unknown = |_| format!("attributes of {} are those of a function", site());
    let attrs = cx.attrs();
    let (kind, has_bias) = match known {
        "MatMul" if weight.rank() == 2 => (Kind::MatMul, false),
        "MatMul" => return Err("it is a stack of matrices".to_owned()),
        "Gemm" => {
            if attrs.flag("transA").map_err(unknown)? {
                return Err(format!("the input of {} stands transposed", site()));
            }
            let transposed = attrs.flag("transB").map_err(unknown)?;
            let alpha = attrs.float_or("alpha", 1.0).map_err(unknown)?;
            let beta = attrs.float_or("beta", 1.0).map_err(unknown)?;
            let bias = cx.has(2) && beta != 0.0;
            if bias && beta != 1.0 && cx.constant(2).is_none() {
                return Err(format!("C of {} is scaled and no constant", site()));
            }
            if !alpha.is_finite() || !beta.is_finite() {
                return Err(format!("a factor of {} is no number", site()));
            }
            (Kind::Gemm { transposed, alpha, beta }, bias)
        }
        _ => {
            for attr in &cx.node.attrs {
                if matches!(attr.value, onnxpress_ir::AttrValue::Reference { .. }) {
                    return Err(format!("attributes of {} are those of a function", site()));
                }
            }
            let bias = cx.has(2);
            let outputs = weight.dims().first().copied();
            if bias && cx.shape(2).is_none_or(|bias| bias.len() != 1) || outputs.is_none() {
                return Err(format!("the shape of the bias of {} is not known", site()));
            }
            (Kind::Conv, bias)
        }
    };
    Ok(Layer { node: reading.node, kind, has_bias })
}
