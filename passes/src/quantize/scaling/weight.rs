//! Channels of a layer's weight, on the side of its inputs and on that of its outputs.

use onnxpress_ir::{DType, Graph, NodeId, ValueId};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::{Linear, LinearLayer, Rows};
use onnxpress_ops::table;

/// A layer whose weight is a constant that nobody else reads.
#[derive(Debug, Clone)]
pub(super) struct Scaled {
    pub(super) node: NodeId,
    pub(super) linear: LinearLayer,
    /// The weight.
    pub(super) weight: NodeId,
    /// The bias, where it has one.
    pub(super) bias: Option<NodeId>,
    dims: Vec<usize>,
}

impl Scaled {
    /// The node as a layer whose channels can be scaled.
    ///
    /// # Errors
    /// Why not; `None` where it is no layer at all.
    pub(super) fn of(graph: &Graph, node: NodeId) -> Result<Self, Option<String>> {
        let cx = NodeCx::new(graph, node).ok_or(None)?;
        let Some(Linear::Layers(layers)) = table::of(cx.node).map(|sheet| sheet.linear) else { return Err(None) };
        let linear = layers(&cx).into_iter().find(|layer| cx.constant(layer.weight).is_some()).ok_or(None)?;
        let said = |reason: &str| Err(Some(reason.to_owned()));
        let constant = |operand: usize| cx.operand(operand).map(|value| value.node);
        let (Some(weight), Some(tensor)) = (constant(linear.weight), cx.constant(linear.weight)) else {
            return Err(None);
        };
        if tensor.dtype() != DType::Float {
            return said("its weight is not of float");
        }
        if graph.sole_reader(weight.port(0)).is_none() {
            return said("its weight has other readers");
        }
        let shaped = match linear.rows {
            Rows::Windows => linear.output_axes == [0],
            Rows::Along { .. } => tensor.rank() == 2 && linear.groups == 1,
            Rows::Hidden(_) => false,
        };
        let groups = usize::try_from(linear.groups).ok().filter(|&groups| groups > 0);
        let outputs = linear.output_axes.first().and_then(|&axis| tensor.dims().get(axis));
        if !shaped
            || linear.output_axes.len() != 1
            || groups.zip(outputs).is_none_or(|(g, o)| o % g != 0)
            || tensor.is_empty()
        {
            return said("the channels of its weight are not told apart");
        }
        let bias = linear.bias.filter(|&operand| cx.has(operand));
        let bias = match bias {
            None => None,
            Some(operand) => match (cx.constant(operand), constant(operand)) {
                (Some(tensor), Some(id)) if graph.sole_reader(id.port(0)).is_some() && tensor.rank() == 1 => Some(id),
                _ => return said("its bias is no constant of its own"),
            },
        };
        let dims = tensor.dims().to_vec();
        Ok(Self { node, linear, weight, bias, dims })
    }

    /// The value that it multiplies.
    pub(super) fn input(&self, graph: &Graph) -> Option<ValueId> {
        graph.operand(self.node, self.linear.input)
    }

    fn groups(&self) -> usize {
        usize::try_from(self.linear.groups).unwrap_or(1)
    }

    fn index(&self, place: usize, axis: usize) -> usize {
        let inner: usize = self.dims[axis + 1..].iter().product();
        place / inner % self.dims[axis]
    }

    /// How many elements the weight has.
    pub(super) fn elements(&self) -> usize {
        self.dims.iter().product()
    }

    /// How many channels come out.
    pub(super) fn outputs(&self) -> usize {
        self.dims[self.linear.output_axes[0]]
    }

    /// How many channels go in.
    pub(super) fn inputs(&self) -> usize {
        self.dims[self.linear.input_axes[0]] * self.groups()
    }

    /// The channel that comes out of a place of the weight.
    pub(super) fn output_of(&self, place: usize) -> usize {
        self.index(place, self.linear.output_axes[0])
    }

    /// The channel that goes into a place of the weight.
    pub(super) fn input_of(&self, place: usize) -> usize {
        let axis = self.linear.input_axes[0];
        let group = self.output_of(place) / (self.outputs() / self.groups());
        group * self.dims[axis] + self.index(place, axis)
    }

    /// The largest magnitude of each channel, by places.
    pub(super) fn magnitudes(&self, values: &[f32], channels: usize, channel: impl Fn(usize) -> usize) -> Vec<f32> {
        let mut largest = vec![0f32; channels];
        for (place, value) in values.iter().enumerate() {
            let channel = channel(place);
            largest[channel] = largest[channel].max(value.abs());
        }
        largest
    }
}
