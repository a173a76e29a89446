//! Writes a plan into a model: conversions around values, codes in the place of weights, whole numbers in that of biases.
//!
//! The witness is written by the same hand: the same conversions, but weights and biases as the floats that their codes stand
//! for.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use onnxpress_ir::{Attr, DType, Edit, EditError, Model, Name, Node, NodeId, Tensor, Use, ValueId};
use onnxpress_ops::infer::Standard;
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::Linear;
use onnxpress_ops::table;

use super::adapt::Rounded;
use super::bias::{self, IntegerBias};
use super::conversions::conversions;
use super::options::WeightRounding;
use super::plan::{self, Numbers, PlanError, PlannedLayer, PlannedWeight, QuantizePlan};
use super::stored::{self, Stored};
use super::{hand_on, limits, scales};
use crate::quantize::weight::{self, Granularity, Quantized, Refusal, Scheme};

/// Why a plan cannot be written into a model.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("{site}: {reason}")]
    Weight { site: String, reason: Refusal },
    #[error(transparent)]
    Edit(#[from] EditError),
    #[error(transparent)]
    Tensor(#[from] onnxpress_ir::TensorError),
}

/// How weights and biases are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum As {
    /// As codes with a `DequantizeLinear`.
    Codes,
    /// As the floats that the codes stand for.
    Floats,
}

/// A layer of the plan as the model has it.
struct Found<'p> {
    planned: &'p PlannedLayer,
    node: NodeId,
    weight: Option<(usize, NodeId, &'p PlannedWeight)>,
    /// What the bias is, where it becomes whole numbers or is corrected.
    bias: Option<Bias>,
    /// The operand of the input.
    input: usize,
    /// The scale of the input, where it is codes.
    input_scale: Option<f32>,
}

/// A bias, and where it stands.
struct Bias {
    node: NodeId,
    operand: usize,
    numbers: Vec<f32>,
    name: Option<Name>,
}

/// Writes a plan that was [checked](QuantizePlan::check) into the model that it is for; `rounded` has the weights and biases that are known
/// already. Answers how many layers it quantized.
///
/// # Errors
/// Where it names sites that the model does not have, or weights that cannot be quantized.
pub(crate) fn write(plan: &QuantizePlan, model: &mut Model, form: As, rounded: &Rounded) -> Result<usize, WriteError> {
    let numbers = Numbers::of(model);
    let found = plan.layers.iter().map(|layer| find(layer, plan, model, &numbers, rounded));
    let found = found.collect::<Result<Vec<_>, _>>()?;
    let quantized = quantized(&found, model, rounded)?;
    let tables = tables(plan, model, &numbers)?;
    let stored = stored::found(plan, model)?;
    // Values first: a lookup of codes takes the place of the node whose number the plan has.
    conversions(plan, model, &numbers)?;
    let mut edit = Edit::new(&mut model.graph, &Standard, "quantize", &[]);
    weights(&mut edit, &found, &quantized, (form, plan.compact))?;
    for layer in &found {
        biases(&mut edit, layer, &quantized, form, plan.compact)?;
    }
    for (constant, it) in &tables {
        lookups(&mut edit, *constant, it, (form, plan.compact))?;
    }
    edit.commit();
    stored.iter().try_for_each(|it: &Stored| it.put(model, form))?;
    drop_unread(model, &found, &tables);
    if form == As::Codes && plan.compact {
        limits::drop_kept(&mut model.graph)?;
        hand_on::hand_on(&mut model.graph)?;
    }
    onnxpress_ops::infer::model(model);
    Ok(found.len() + tables.len() + stored.len())
}

fn find<'p>(
    planned: &'p PlannedLayer,
    plan: &QuantizePlan,
    model: &Model,
    numbers: &Numbers,
    rounded: &Rounded,
) -> Result<Found<'p>, WriteError> {
    let fail = |reason: &str| PlanError::Site { name: planned.name.clone(), reason: reason.to_owned() };
    let node = numbers.vertex(planned.id, &planned.name)?;
    let cx = NodeCx::new(&model.graph, node).ok_or_else(|| fail("it is no node"))?;
    let Some(weight) = &planned.weight else {
        return Ok(Found { planned, node, weight: None, bias: None, input: 0, input_scale: None });
    };
    let Some(Linear::Layers(layers)) = table::of(cx.node).map(|sheet| sheet.linear) else {
        return Err(fail("it is no linear map").into());
    };
    let linear = layers(&cx).into_iter().find(|layer| cx.constant(layer.weight).is_some());
    let linear = linear.ok_or_else(|| fail("its weight is no constant"))?;
    let constant = cx.operand(linear.weight).ok_or_else(|| fail("it has no weight"))?.node;
    let bias = match bias::place(&cx, &linear) {
        Some((reader, operand)) => {
            let value = model.graph.operand(reader, operand);
            let name = value.and_then(|value| model.graph.port(value).name.clone());
            let name = name.or_else(|| Some(model.graph.port(constant.port(0)).name.as_ref()?.suffixed("_bias")));
            let own = value.and_then(|value| model.graph.constant(value)).filter(|_| planned.integer_bias);
            let corrected = rounded.biases.get(&node).or(planned.bias.as_ref()).cloned();
            let numbers = match (corrected, own) {
                (None, Some(own)) => Some(own.to_f32s()?),
                (corrected, _) => corrected,
            };
            numbers.map(|numbers| Bias { node: reader, operand, numbers, name })
        }
        None => None,
    };
    let input_scale = plan.values.iter().find_map(|value| {
        let here = value
            .readers
            .iter()
            .any(|reader| reader.node == planned.id && reader.operand as usize == linear.input && !reader.inside);
        here.then_some(value.scale)
    });
    Ok(Found { planned, node, weight: Some((linear.weight, constant, weight)), bias, input: linear.input, input_scale })
}

/// By constant and axis: what weights become.
type Weights = BTreeMap<(NodeId, Option<usize>), Quantized>;

fn quantized(found: &[Found<'_>], model: &Model, rounded: &Rounded) -> Result<Weights, WriteError> {
    let mut all = Weights::new();
    for layer in found {
        let Some((_, constant, planned)) = layer.weight else { continue };
        let Some(tensor) = model.graph.constant(constant.port(0)) else { continue };
        let it = match all.entry((constant, planned.axis)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => match rounded.weights.get(entry.key()) {
                Some(it) => entry.insert(it.clone()),
                None => entry.insert(codes(tensor, planned)?),
            },
        };
        if let (Some(bias), Some(scale), true) = (&layer.bias, layer.input_scale, layer.planned.integer_bias) {
            bias::make_room(it, tensor, &bias.numbers, scale, planned.short_scales)
                .map_err(|reason| refused(planned, reason))?;
        }
    }
    Ok(all)
}

pub(super) fn refused(planned: &PlannedWeight, reason: Refusal) -> WriteError {
    WriteError::Weight { site: format!("constant `{}`", planned.name), reason }
}

/// A weight as codes.
///
/// # Errors
/// Where it cannot be quantized as planned.
pub(crate) fn codes(tensor: &Tensor, planned: &PlannedWeight) -> Result<Quantized, WriteError> {
    let granularity = planned.axis.map_or(Granularity::Tensor, Granularity::Channel);
    let mut it = weight::quantize(tensor, granularity, &scheme(planned)?).map_err(|reason| refused(planned, reason))?;
    if planned.zeros {
        it.zero_point = Some(it.zero_points().map_err(|reason| refused(planned, reason))?);
    }
    Ok(it)
}

/// In what type a weight is written, and how it is rounded by itself.
///
/// # Errors
/// Where the plan names what there is not.
pub(super) fn scheme(planned: &PlannedWeight) -> Result<Scheme, WriteError> {
    let rounding = WeightRounding::named(&planned.rounding);
    let unknown = || PlanError::Site {
        name: planned.name.clone(),
        reason: format!(
            "`{}` is no way of rounding, expected {}",
            planned.rounding,
            WeightRounding::ALL.map(WeightRounding::text).join(", ")
        ),
    };
    let dtype = plan::dtype(&planned.dtype, &planned.name)?;
    let rounding = rounding.ok_or_else(unknown)?.alone();
    let (reduce_range, scales) = (planned.reduce_range, planned.short_scales.then_some(DType::Float16));
    Ok(Scheme { reduce_range, scales, ..Scheme::of(dtype, planned.symmetric, rounding) })
}

fn tables(plan: &QuantizePlan, model: &Model, numbers: &Numbers) -> Result<Vec<(NodeId, Quantized)>, WriteError> {
    let one = |table: &plan::PlannedTable| {
        let name = &table.weight.name;
        let constant = numbers.vertex(table.id, name)?;
        let tensor = model
            .graph
            .constant(constant.port(0))
            .ok_or_else(|| PlanError::Site { name: name.clone(), reason: "it is no constant".to_owned() })?;
        Ok((constant, codes(tensor, &table.weight)?))
    };
    plan.tables.iter().map(one).collect()
}

/// Puts whole numbers in the place of a layer's bias; weights are codes by now.
fn biases(
    edit: &mut Edit<'_>,
    layer: &Found<'_>,
    weights: &Weights,
    form: As,
    compact: bool,
) -> Result<(), WriteError> {
    let Some(Bias { node, operand, numbers: bias, name }) = &layer.bias else { return Ok(()) };
    let weight = layer.weight.and_then(|(_, constant, planned)| weights.get(&(constant, planned.axis)));
    let integer = match (weight, layer.input_scale) {
        (Some(weight), Some(scale)) if layer.planned.integer_bias => IntegerBias::of(bias, weight, scale)?,
        _ => None,
    };
    let value = match (integer, form) {
        (None, _) => edit.add_constant(name.clone(), Tensor::vector(bias.clone())),
        (Some(integer), As::Floats) => edit.add_constant(name.clone(), integer.dequantized()?),
        (Some(integer), As::Codes) => {
            let suffixed = |suffix| name.as_ref().map(|name: &Name| name.suffixed(suffix));
            let codes = edit.add_constant(suffixed("_quantized"), integer.codes);
            let factors = factors(edit, layer).filter(|_| compact && integer.scale.len() >= scales::WORTH_A_NODE);
            let scale = match factors {
                Some(factors) => edit.add(Node::new("Mul", 1), &factors)?,
                None => edit.add_constant(suffixed("_scale"), integer.scale),
            };
            let granularity = if integer.per_channel { Granularity::Channel(0) } else { Granularity::Tensor };
            let floats = edit.add(weight::node(granularity), &[codes, scale])?;
            edit.rename(floats, name.clone());
            floats
        }
    };
    edit.set_operand(*node, *operand, Some(value));
    Ok(())
}

/// The scales of a layer's input and weight, whose product is that of its bias.
fn factors(edit: &Edit<'_>, layer: &Found<'_>) -> Option<[ValueId; 2]> {
    let graph = edit.graph();
    let scale = |operand: usize| {
        let floats = graph.operand(layer.node, operand)?;
        graph.node(floats.node).filter(|node| node.is("DequantizeLinear"))?;
        graph.operand(floats.node, 1)
    };
    let (weight, ..) = layer.weight?;
    Some([scale(layer.input)?, scale(weight)?])
}

/// Puts codes in the place of weights, for all who read them; those with several kinds of scales are there once for each.
fn weights(
    edit: &mut Edit<'_>,
    found: &[Found<'_>],
    weights: &Weights,
    (form, compact): (As, bool),
) -> Result<(), WriteError> {
    let mut made: BTreeMap<(NodeId, Option<usize>), ValueId> = BTreeMap::new();
    for (&(constant, axis), it) in weights {
        let name = edit.graph().port(constant.port(0)).name.clone();
        let value = match form {
            As::Floats => {
                let tensor = it.dequantized().map_err(|reason| WriteError::Weight { site: String::new(), reason })?;
                edit.add_constant(name, tensor)
            }
            As::Codes => {
                let parts = scales::parts(edit, name.as_ref(), it, compact)?;
                let operands: Vec<ValueId> = std::iter::once(parts.codes).chain(parts.parameters()).collect();
                let floats = edit.add(weight::node(it.granularity), &operands)?;
                edit.rename(floats, name);
                floats
            }
        };
        made.insert((constant, axis), value);
    }
    for layer in found {
        if let Some((operand, constant, planned)) = layer.weight
            && let Some(&value) = made.get(&(constant, planned.axis))
        {
            edit.set_operand(layer.node, operand, Some(value));
        }
    }
    // Who else reads a weight reads what it has become, so that no float copy stays behind.
    for (&(constant, _), &value) in &made {
        let graph = edit.graph();
        let others = graph.readers(constant.port(0)).filter(|reading| graph.node(reading.node).is_some());
        for reading in others.collect::<Vec<Use>>() {
            edit.connect(reading, Some(value));
        }
    }
    Ok(())
}

/// Looks rows of codes up in the place of rows of floats.
fn lookups(
    edit: &mut Edit<'_>,
    constant: NodeId,
    it: &Quantized,
    (form, compact): (As, bool),
) -> Result<(), WriteError> {
    let name = edit.graph().port(constant.port(0)).name.clone();
    if form == As::Floats {
        let tensor = it.dequantized().map_err(|reason| WriteError::Weight { site: String::new(), reason })?;
        edit.set_constant(constant, tensor);
        return Ok(());
    }
    let parts = scales::parts(edit, name.as_ref(), it, compact)?;
    let readers: Vec<Use> = edit.graph().readers(constant.port(0)).collect();
    for reading in readers.into_iter().rev() {
        let Some(node) = edit.graph().node(reading.node).cloned() else { continue };
        let indices = edit.graph().operand(reading.node, 1);
        let old = reading.node.port(0);
        let output = edit.graph().port(old).name.clone();
        let mut gather = Node::new("Gather", 1).named(node.name.clone());
        gather.attrs.clone_from(&node.attrs);
        let gathered = edit.add_node(gather, &[Some(parts.codes), indices])?.port(0);
        edit.rename(gathered, output.map(|name| name.suffixed("_quantized")));
        let rank = edit.graph().ty(old).shape().map(|shape| shape.len());
        let axis = match (it.granularity, rank) {
            (Granularity::Channel(_), Some(rank)) => Some(rank as i64 - 1),
            (Granularity::Channel(_), None) => Some(-1),
            _ => None,
        };
        let dequantize =
            axis.into_iter().fold(weight::node(Granularity::Tensor), |node, axis| node.with(Attr::int("axis", axis)));
        let operands: Vec<ValueId> = std::iter::once(gathered).chain(parts.parameters()).collect();
        let floats = edit.add(dequantize, &operands)?;
        edit.replace(old, floats)?;
        edit.remove(reading.node);
    }
    Ok(())
}

/// Removes constants that nobody reads any more.
fn drop_unread(model: &mut Model, found: &[Found<'_>], tables: &[(NodeId, Quantized)]) {
    let weights = found.iter().filter_map(|layer| Some(layer.weight?.1)).chain(tables.iter().map(|(id, _)| *id));
    let mut unread: Vec<NodeId> = weights.collect();
    unread.extend(model.graph.constants().map(|(id, _)| id).filter(|id| !model.graph.is_read(*id)));
    unread.sort_unstable();
    unread.dedup();
    unread.retain(|&id| model.graph.contains(id) && !model.graph.is_read(id));
    let mut edit = Edit::new(&mut model.graph, &Standard, "quantize", &[]);
    unread.into_iter().for_each(|id| edit.remove(id));
    edit.commit();
}
