//! Means in closed form: what batch normalizations say of a layer's inputs, through what has become of its weight.

use onnxpress_ir::{Graph, Model, NodeId, Tensor, ValueId};
use onnxpress_ops::node::NodeCx;

use super::site::{decoded, put};
use super::{CorrectBias, Pair, Shift, layer};
use crate::pass::{Pass, PassCx};
use crate::prune_channels::Expected;
use crate::quantize::decoded_constant;
use crate::reconstruction::mean_shift;

/// Corrects the biases of a result.
pub(super) fn correct(
    came: &Model,
    before: &Model,
    result: &mut Model,
    pairs: &[Pair],
    cx: &mut PassCx<'_>,
) -> Vec<Shift> {
    let expected = Expected::of(&came.graph);
    let mut shifts = Vec::new();
    for pair in pairs {
        let lowered = shift(&came.graph, &before.graph, &result.graph, pair, &expected)
            .and_then(|by| Some((by.clone(), pair.site.lowered(&result.graph, &by)?)));
        let Some((by, (value, tensor))) = lowered else {
            let reason = "no batch normalization says what the means of its inputs are";
            cx.declined(CorrectBias::NAME, result.graph.describe(pair.node), reason);
            continue;
        };
        put(result, value, tensor);
        shifts.push(by);
    }
    shifts
}

/// By how much the change of a weight moves the mean of each channel.
fn shift(came: &Graph, before: &Graph, result: &Graph, pair: &Pair, expected: &Expected) -> Option<Vec<f64>> {
    let node = NodeCx::new(before, pair.original.node)?;
    let (linear, _) = layer(&node)?;
    let (exact, now) = (node.constant(linear.weight)?, weight(result, pair)?);
    if exact.dims() != now.dims() {
        return None;
    }
    let (exact_values, now) = (exact.to_f32s().ok()?, now.to_f32s().ok()?);
    let difference: Vec<f32> = now.iter().zip(&exact_values).map(|(now, exact)| now - exact).collect();
    let input = node.operand(linear.input)?;
    let axis = match linear.rows {
        onnxpress_ops::Rows::Along { input, .. } => input,
        _ => 1,
    };
    let inputs = before.ty(input).shape()?.get(axis)?.as_const().and_then(|extent| usize::try_from(extent).ok())?;
    let source = normalized(came, named(came, before, input)?);
    let means: Vec<f64> = expected.means(source, axis, inputs)?.into_iter().collect::<Option<_>>()?;
    mean_shift::of(&difference, exact.dims(), &linear, &means)
}

/// The weight of a layer as it is now, in floats.
fn weight(graph: &Graph, pair: &Pair) -> Option<Tensor> {
    let value = graph.operand(pair.node, pair.linear.weight)?;
    match graph.constant(value) {
        Some(tensor) => Some(tensor.clone()),
        None => decoded_constant(graph, decoded(graph, value)?),
    }
}

/// The value of the same name.
fn named(came: &Graph, graph: &Graph, value: ValueId) -> Option<ValueId> {
    let name = graph.port(value).name.as_ref()?;
    came.vertices().find_map(|(id, vertex)| {
        let port = vertex.ports().iter().position(|port| port.name.as_ref() == Some(name))?;
        Some(id.port(port as u32))
    })
}

/// A value that only a normalization reads has been folded into it, and the name with it.
fn normalized(graph: &Graph, value: ValueId) -> ValueId {
    let reader = graph.sole_reader(value).map(|reading| reading.node);
    let folded = |id: &NodeId| graph.node(*id).is_some_and(|node| node.is("BatchNormalization"));
    reader.filter(folded).map_or(value, |id| id.port(0))
}
