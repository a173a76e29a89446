//! Where the bias of a layer stands: as floats, or as whole numbers with the scale of the products.

use std::borrow::Cow;

use onnxpress_ir::{Edit, Graph, Model, NodeId, Tensor, ValueId};
use onnxpress_ops::LinearLayer;
use onnxpress_ops::infer::Standard;

use super::CorrectBias;
use crate::pass::Pass;
use crate::quantize::stored_scales;
use crate::reconstruction::{BiasSite, bias_site, give_bias};

/// A bias that can be changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Site {
    /// A constant of floats.
    Floats(ValueId),
    /// A constant of whole numbers, and the node that makes floats of them.
    Codes { codes: ValueId, decoding: NodeId },
}

/// The node that makes floats of constant codes, where one makes this value.
pub(super) fn decoded(graph: &Graph, value: ValueId) -> Option<NodeId> {
    graph.node(value.node).filter(|node| node.is("DequantizeLinear"))?;
    graph.constant(graph.operand(value.node, 0)?)?;
    Some(value.node)
}

impl Site {
    /// The bias of a layer, which gets one where it has a place for it.
    ///
    /// # Errors
    /// Why it has none that can be changed.
    pub(super) fn of(model: &mut Model, node: NodeId, linear: &LinearLayer) -> Result<Self, String> {
        let graph = &model.graph;
        let weight = graph.operand(node, linear.weight).and_then(|weight| graph.ty(weight).shape());
        let extents = linear.output_axes.iter().map(|&axis| usize::try_from(weight?.get(axis)?.as_const()?).ok());
        let outputs = extents.product::<Option<usize>>().ok_or("the extents of its weight are not known")?;
        match bias_site(graph, node, linear, outputs) {
            BiasSite::Own(value) | BiasSite::Added(value) => Ok(Self::Floats(value)),
            site @ BiasSite::Free => {
                let on_codes = graph.operand(node, linear.input).is_some_and(|input| {
                    graph.node(input.node).is_some_and(|producer| producer.is("DequantizeLinear"))
                });
                if on_codes {
                    return Err("it has no bias, and computes on codes, whose biases are whole numbers".to_owned());
                }
                match give_bias(model, node, linear, site, CorrectBias::NAME) {
                    BiasSite::Own(value) => Ok(Self::Floats(value)),
                    _ => Err("it has no bias".to_owned()),
                }
            }
            BiasSite::Fixed => {
                let value = linear.bias.and_then(|operand| graph.operand(node, operand));
                let decoding = value.and_then(|value| decoded(graph, value));
                let codes = decoding.and_then(|decoding| graph.operand(decoding, 0));
                let (Some(decoding), Some(codes)) = (decoding, codes) else {
                    return Err("its bias is shared, or no vector".to_owned());
                };
                let alone = graph.sole_reader(codes).is_some() && graph.sole_reader(decoding.port(0)).is_some();
                let fits = graph.constant(codes).is_some_and(|codes| codes.dims() == [outputs]);
                if alone && fits && scales(graph, decoding, outputs).is_some() {
                    Ok(Self::Codes { codes, decoding })
                } else {
                    Err("its bias is shared, or its scales are no constants".to_owned())
                }
            }
            BiasSite::Nowhere => Err("it has no place for a bias".to_owned()),
        }
    }

    /// The constant that changes, and what it becomes when each channel goes down by so much; `None` where it cannot hold that.
    pub(super) fn lowered(&self, graph: &Graph, by: &[f64]) -> Option<(ValueId, Tensor)> {
        match *self {
            Self::Floats(value) => {
                let tensor = graph.constant(value)?;
                let lowered: Vec<f64> = tensor.to_f64s().ok()?.iter().zip(by).map(|(own, by)| own - by).collect();
                Some((value, Tensor::from_f64s(tensor.dtype(), tensor.dims(), &lowered).ok()?))
            }
            Self::Codes { codes, decoding } => {
                let tensor = graph.constant(codes)?;
                let scales = scales(graph, decoding, tensor.len())?;
                let own = tensor.to_i64s().ok()?;
                let step = |channel: usize| (by[channel] / f64::from(scales[channel])).round_ties_even();
                let lowered: Vec<i64> = (0..own.len()).map(|channel| own[channel] - step(channel) as i64).collect();
                let (low, high) = onnxpress_ir::tensor::range(tensor.dtype());
                let fits = lowered.iter().all(|code| (low..=high).contains(code));
                fits.then(|| Tensor::from_i64s(tensor.dtype(), tensor.dims(), &lowered))
                    .and_then(Result::ok)
                    .map(|it| (codes, it))
            }
        }
    }

    /// Where floats can take the place of whole numbers, and which; `None` where floats are there already.
    pub(super) fn floats(&self, graph: &Graph) -> Option<(NodeId, usize, Tensor)> {
        let Self::Codes { codes, decoding } = *self else { return None };
        let tensor = graph.constant(codes)?;
        let scales = scales(graph, decoding, tensor.len())?;
        let values: Vec<f32> =
            tensor.to_i64s().ok()?.iter().zip(&scales).map(|(&code, scale)| code as f32 * scale).collect();
        let reader = graph.sole_reader(decoding.port(0))?.node;
        let operand = graph.operands(reader).position(|operand| operand == Some(decoding.port(0)))?;
        Some((reader, operand, Tensor::vector(values)))
    }
}

/// One scale a channel.
fn scales(graph: &Graph, decoding: NodeId, channels: usize) -> Option<Vec<f32>> {
    let stored: Cow<'_, Tensor> = stored_scales(graph, graph.operand(decoding, 1)?)?;
    match stored.to_f32s().ok()? {
        one if one.len() == 1 => Some(vec![one[0]; channels]),
        list => Some(list).filter(|list| list.len() == channels),
    }
}

/// Puts what a bias becomes into a model.
pub(super) fn put(model: &mut Model, value: ValueId, tensor: Tensor) {
    let mut edit = Edit::new(&mut model.graph, &Standard, CorrectBias::NAME, &[]);
    edit.set_constant(value.node, tensor);
    edit.commit();
}
