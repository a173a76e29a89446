//! What a removed channel gave on average goes into the biases of its readers.
//!
//! A linear layer that reads channels of mean `m` loses `W m` with them, so `b' = b + W m` over those that go; where a channel
//! is constant that is all it ever gave. A window that reaches beyond the borders sees zeros there, so each of its taps counts
//! with the share of places at which it is inside: the bias is right on average, and right everywhere where nothing is padded.
//!
//! Where an operator has no place for a bias and is followed by the addition of a constant, that one takes it. The result and
//! the witness are made of the model with these biases, so they agree whatever the means are worth.

use onnxpress_ir::analysis::channels::Coupling;
use onnxpress_ir::{DType, Edit, Graph, Model, Name, NodeId, Slot, Tensor, Use, ValueId};
use onnxpress_ops::infer::Standard;
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::{Linear, LinearLayer, Rows};
use onnxpress_ops::table;

use super::cut::{Left, kept_of};
use super::expect::Expected;
use super::plan::PlannedBias;
use crate::pass::PassError;

/// Where the bias of a layer stands, or can.
struct Place {
    reading: Use,
    /// The constant that is there.
    there: Option<ValueId>,
    /// How often the operator takes the bias for each time it takes the product.
    factor: f64,
}

/// The only layer of a node whose weight has so many outputs.
fn layer_of(cx: &NodeCx<'_>) -> Option<(LinearLayer, usize)> {
    let Linear::Layers(layers) = table::of(cx.node)?.linear else { return None };
    let mut layers = layers(cx);
    // Of two operands that can be the weight, the right one is.
    layers.truncate(1);
    let layer = layers.pop().filter(|layer| layer.output_axes.len() == 1 && layer.batch_axes.is_empty())?;
    let extents =
        cx.shape(layer.weight)?.as_consts().filter(|_| cx.dtype(layer.weight).is_some_and(DType::is_float))?;
    let groups = if layer.output_axes == [0] { 1 } else { usize::try_from(layer.groups).ok()? };
    let outputs = extents.get(layer.output_axes[0])?.checked_mul(groups)?;
    Some((layer, outputs))
}

/// Where a bias of so many numbers can be put.
fn place(cx: &NodeCx<'_>, layer: &LinearLayer, outputs: usize) -> Option<Place> {
    let graph = cx.graph;
    let constant = |value: ValueId| graph.constant(value).filter(|tensor| tensor.dtype().is_float());
    if let Some(slot) = layer.bias {
        let factor = |name| cx.attrs().float_or(name, 1.0).map_or(f64::NAN, f64::from);
        let factor = if cx.node.is("Gemm") { factor("beta") / factor("alpha") } else { 1.0 };
        let there = cx.operand(slot);
        let fits = |value: ValueId| {
            constant(value).is_some_and(|bias| bias.len() == outputs && bias.dims().last() == Some(&outputs))
        };
        let reading = Use { node: cx.id, slot: Slot::Operand(u32::try_from(slot).ok()?) };
        return (there.is_none_or(fits) && factor.is_normal()).then_some(Place { reading, there, factor });
    }
    // The rows of the product must end in the layer's outputs, as those of the sum.
    let value = cx.id.port(0);
    let mut readers = graph.readers(value);
    let (Some(Use { node, slot: Slot::Operand(operand) }), None) = (readers.next(), readers.next()) else {
        return None;
    };
    let last = matches!(layer.rows, Rows::Along { output: Some(axis), .. } if Some(axis + 1) == graph.ty(value).shape().map(|shape| shape.len()));
    let sum = NodeCx::new(graph, node).filter(|sum| sum.node.is("Add") && last)?;
    let there = sum.operand(1 - operand as usize)?;
    let fits = constant(there).is_some_and(|bias| bias.len() == outputs && bias.dims().last() == Some(&outputs));
    let reading = Use { node, slot: Slot::Operand(1 - operand) };
    fits.then_some(Place { reading, there: Some(there), factor: 1.0 })
}

/// The biases that make up for the means of what is not left.
pub(super) fn by_means(graph: &Graph, coupling: &Coupling, left: &Left) -> Vec<PlannedBias> {
    let expected = Expected::of(graph);
    let mut biases = Vec::new();
    for id in graph.topological().unwrap_or_default() {
        biases.extend(NodeCx::new(graph, id).and_then(|cx| made_up(&cx, coupling, left, &expected)));
    }
    biases
}

fn made_up(cx: &NodeCx<'_>, coupling: &Coupling, left: &Left, expected: &Expected) -> Option<PlannedBias> {
    let (layer, outputs) = layer_of(cx)?;
    let weight = expected.constant(cx.operand(layer.weight)?)?;
    let axis = match layer.rows {
        Rows::Windows => 1,
        Rows::Along { input, .. } => input,
        Rows::Hidden(_) => return None,
    };
    let axes = coupling.read(cx.graph, Use { node: cx.id, slot: Slot::Operand(u32::try_from(layer.input).ok()?) })?;
    let kept = kept_of(coupling, axes, left)?.get(axis)?.clone()?;
    let extent = coupling.spans.extent(*axes.get(axis)?)?;
    let means = expected.means(cx.operand(layer.input)?, axis, extent)?;
    let mut gone = vec![0.0; extent];
    for (index, mean) in means.into_iter().enumerate() {
        if kept.binary_search(&index).is_err() {
            gone[index] = mean.unwrap_or(0.0);
        }
    }
    if gone.iter().all(|&mean| mean == 0.0) {
        return None;
    }
    let place = place(cx, &layer, outputs)?;
    let lost = product(cx, &layer, weight, &gone, outputs)?;
    let before = match place.there {
        Some(value) => cx.graph.constant(value)?.to_f64s().ok()?,
        None => vec![0.0; outputs],
    };
    let dtype = bias_type(cx, &place, &layer);
    let bias: Vec<f64> = before.iter().zip(&lost).map(|(before, lost)| before + lost / place.factor).collect();
    // As the model holds them, so that the plan says all.
    let bias = Tensor::from_f64s(dtype, &[outputs], &bias).ok()?.to_f64s().ok()?;
    (bias != before && bias.iter().all(|value| value.is_finite()))
        .then(|| PlannedBias { layer: cx.graph.label(cx.id.port(0)), bias })
}

fn bias_type(cx: &NodeCx<'_>, place: &Place, layer: &LinearLayer) -> DType {
    let there = place.there.and_then(|value| cx.graph.ty(value).dtype());
    there.or(cx.dtype(layer.weight)).unwrap_or(DType::Float)
}

/// What a layer makes of inputs that are these numbers everywhere, on average over its outputs.
fn product(cx: &NodeCx<'_>, layer: &LinearLayer, weight: &Tensor, inputs: &[f64], outputs: usize) -> Option<Vec<f64>> {
    let dims = weight.dims();
    let kernel = if matches!(layer.rows, Rows::Windows) || cx.node.is("ConvTranspose") { dims.get(2..)? } else { &[] };
    let inside = inside(cx, kernel);
    let taps: usize = kernel.iter().product();
    let values = weight.to_f64s().ok()?;
    let groups = usize::try_from(layer.groups).ok().filter(|&groups| groups > 0)?;
    let (rows, columns) = (*dims.first()?, *dims.get(1)?);
    let mut sums = vec![0.0; outputs];
    // Axis 0 runs over all groups, axis 1 over those of one.
    let row_is_output = layer.output_axes == [0];
    let rows_of_one = rows.checked_div(groups)?.max(1);
    for row in 0..rows {
        let group = row / rows_of_one;
        for column in 0..columns {
            let (input, output) = match row_is_output {
                true => (group * columns + column, row),
                false => (row, group * columns + column),
            };
            let mean = *inputs.get(input)?;
            if mean != 0.0 {
                let start = (row * columns + column) * taps;
                let sum: f64 =
                    values.get(start..start + taps)?.iter().zip(&inside).map(|(value, share)| value * share).sum();
                *sums.get_mut(output)? += mean * sum;
            }
        }
    }
    Some(sums)
}

/// For each tap of a kernel, at which share of places it is inside of what it slides over.
fn inside(cx: &NodeCx<'_>, kernel: &[usize]) -> Vec<f64> {
    let mut shares = vec![1.0];
    let attrs = cx.attrs();
    let ints = |name: &str, or: i64| attrs.ints_or(name, vec![or; kernel.len()]).unwrap_or_default();
    let (strides, dilations) = (ints("strides", 1), ints("dilations", 1));
    let pads = attrs.ints_or("pads", vec![0; 2 * kernel.len()]).unwrap_or_default();
    let auto = attrs.string_or("auto_pad", "NOTSET".into()).unwrap_or_default();
    for (axis, &taps) in kernel.iter().enumerate() {
        let extent = |shape: Option<&onnxpress_ir::Shape>| shape.and_then(|shape| shape.get(axis + 2)?.as_const());
        let at = |list: &[i64], or: i64| list.get(axis).copied().unwrap_or(or);
        let (stride, dilation) = (at(&strides, 1), at(&dilations, 1));
        let share = |tap: i64| -> f64 {
            if cx.node.is("ConvTranspose") {
                // Of so many places next to each other, each tap reaches one.
                return 1.0 / stride.max(1) as f64;
            }
            let (Some(from), Some(to)) = (extent(cx.shape(0)), extent(cx.output_shape(0))) else { return 1.0 };
            let missing = || {
                (to.saturating_sub(1).saturating_mul(stride) + (taps as i64 - 1).saturating_mul(dilation) + 1 - from)
                    .max(0)
            };
            let pad = match &*auto {
                "SAME_UPPER" => missing() / 2,
                "SAME_LOWER" => missing() - missing() / 2,
                "VALID" => 0,
                _ => at(&pads, 0),
            };
            let start = tap.saturating_mul(dilation).saturating_sub(pad);
            // Places p with 0 <= p * stride + start < from.
            let below =
                |bound: i64| {
                    bound.saturating_sub(start).max(0).checked_div(stride).map_or(0, |count| {
                        (count + i64::from(bound.saturating_sub(start).max(0) % stride != 0)).min(to)
                    })
                };
            if to > 0 && stride > 0 { (below(from) - below(0)) as f64 / to as f64 } else { 1.0 }
        };
        let own: Vec<f64> = (0..taps as i64).map(share).collect();
        shares = shares.iter().flat_map(|outer| own.iter().map(move |inner| outer * inner)).collect();
    }
    shares
}

/// Puts biases into a model; the coupling learns of those that are new.
///
/// # Errors
/// Where a bias is of no layer of the model, or none that has a place for one of its length.
pub(super) fn apply(model: &mut Model, coupling: &mut Coupling, biases: &[PlannedBias]) -> Result<(), PassError> {
    if biases.is_empty() {
        return Ok(());
    }
    let broken = |error: &dyn std::fmt::Display| PassError::Broken(error.to_string());
    let graph = &model.graph;
    let named: std::collections::HashMap<String, NodeId> =
        graph.nodes().map(|(id, _)| (graph.label(id.port(0)), id)).collect();
    let mut changes = Vec::new();
    for PlannedBias { layer: name, bias } in biases {
        let wrong = |what: &str| PassError::Request(format!("the bias of `{name}`: {what}"));
        let cx = named.get(name).and_then(|&id| NodeCx::new(graph, id)).ok_or_else(|| wrong("no node gives that"))?;
        let (layer, outputs) = layer_of(&cx).ok_or_else(|| wrong("that is no layer with one weight"))?;
        let place = place(&cx, &layer, outputs).filter(|_| bias.len() == outputs);
        let place = place
            .ok_or_else(|| wrong(&format!("found {} numbers, expected {outputs} and a place for them", bias.len())))?;
        let dims = match place.there.and_then(|value| graph.constant(value)) {
            Some(before) => before.dims().to_vec(),
            None => vec![outputs],
        };
        let tensor = Tensor::from_f64s(bias_type(&cx, &place, &layer), &dims, bias).map_err(|error| broken(&error))?;
        let span = match place.there {
            Some(_) => None,
            None => coupling.axes(cx.id.port(0)).and_then(|axes| match layer.rows {
                Rows::Along { output: Some(axis), .. } => axes.get(axis).copied(),
                _ => axes.get(1).copied(),
            }),
        };
        let name = graph.port(cx.id.port(0)).name.as_ref().map(|name| Name::from(format!("{name}_bias")));
        changes.push((place, tensor, span, name));
    }
    let mut edit = Edit::new(&mut model.graph, &Standard, "prune-channels", &[]);
    for (place, tensor, span, name) in changes {
        match place.there {
            Some(value) if edit.graph().readers(value).count() == 1 => edit.set_constant(value.node, tensor),
            there => {
                let name = there.and_then(|value| edit.graph().port(value).name.clone()).or(name);
                let own = edit.add_constant(name, tensor);
                let Slot::Operand(slot) = place.reading.slot else { continue };
                edit.set_operand(place.reading.node, slot as usize, Some(own));
            }
        }
        if let Some(span) = span {
            coupling.declare(place.reading, vec![span]);
        }
    }
    edit.commit();
    Ok(())
}
