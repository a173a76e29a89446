//! A `BatchNormalization` of given statistics as what it computes: a factor and a number to add, for each channel.
//!
//! In a training step its scale and bias are no constants, which some runtimes want of the operator. And where it stands behind a
//! convolution, the factor goes into the weights and the number into the bias, so that neither the step nor its gradients touch the
//! activations once more: with `k = scale / sqrt(var + epsilon)`, `k (W x + b - mean) + B = (k W) x + (B + k (b - mean))`.

use onnxpress_ir::{Edit, EditError, Graph, Node, NodeId, Slot, Tensor, ValueId};
use onnxpress_ops::NormalizedBy;
use onnxpress_ops::infer::Standard;
use onnxpress_ops::node::NodeCx;

/// What is normalized.
enum Normalized {
    /// The result of a convolution that nobody else reads.
    Convolution { node: Box<Node>, x: ValueId, weight: ValueId, rank: usize, bias: Option<ValueId> },
    /// Some other value.
    Value { x: ValueId, rank: usize },
}

/// A node that can be written otherwise.
struct Found {
    node: NodeId,
    normalized: Normalized,
    scale: ValueId,
    bias: ValueId,
    means: Tensor,
    /// One over the deviations.
    inverse: Tensor,
}

/// Writes all of them otherwise. Constants that others train stay what they are.
///
/// # Errors
/// Where a node makes no sense.
pub(super) fn spell_out(graph: &mut Graph) -> Result<(), EditError> {
    let nodes: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
    for id in nodes {
        if let Some(found) = find(graph, id) {
            write(graph, found)?;
        }
    }
    Ok(())
}

fn find(graph: &Graph, id: NodeId) -> Option<Found> {
    let cx = NodeCx::new(graph, id).filter(|cx| cx.node.is("BatchNormalization"))?;
    let NormalizedBy::Operands { epsilon } = NormalizedBy::of(&cx).ok()? else { return None };
    let (x, scale, bias) = (cx.operand(0)?, cx.operand(1)?, cx.operand(2)?);
    let dtype = graph.ty(x).dtype()?;
    if [scale, bias].iter().any(|&value| graph.ty(value).dtype() != Some(dtype)) {
        return None;
    }
    let numbers = |index: usize| cx.constant(index).and_then(|tensor| tensor.to_f64s().ok());
    let tensor = |values: &[f64]| Tensor::from_f64s(dtype, &[values.len()], values).ok();
    let inverse: Vec<f64> = numbers(4)?.iter().map(|variance| 1.0 / (variance + epsilon).sqrt()).collect();
    let (means, inverse) = (tensor(&numbers(3)?)?, tensor(&inverse)?);
    let normalized = match convolution(graph, x) {
        Some(convolution) => convolution,
        None => Normalized::Value { x, rank: graph.ty(x).shape()?.len() },
    };
    Some(Found { node: id, normalized, scale, bias, means, inverse })
}

fn convolution(graph: &Graph, result: ValueId) -> Option<Normalized> {
    let cx = NodeCx::new(graph, result.node).filter(|cx| cx.node.is("Conv"))?;
    let mut readers = graph.readers(result);
    let reader = readers.next()?;
    if readers.next().is_some() || !matches!(reader.slot, Slot::Operand(_)) {
        return None;
    }
    let (x, weight) = (cx.operand(0)?, cx.operand(1)?);
    let rank = graph.ty(weight).shape()?.len();
    let node = cx.node.attrs.iter().cloned().fold(Node::new("Conv", 1), Node::with);
    Some(Normalized::Convolution { node: Box::new(node), x, weight, rank, bias: cx.operand(2) })
}

/// A list of one number a channel, with so many axes of extent 1 behind.
fn by_channel(edit: &mut Edit<'_>, list: ValueId, behind: usize) -> Result<ValueId, EditError> {
    let extents: Vec<i64> = std::iter::once(-1).chain(std::iter::repeat_n(1, behind)).collect();
    let extents = edit.add_constant(None, Tensor::vector(extents));
    edit.add(Node::new("Reshape", 1), &[list, extents])
}

fn write(graph: &mut Graph, found: Found) -> Result<(), EditError> {
    let mut edit = Edit::new(graph, &Standard, super::NAME, &[found.node]);
    let (mut shift, inverse) = (edit.add_constant(None, found.means), edit.add_constant(None, found.inverse));
    if let Normalized::Convolution { bias: Some(own), .. } = found.normalized {
        shift = edit.add(Node::new("Sub", 1), &[shift, own])?;
    }
    let factor = edit.add(Node::new("Mul", 1), &[found.scale, inverse])?;
    let shift = edit.add(Node::new("Mul", 1), &[shift, factor])?;
    let added = edit.add(Node::new("Sub", 1), &[found.bias, shift])?;
    let value = match found.normalized {
        Normalized::Convolution { node, x, weight, rank, .. } => {
            let factor = by_channel(&mut edit, factor, rank.saturating_sub(1))?;
            let weight = edit.add(Node::new("Mul", 1), &[weight, factor])?;
            edit.add(*node, &[x, weight, added])?
        }
        Normalized::Value { x, rank } => {
            let behind = rank.saturating_sub(2);
            let (factor, added) = (by_channel(&mut edit, factor, behind)?, by_channel(&mut edit, added, behind)?);
            let product = edit.add(Node::new("Mul", 1), &[x, factor])?;
            edit.add(Node::new("Add", 1), &[product, added])?
        }
    };
    edit.replace(found.node.port(0), value)?;
    edit.remove(found.node);
    edit.commit();
    Ok(())
}
