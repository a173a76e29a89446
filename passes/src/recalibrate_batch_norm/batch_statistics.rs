//! A model in which each `BatchNormalization` normalizes by what it sees, and says what that is.

use onnxpress_ir::{Attr, DType, Edit, EditError, Graph, Model, Node, NodeId, Tensor, ValueId};
use onnxpress_ops::NormalizedBy;
use onnxpress_ops::infer::Standard;
use onnxpress_ops::node::NodeCx;

use super::RecalibrateBatchNorm;
use crate::evidence::probe;
use crate::pass::{Pass as _, PassError};

/// The version of the standard from which on the axes of a mean are an operand.
const AXES_AS_OPERAND: i64 = 18;

/// The version from which on operands of arithmetic are broadcast by their shapes alone.
const BROADCAST: i64 = 7;

/// See the [module](self).
pub(super) struct Instrumented {
    /// Takes what the model takes; gives means and variances of each node.
    pub(super) model: Model,
    /// The nodes in the model as it is.
    pub(super) nodes: Vec<NodeId>,
}

/// Why a node keeps its statistics.
type Declined = Vec<(NodeId, &'static str)>;

/// A node that is written otherwise.
struct Found {
    node: NodeId,
    x: ValueId,
    scale: ValueId,
    bias: ValueId,
    rank: usize,
    dtype: DType,
    epsilon: f64,
}

impl Instrumented {
    /// Of a model whose types are inferred.
    ///
    /// # Errors
    /// Where a node that is written makes no sense.
    pub(super) fn of(model: &Model) -> Result<(Self, Declined), PassError> {
        let mut made = model.clone();
        let (mut nodes, mut declined, mut seen) = (Vec::new(), Declined::new(), Vec::new());
        for (id, node) in model.graph.nodes() {
            if !node.is("BatchNormalization") {
                continue;
            }
            // What it normalizes may be what another one gave.
            match find(&made.graph, id) {
                Err(reason) => declined.push((id, reason)),
                Ok(found) => {
                    let written = write(&mut made.graph, &found);
                    seen.extend(written.map_err(|error| PassError::Broken(error.to_string()))?);
                    nodes.push(id);
                }
            }
        }
        let model = probe(&made, &seen).map_err(|error| PassError::Broken(error.to_string()))?;
        Ok((Self { model, nodes }, declined))
    }
}

fn find(graph: &Graph, id: NodeId) -> Result<Found, &'static str> {
    let odd = "it lacks an operand";
    let cx = NodeCx::new(graph, id).ok_or(odd)?;
    if cx.version < BROADCAST {
        return Err("its opset is older than 7");
    }
    let epsilon = match NormalizedBy::of(&cx).map_err(|_| "an attribute is not known")? {
        NormalizedBy::Operands { epsilon } => epsilon,
        NormalizedBy::Elements => return Err("it normalizes each element by itself, not each channel"),
        NormalizedBy::Batch => return Err("it normalizes by what it sees"),
    };
    if cx.constant(3).is_none() || cx.constant(4).is_none() {
        return Err("its statistics are no constants");
    }
    let x = cx.operand(0).ok_or(odd)?;
    let rank = graph.ty(x).shape().map(|shape| shape.len()).filter(|rank| *rank >= 2);
    let dtype = graph.ty(x).dtype().filter(|dtype| dtype.is_float());
    Ok(Found {
        node: id,
        x,
        scale: cx.operand(1).ok_or(odd)?,
        bias: cx.operand(2).ok_or(odd)?,
        rank: rank.ok_or("the rank of what it normalizes is not known")?,
        dtype: dtype.ok_or("the element type of what it normalizes is not known")?,
        epsilon,
    })
}

/// Writes the nodes; answers mean and variance, `[1, c, 1..]`.
fn write(graph: &mut Graph, found: &Found) -> Result<[ValueId; 2], EditError> {
    let version = graph.opsets.version(b"").unwrap_or(1);
    let &Found { node: id, x, scale, bias, rank, dtype, epsilon } = found;
    let mut edit = Edit::new(graph, &Standard, RecalibrateBatchNorm::NAME, &[id]);
    let axes: Vec<i64> = (0..rank as i64).filter(|&axis| axis != 1).collect();
    let mean_of = |edit: &mut Edit<'_>, value: ValueId| {
        let node = Node::new("ReduceMean", 1).with(Attr::int("keepdims", 1));
        if version < AXES_AS_OPERAND {
            return edit.add(node.with(Attr::ints("axes", axes.clone())), &[value]);
        }
        let axes = edit.add_constant(None, Tensor::vector(axes.clone()));
        edit.add(node, &[value, axes])
    };
    let by_channel = |edit: &mut Edit<'_>, list: ValueId| {
        let extents: Vec<i64> = std::iter::once(-1).chain(std::iter::repeat_n(1, rank.saturating_sub(2))).collect();
        let extents = edit.add_constant(None, Tensor::vector(extents));
        edit.add(Node::new("Reshape", 1), &[list, extents])
    };
    let mean = mean_of(&mut edit, x)?;
    let centered = edit.add(Node::new("Sub", 1), &[x, mean])?;
    let square = edit.add(Node::new("Mul", 1), &[centered, centered])?;
    let variance = mean_of(&mut edit, square)?;
    let epsilon = Tensor::from_f64s(dtype, &[], &[epsilon]).expect("what is normalized is of floats");
    let epsilon = edit.add_constant(None, epsilon);
    let positive = edit.add(Node::new("Add", 1), &[variance, epsilon])?;
    let deviation = edit.add(Node::new("Sqrt", 1), &[positive])?;
    let normalized = edit.add(Node::new("Div", 1), &[centered, deviation])?;
    let (scale, bias) = (by_channel(&mut edit, scale)?, by_channel(&mut edit, bias)?);
    let scaled = edit.add(Node::new("Mul", 1), &[normalized, scale])?;
    let y = edit.add(Node::new("Add", 1), &[scaled, bias])?;
    edit.replace(id.port(0), y)?;
    edit.remove(id);
    edit.commit();
    Ok([mean, variance])
}
