//! From options to a list of weights with their codes, from the list to the model and its witness.

use onnxpress_ir::{Attr, Edit, EditError, Graph, Model, NodeId, Tensor, Use};
use onnxpress_ops::infer::{self, Standard};
use onnxpress_ops::operator::Quantize;
use onnxpress_ops::table;
use rayon::prelude::*;

use super::candidates::{Weight, Weights, bytes_of_codes, inside, part, tensor};
use super::opset;
use super::options::{Granularity as Asked, QuantizeWeights};
use super::plan::{Left, Plan, PlanError, Planned, SCHEMA, axis_and_block};
use crate::calls::each_node;
use crate::digest;
use crate::pass::{Pass, PassCx, PassError};
use crate::quantize::weight::{
    self, Granularity, Quantized, Refusal, Scheme, Written, dequantizing, oldest_opset, parts,
};
use crate::reading_across::graph_at;
use crate::rewrite::file_size;

const NAME: &str = QuantizeWeights::NAME;

/// A weight that is to be quantized, by its place in the list, and how.
#[derive(Debug, Clone, Copy)]
struct Order {
    weight: usize,
    scheme: Scheme,
    granularity: Granularity,
}

fn broken(error: &EditError) -> PassError {
    PassError::Broken(error.to_string())
}

/// Does what the options ask for, and says what was done.
pub(super) fn run(
    options: &QuantizeWeights,
    text: &str,
    model: &mut Model,
    cx: &mut PassCx<'_>,
) -> Result<(), PassError> {
    let weights = Weights::of(model);
    let wanted = weights.wanted(options, cx)?;
    let mut orders = orders(options, options.granularity, model, &weights, &wanted, cx);
    let before = cx.declines().len();
    let (mut result, mut from, mut to) = raised(model, &orders, &weights, cx)?;
    let reached = |order: &Order, to: i64| needed(model, &weights, order).is_some_and(|version| version <= to);
    if !orders.iter().all(|order| reached(order, to)) {
        // One scale a weight is what older versions can say.
        cx.notice(format!("opset {to} is as far as the model goes, so its weights have one scale each"));
        cx.forget_declines_from(before);
        orders = self::orders(options, Asked::Tensor, model, &weights, &wanted, cx);
        orders.retain(|order| {
            if !reached(order, to) {
                let reason = format!("its codes need a newer opset than {to}, which is as far as the model goes");
                cx.declined(NAME, weights.list[order.weight].label(), reason);
            }
            reached(order, to)
        });
        (result, from, to) = raised(model, &orders, &weights, cx)?;
    }
    for (name, reason) in &weights.others {
        cx.declined(NAME, name.clone(), reason.clone());
    }
    let taken = carry_out(&orders, &weights, model, &mut result, cx)?;
    let digest = if cx.request.plans { digest::of(model) } else { String::new() };
    if cx.request.plans {
        let layers = taken.iter().map(|order| planned(model, &weights, order)).collect();
        let declined = cx.declines().iter().filter(|decline| decline.rule == NAME);
        let left = declined.map(|one| Left { tensor: one.site.clone(), reason: one.reason.clone() }).collect();
        cx.set_plan(&Plan { schema: SCHEMA, pass: text.to_owned(), model: digest, layers, left });
    }
    if taken.is_empty() {
        notice_quantized(model, cx);
        return Ok(());
    }
    if from < to {
        cx.notice(format!("the model goes from opset {from} to {to}, which its codes need"));
    }
    *model = result;
    Ok(())
}

/// Repeats what a plan says, on the model that it was made for.
///
/// # Errors
/// Where the plan is none for this model, or says what cannot be.
pub(crate) fn apply_plan(plan: serde_json::Value, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), String> {
    let plan: Plan = serde_json::from_value(plan).map_err(|error| error.to_string())?;
    let weights = Weights::of(model);
    let orders = ordered(&plan, &digest::of(model), model, &weights).map_err(|error| error.to_string())?;
    let (mut result, from, to) = raised(model, &orders, &weights, cx).map_err(|error| error.to_string())?;
    for order in &orders {
        let label = weights.list[order.weight].label();
        match needed(model, &weights, order) {
            Some(version) if version <= to => {}
            _ => return Err(format!("weight `{label}`: opset {to}, as far as the model goes, has no such codes")),
        }
    }
    let declined = cx.declines().len();
    let taken = carry_out(&orders, &weights, model, &mut result, cx).map_err(|error| error.to_string())?;
    if let Some(decline) = cx.declines().get(declined) {
        return Err(format!("weight `{}`: {}", decline.site, decline.reason));
    }
    if taken.is_empty() {
        return Ok(());
    }
    if from < to {
        cx.notice(format!("the model goes from opset {from} to {to}, which its codes need"));
    }
    cx.set_plan(&plan);
    *model = result;
    Ok(())
}

fn ordered(plan: &Plan, digest: &str, model: &Model, weights: &Weights) -> Result<Vec<Order>, PlanError> {
    if plan.schema != SCHEMA {
        return Err(PlanError::Schema { found: plan.schema });
    }
    if plan.model != digest {
        return Err(PlanError::Model { planned: plan.model.clone(), found: digest.to_owned() });
    }
    let mut seen = std::collections::BTreeSet::new();
    let one = |planned: &Planned| {
        let (id, tensor) = (planned.id, planned.tensor.clone());
        let known = weights.list.get(id).filter(|weight| weight.label() == tensor && !weight.site.given_out);
        let axis = planned.axis.unwrap_or(0);
        let Some((found, _)) = known.and_then(|weight| super::candidates::tensor(model, weight)) else {
            return Err(PlanError::Weight { id, tensor });
        };
        if axis >= found.rank() {
            return Err(PlanError::Word { tensor, what: "axis of it", found: axis.to_string() });
        }
        if !seen.insert(id) {
            return Err(PlanError::Twice { id, tensor });
        }
        Ok(Order { weight: id, scheme: planned.scheme()?, granularity: planned.granularity() })
    };
    plan.layers.iter().map(one).collect()
}

fn planned(model: &Model, weights: &Weights, order: &Order) -> Planned {
    let weight = &weights.list[order.weight];
    let (axis, block) = axis_and_block(order.granularity);
    Planned {
        id: order.weight,
        tensor: weight.label(),
        reader: weight.site.reader.clone(),
        codes: order.scheme.dtype.to_string(),
        axis,
        block,
        symmetric: order.scheme.symmetric,
        rounding: order.scheme.rounding.text().to_owned(),
        bytes: tensor(model, weight).map_or((0, 0), |(tensor, name)| bytes(tensor, name, order)),
    }
}

/// Bytes of a weight before and after.
fn bytes(tensor: &Tensor, name: Option<&onnxpress_ir::Name>, order: &Order) -> (usize, usize) {
    let before = file_size::new_tensor(tensor, name, file_size::Written::Initializer);
    let zeros = !order.scheme.symmetric || matches!(order.scheme.dtype.kind(), onnxpress_ir::Kind::Unsigned);
    (before, bytes_of_codes(tensor, name, order.scheme.dtype, order.granularity, zeros))
}

/// Those of the wanted weights that become smaller; the others are declined.
fn orders(
    options: &QuantizeWeights,
    asked: Asked,
    model: &Model,
    weights: &Weights,
    wanted: &[usize],
    cx: &mut PassCx<'_>,
) -> Vec<Order> {
    let mut orders = Vec::new();
    for &index in wanted {
        let weight = &weights.list[index];
        let Some((tensor, name)) = tensor(model, weight) else { continue };
        let granularity = weight.granularity(tensor.dims(), asked);
        let order = Order { weight: index, scheme: options.scheme(), granularity };
        let (before, after) = bytes(tensor, name, &order);
        if after >= before {
            cx.declined(NAME, weight.label(), "codes and scales take no less than the weight");
        } else if oldest_opset(order.scheme.dtype, tensor.dtype(), granularity).is_none() {
            cx.declined(NAME, weight.label(), format!("DequantizeLinear gives no {}", tensor.dtype()));
        } else {
            orders.push(order);
        }
    }
    orders
}

/// The version of the standard that an order needs.
fn needed(model: &Model, weights: &Weights, order: &Order) -> Option<i64> {
    let (tensor, _) = tensor(model, &weights.list[order.weight])?;
    oldest_opset(order.scheme.dtype, tensor.dtype(), order.granularity)
}

/// The model in the version of the standard that orders need, or as far as it goes; and its version before and after.
fn raised(
    model: &Model,
    orders: &[Order],
    weights: &Weights,
    cx: &mut PassCx<'_>,
) -> Result<(Model, i64, i64), PassError> {
    let mut result = model.clone();
    let wanted = orders.iter().filter_map(|order| needed(model, weights, order)).max().unwrap_or(0);
    let (from, to) = opset::raise(&mut result, wanted, cx)?;
    Ok((result, from, to))
}

/// Quantizes weights of `model` and puts them into `result`, the same in a newer version; hands over the witness. Answers those
/// that were not declined.
fn carry_out(
    orders: &[Order],
    weights: &Weights,
    model: &Model,
    result: &mut Model,
    cx: &mut PassCx<'_>,
) -> Result<Vec<Order>, PassError> {
    let made: Vec<Result<Quantized, Refusal>> = orders
        .par_iter()
        .map(|order| match tensor(model, &weights.list[order.weight]) {
            Some((tensor, _)) => weight::quantize(tensor, order.granularity, &order.scheme),
            None => Err(Refusal::Empty),
        })
        .collect();
    let (mut taken, mut witness) = (Vec::new(), model.clone());
    for (order, made) in orders.iter().zip(made) {
        let weight = &weights.list[order.weight];
        let quantized = match made {
            Ok(quantized) => quantized,
            Err(refusal) => {
                cx.declined(NAME, weight.label(), refusal.to_string());
                continue;
            }
        };
        let stays = inside(part(result, weight.function), &weight.site.path)
            .and_then(|graph| graph.constant(weight.site.constant.port(0)))
            .is_some_and(|found| tensor(model, weight).is_some_and(|(tensor, _)| tensor.same_as(found)));
        if !stays {
            cx.declined(NAME, weight.label(), "a newer opset writes it in another way");
            continue;
        }
        round(&mut witness, weight, &quantized)?;
        let body = match weight.function {
            None => &mut result.graph,
            Some(place) => &mut result.functions[place].body,
        };
        let graph = graph_at(body, &weight.site.path);
        let behind = weight.is_behind_lookup(order.scheme.dtype);
        put(graph, weight.site.constant, &quantized, behind).map_err(|error| broken(&error))?;
        taken.push(*order);
    }
    if !taken.is_empty() {
        infer::model(result);
        cx.applied(NAME, taken.len());
        cx.set_witness(witness);
    }
    Ok(taken)
}

/// Gives the weight the numbers that its codes stand for.
fn round(witness: &mut Model, weight: &Weight, quantized: &Quantized) -> Result<(), PassError> {
    let quantized = quantized.clone();
    let (dtype, dims) = (quantized.scale.dtype(), quantized.codes.dims().to_vec());
    let rounded = Tensor::deferred(dtype, &dims, move || {
        let made = quantized.dequantized().ok().and_then(|tensor| tensor.bytes().cloned());
        made.expect("codes and scales that were made together fit each other")
    });
    let rounded = rounded.map_err(|error| PassError::Broken(error.to_string()))?;
    let body = match weight.function {
        None => &mut witness.graph,
        Some(place) => &mut witness.functions[place].body,
    };
    let mut edit = Edit::new(graph_at(body, &weight.site.path), &Standard, NAME, &[]);
    edit.set_constant(weight.site.constant, rounded);
    edit.commit();
    Ok(())
}

/// Puts codes in the place of a weight, and a `DequantizeLinear` behind them or, with `behind`, behind the lookups in them.
fn put(graph: &mut Graph, constant: NodeId, quantized: &Quantized, behind: bool) -> Result<(), EditError> {
    let value = constant.port(0);
    let mut readers: Vec<Use> = graph.readers(value).collect();
    // The first of the readers lends its place in the file.
    readers.reverse();
    let name = graph.port(value).name.clone();
    let written = match graph.vertex(constant) {
        onnxpress_ir::Vertex::Constant(constant) => Written::like(&constant.form),
        _ => Written::AsUsual,
    };
    let from: Vec<NodeId> = readers.first().map(|reading| reading.node).into_iter().collect();
    let mut edit = Edit::new(graph, &Standard, NAME, &from);
    let made = parts(&mut edit, name.as_ref(), quantized, written);
    if behind {
        for reading in readers {
            look_up(&mut edit, reading.node, &made, quantized)?;
        }
    } else {
        let floats = dequantizing(&mut edit, made.codes, &made, quantized.granularity)?;
        edit.replace(value, floats)?;
    }
    edit.remove(constant);
    edit.commit();
    Ok(())
}

/// Looks codes up in the place of floats, and makes floats of those.
fn look_up(edit: &mut Edit<'_>, lookup: NodeId, made: &weight::Parts, quantized: &Quantized) -> Result<(), EditError> {
    let Some(node) = edit.graph().node(lookup) else { return Ok(()) };
    let (mut node, old) = (node.clone(), lookup.port(0));
    let name = node.ports().first().and_then(|port| port.name.as_ref());
    let port = onnxpress_ir::Port { name: name.map(|name| name.suffixed("_quantized")), ..Default::default() };
    node = node.with_ports([port]);
    let mut operands: Vec<_> = edit.graph().operands(lookup).collect();
    operands[0] = Some(made.codes);
    let codes = edit.add_node(node, &operands)?.port(0);
    let floats = dequantizing(edit, codes, made, quantized.granularity)?;
    if matches!(quantized.granularity, Granularity::Channel(_)) {
        // The lookup puts other axes in front; the last stays the last.
        edit.set_attr(floats.node, Attr::int("axis", -1));
        edit.refresh(floats.node)?;
    }
    edit.replace(old, floats)?;
    edit.remove(lookup);
    Ok(())
}

/// Says so where nothing is left to do because it was done before.
fn notice_quantized(model: &Model, cx: &mut PassCx<'_>) {
    let (mut count, mut first) = (0usize, None);
    let bodies = model.functions.iter().map(|function| &function.body);
    for graph in std::iter::once(&model.graph).chain(bodies) {
        each_node(graph, &mut |node| {
            let is = table::of(node).is_some_and(|sheet| sheet.quantize == Quantize::Quantized);
            if is {
                count += 1;
                first.get_or_insert_with(|| node.op_type.clone());
            }
        });
    }
    if let Some(first) = first {
        cx.notice(format!("the model is quantized already: it has {count} nodes as {first}"));
    }
}
