//! How laws go through nodes.

use std::collections::BTreeMap;

use onnxpress_ir::{DType, Tensor, ValueId};
use onnxpress_ops::Effects;
use onnxpress_ops::NormalizedBy;
use onnxpress_ops::axes::Axis;
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::interpret::{self, Limits};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::{Linear, Rows};
use onnxpress_ops::table;

use super::law::{self, Law, POINTS};
use super::{Expected, Known, MOST, closed};

/// Constants of more elements are not computed with.
const FOLDED: usize = 1 << 20;
/// Operators that hand elements on, each as it is.
const MOVING: [&str; 13] = [
    "Concat",
    "Split",
    "Slice",
    "Gather",
    "Transpose",
    "Pad",
    "Expand",
    "Tile",
    "DepthToSpace",
    "SpaceToDepth",
    "Identity",
    "GlobalAveragePool",
    "ReduceMean",
];
/// Operators that leave elements in their order.
const RESHAPING: [&str; 4] = ["Reshape", "Flatten", "Squeeze", "Unsqueeze"];

/// By index of the axis that a layer's outputs run along: whether all weights of the output are zero.
pub(super) fn silent(cx: &NodeCx<'_>) -> Option<Vec<bool>> {
    let Linear::Layers(layers) = table::of(cx.node)?.linear else { return None };
    let [layer] = layers(cx).try_into().ok()?;
    let ([axis], true) = (layer.output_axes.as_slice(), layer.batch_axes.is_empty()) else { return None };
    let weight = cx.constant(layer.weight).filter(|weight| weight.dtype().is_float())?;
    let (extent, inner) = (*weight.dims().get(*axis)?, weight.dims()[axis + 1..].iter().product::<usize>().max(1));
    let mut silent = vec![true; extent];
    let mut left = extent;
    let mut hear = |lane: usize, speaks: bool| {
        if speaks && std::mem::replace(&mut silent[lane % extent], false) {
            left -= 1;
        }
        left > 0
    };
    match weight.values::<f32>() {
        Ok(values) => {
            values.chunks(inner).enumerate().all(|(lane, values)| hear(lane, values.iter().any(|value| *value != 0.0)));
        }
        Err(_) => {
            let values = weight.to_f64s().ok()?;
            values.chunks(inner).enumerate().all(|(lane, values)| hear(lane, values.iter().any(|value| *value != 0.0)));
        }
    }
    Some(silent)
}

impl Expected {
    /// Computes what depends on nothing but constants.
    pub(super) fn fold(&mut self, cx: &NodeCx<'_>) {
        let pure = table::of(cx.node).is_some_and(|operator| operator.effects == Effects::Pure);
        let operands: Vec<Option<ValueId>> = cx.graph.operands(cx.id).collect();
        if !pure || cx.node.has_subgraphs() || operands.iter().flatten().next().is_none() {
            return;
        }
        let constant = |value: &Option<ValueId>| match value {
            None => Some(None),
            Some(value) => {
                let tensor = self.constants.get(value).filter(|tensor| tensor.len() <= FOLDED)?;
                Some(Some(Value::Tensor(tensor.clone())))
            }
        };
        let Some(inputs) = operands.iter().map(constant).collect::<Option<Vec<_>>>() else { return };
        for (port, value) in (0u32..).zip(evaluate(cx, &inputs).unwrap_or_default()) {
            self.constants.insert(cx.id.port(port), value);
        }
    }

    /// What is known of a node's outputs.
    pub(super) fn outputs(&mut self, cx: &NodeCx<'_>) -> Vec<Option<Known>> {
        let named = |names: &[&str]| names.iter().any(|name| cx.node.is(name));
        if self.constants.contains_key(&cx.id.port(0)) {
            return Vec::new();
        }
        if named(&["BatchNormalization", "InstanceNormalization"]) {
            vec![self.normalized(cx)]
        } else if named(&["AveragePool", "MaxPool"]) {
            vec![self.pooled(cx)]
        } else if named(&RESHAPING) {
            vec![self.reshaped(cx)]
        } else if named(&MOVING) {
            self.moved(cx)
        } else if is_elementwise(cx) {
            vec![self.elementwise(cx)]
        } else {
            vec![self.layered(cx)]
        }
    }

    fn operand(&self, cx: &NodeCx<'_>, index: usize) -> Option<Known> {
        let value = cx.operand(index)?;
        self.known.get(&value).cloned().or_else(|| Known::constant(self.constants.get(&value)?))
    }

    /// Where statistics were taken, the law is known: mean `B` and deviation `scale`.
    fn normalized(&mut self, cx: &NodeCx<'_>) -> Option<Known> {
        let numbers = |index: usize| self.constants.get(&cx.operand(index)?)?.to_f64s().ok();
        let (scale, bias) = (numbers(1)?, numbers(2)?);
        let batch = cx.node.is("BatchNormalization");
        let statistics = match batch.then(|| NormalizedBy::of(cx)) {
            None => None,
            Some(Ok(NormalizedBy::Operands { epsilon })) => Some((numbers(3)?, numbers(4)?, epsilon)),
            Some(_) => return None,
        };
        let before = self.operand(cx, 0).filter(|known| batch && known.dims.get(1) == Some(&known.laws.len()));
        let source = self.source();
        let law = |index: usize| -> Option<Law> {
            let (scale, bias) = (*scale.get(index)?, *bias.get(index)?);
            let Some((mean, variance, epsilon)) = &statistics else {
                return Some(Law::normal(source, bias, scale.abs()));
            };
            let (mean, variance) = (*mean.get(index)?, *variance.get(index)?);
            let deviation = (variance + epsilon).sqrt();
            let of = before.as_ref().and_then(|known| known.laws.get(index));
            let law = match of {
                Some(Law::Constant(value)) => Law::Constant((value - mean) / deviation * scale + bias),
                _ => Law::normal(source, bias, scale.abs() * variance.sqrt() / deviation),
            };
            Some(if law.mean().is_some_and(f64::is_finite) { law } else { Law::Unknown })
        };
        let laws: Vec<Law> = (0..scale.len()).map(law).collect::<Option<_>>()?;
        Known::along(cx.rank(0)?, 1, laws)
    }

    /// A filter of zeros gives its bias.
    fn layered(&self, cx: &NodeCx<'_>) -> Option<Known> {
        let silent = silent(cx).filter(|silent| silent.contains(&true))?;
        let Linear::Layers(layers) = table::of(cx.node)?.linear else { return None };
        let [layer] = layers(cx).try_into().ok()?;
        let (axis, rank) = (output_axis(cx, &layer)?, cx.output_shape(0)?.len());
        let bias = match layer.bias.and_then(|slot| cx.operand(slot)) {
            Some(value) => self.constants.get(&value)?.to_f64s().ok()?,
            None => vec![0.0; silent.len()],
        };
        let scaled = cx.attrs().float_or("beta", 1.0) == Ok(1.0);
        if bias.len() != silent.len() || !scaled || (layer.groups != 1 && layer.output_axes != [0]) {
            return None;
        }
        let law = |(silent, bias): (bool, f64)| if silent { Law::Constant(bias) } else { Law::Unknown };
        Known::along(rank, axis, silent.into_iter().zip(bias).map(law).collect())
    }

    /// Means of windows are means; a maximum is no less than the mean, and better than nothing where that is above zero.
    fn pooled(&self, cx: &NodeCx<'_>) -> Option<Known> {
        let known = self.operand(cx, 0).filter(|known| known.dims.iter().skip(2).all(|&extent| extent == 1))?;
        let largest = cx.node.is("MaxPool");
        let law = |law: Law| match (law.mean(), &law) {
            (_, Law::Constant(_)) => law,
            (Some(mean), _) if !largest || mean >= 0.0 => Law::Mean(mean),
            _ => Law::Unknown,
        };
        Some(Known { dims: known.dims, laws: known.laws.into_iter().map(law).collect() })
    }

    fn reshaped(&self, cx: &NodeCx<'_>) -> Option<Known> {
        let known = self.operand(cx, 0)?;
        let (from, to) = (closed(cx.shape(0)?)?, closed(cx.output_shape(0)?)?);
        if from.iter().product::<usize>() != to.iter().product::<usize>() {
            return None;
        }
        let laws = spread(&known, &from)?.into_iter().map(|at| at as usize).collect::<Vec<_>>();
        Some(compact(&to, &laws, &known.laws))
    }

    /// Sends numbers in the place of laws through the node, and sees where they come out.
    fn moved(&self, cx: &NodeCx<'_>) -> Vec<Option<Known>> {
        // Zero is what padding puts in.
        let mut laws = vec![Law::Constant(0.0)];
        let mut sent: Vec<Option<Result<Known, Tensor>>> = Vec::new();
        for index in 0..cx.operand_count() {
            let Some(value) = cx.operand(index) else {
                sent.push(None);
                continue;
            };
            let is_data = index == 0 || cx.node.is("Concat");
            match (is_data.then(|| self.operand(cx, index)).flatten(), self.constants.get(&value)) {
                (Some(known), _) => {
                    sent.push(Some(Ok(Known { dims: known.dims, laws: Vec::new() })));
                    laws.extend(known.laws);
                }
                (None, Some(tensor)) if !is_data => sent.push(Some(Err(tensor.clone()))),
                _ => return Vec::new(),
            }
        }
        if cx.node.is("Pad") && self.pads_with_something(cx) || laws.len() > MOST {
            return Vec::new();
        }
        let numbers = |full: bool| -> Option<Vec<Option<Value>>> {
            let mut next = 1;
            let mut all = Vec::new();
            for (index, sent) in sent.iter().enumerate() {
                all.push(match sent {
                    None => None,
                    Some(Err(tensor)) => Some(Value::Tensor(tensor.clone())),
                    Some(Ok(known)) => {
                        let count = known.dims.iter().product::<usize>();
                        let of = Known { dims: known.dims.clone(), laws: vec![Law::Unknown; count] };
                        let dims = if full { closed(cx.shape(index)?)? } else { known.dims.clone() };
                        let numbers = spread(&of, &dims)?.into_iter().map(|at| (at + next) as f32).collect();
                        next += count as u32;
                        Some(Value::Tensor(Tensor::from_values::<f32>(&dims, numbers).ok()?))
                    }
                });
            }
            Some(all)
        };
        for full in [false, true] {
            let Some(outputs) = numbers(full).and_then(|inputs| evaluate(cx, &inputs)) else { continue };
            let mut found = Vec::new();
            for (port, tensor) in outputs.iter().enumerate() {
                let fits = |shape: &onnxpress_ir::Shape| {
                    let extents = closed(shape).unwrap_or_default();
                    let fits = |(extent, whole): (&usize, &usize)| extent == whole || (!full && *extent == 1);
                    extents.len() == tensor.rank() && tensor.dims().iter().zip(&extents).all(fits)
                };
                let numbers = cx.output_shape(port).filter(|shape| fits(shape)).and_then(|_| tensor.to_f64s().ok());
                let of_law = |number: f64| Some(number as usize).filter(|&at| at as f64 == number && at < laws.len());
                let numbers: Option<Vec<usize>> = numbers.and_then(|all| all.into_iter().map(of_law).collect());
                let Some(numbers) = numbers else { break };
                found.push(Some(compact(tensor.dims(), &numbers, &laws)));
            }
            // Means over an axis along which laws differ are no law's number.
            let reduces = cx.node.is("ReduceMean") || cx.node.is("GlobalAveragePool");
            let kept = |known: &Option<Known>| known.as_ref().is_some_and(|known| known.laws.len() + 1 == laws.len());
            if found.len() == outputs.len() && !(reduces && (full || !found.iter().all(kept))) {
                if reduces {
                    let mean = |law: Law| match (law.mean(), &law) {
                        (_, Law::Constant(_)) => law,
                        (Some(mean), _) => Law::Mean(mean),
                        (None, _) => Law::Unknown,
                    };
                    found.iter_mut().flatten().for_each(|known| {
                        known.laws = std::mem::take(&mut known.laws).into_iter().map(mean).collect();
                    });
                }
                return found;
            }
        }
        Vec::new()
    }

    fn pads_with_something(&self, cx: &NodeCx<'_>) -> bool {
        let constant = cx.attrs().string_or("mode", "constant".into()).is_ok_and(|mode| mode == "constant");
        let by_attribute = cx.attrs().float_or("value", 0.0) != Ok(0.0);
        let by_operand = cx.operand(2).is_some_and(|value| {
            let zero = |tensor: &Tensor| tensor.to_f64s().is_ok_and(|all| all.iter().all(|&value| value == 0.0));
            !self.constants.get(&value).is_some_and(zero)
        });
        by_attribute || by_operand || !constant
    }

    /// Computes at every point of the grid.
    fn elementwise(&mut self, cx: &NodeCx<'_>) -> Option<Known> {
        let (mut operands, mut inputs) = (Vec::new(), Vec::new());
        for index in 0..cx.operand_count() {
            let Some(value) = cx.operand(index) else {
                inputs.push(None);
                continue;
            };
            let is_data = cx.node.is("Sum") || cx.node.is("Max") || cx.node.is("Min") || is_broadcast(cx, index);
            if !is_data {
                inputs.push(Some(Value::Tensor(as_float(self.constants.get(&value)?)?)));
                continue;
            }
            let known = self.operand(cx, index)?;
            if known.laws.len() > MOST / POINTS {
                return None;
            }
            let mut points = Vec::with_capacity(known.laws.len() * POINTS);
            known.laws.iter().for_each(|law| law.write_points(&mut points));
            let dims: Vec<usize> = known.dims.iter().copied().chain([POINTS]).collect();
            inputs.push(Some(Value::Tensor(Tensor::from_values(&dims, points).ok()?)));
            operands.push(known);
        }
        let rank = operands.iter().map(|known| known.dims.len()).max()?;
        // Axes are aligned from the right, and the points stand behind them.
        let mut dims = vec![1; rank];
        for known in &operands {
            for (own, joint) in known.dims.iter().rev().zip(dims.iter_mut().rev()) {
                *joint = (*joint).max(*own);
            }
        }
        if dims.iter().product::<usize>() > MOST / POINTS {
            return None;
        }
        let result = evaluate(cx, &inputs)?.into_iter().next()?;
        let points: Vec<f32> = result.to_f64s().ok()?.into_iter().map(|value| value as f32).collect();
        let places: Vec<Vec<u32>> = operands
            .iter()
            .map(|known| {
                let mut own = vec![1; rank - known.dims.len()];
                own.extend(&known.dims);
                spread(&Known { dims: own, laws: known.laws.clone() }, &dims)
            })
            .collect::<Option<_>>()?;
        if points.len() != dims.iter().product::<usize>() * POINTS {
            return None;
        }
        let new_source = self.source();
        let laws = points.chunks(POINTS).enumerate().map(|(at, points)| {
            let laws: Vec<&Law> =
                operands.iter().zip(&places).map(|(known, place)| &known.laws[place[at] as usize]).collect();
            combined(cx, &laws, points, new_source)
        });
        Some(Known { laws: laws.collect(), dims })
    }
}

/// The law of a result whose points were computed from those of operands.
fn combined(cx: &NodeCx<'_>, operands: &[&Law], points: &[f32], new_source: u32) -> Law {
    let mut sources: Vec<u32> = operands
        .iter()
        .filter_map(|law| match law {
            Law::Of { source, .. } => Some(*source),
            _ => None,
        })
        .collect();
    sources.dedup();
    let known = operands.iter().all(|law| !matches!(law, Law::Unknown));
    let whole = operands.iter().all(|law| !matches!(law, Law::Mean(_)));
    if !known {
        return Law::Unknown;
    }
    if whole && sources.len() <= 1 {
        return Law::from_points(sources.first().copied(), points);
    }
    let sums = ["Add", "Sub", "Sum"].iter().any(|name| cx.node.is(name));
    let moving = operands.iter().filter(|law| !matches!(law, Law::Constant(_))).count();
    let scales = ["Mul", "Identity", "Neg", "Dropout"].iter().any(|name| cx.node.is(name)) && moving == 1
        || cx.node.is("Div") && matches!(operands, [_, Law::Constant(_)]);
    let mean = law::mean(points);
    if !mean.is_finite() || !(sums || scales) {
        return Law::Unknown;
    }
    match operands.iter().map(|law| law.variance()).sum::<Option<f64>>() {
        Some(variance) if sums => Law::normal(new_source, mean, variance.sqrt()),
        _ => Law::Mean(mean),
    }
}

fn evaluate(cx: &NodeCx<'_>, inputs: &[Option<Value>]) -> Option<Vec<Tensor>> {
    let limits = Limits { elements: MOST, steps: 1 << 32, depth: 1 };
    let outputs = interpret::node(cx.graph, cx.id, inputs, limits).ok()?;
    outputs.into_iter().map(|value| value.as_tensor().ok().cloned()).collect()
}

fn as_float(tensor: &Tensor) -> Option<Tensor> {
    if !tensor.dtype().is_float() {
        return Some(tensor.clone());
    }
    Tensor::from_f64s(DType::Float, tensor.dims(), &tensor.to_f64s().ok()?).ok()
}

/// Whether every axis of operands and output broadcasts with those of the others.
fn is_elementwise(cx: &NodeCx<'_>) -> bool {
    let Some(operator) = table::of(cx.node) else { return false };
    let Ok(relation) = operator.axes.relation(cx) else { return false };
    let many = |row: &Vec<Axis>| matches!(row.as_slice(), [Axis::Many(name)] if name == "s");
    operator.effects == Effects::Pure
        && relation.roles.is_empty()
        && relation.stated.is_empty()
        && relation.outputs.iter().flatten().all(many)
        && relation.operands.iter().flatten().all(many)
        && relation.operands.iter().flatten().next().is_some()
}

fn is_broadcast(cx: &NodeCx<'_>, index: usize) -> bool {
    let relation = table::of(cx.node).and_then(|operator| operator.axes.relation(cx).ok());
    relation.is_some_and(|relation| relation.operands.get(index).is_some_and(Option::is_some))
}

/// The axis of the output that the layer's outputs run along.
fn output_axis(cx: &NodeCx<'_>, layer: &onnxpress_ops::operator::LinearLayer) -> Option<usize> {
    match layer.rows {
        Rows::Windows => Some(1),
        Rows::Along { output, .. } => output.or_else(|| cx.node.is("ConvTranspose").then_some(1)),
        Rows::Hidden(_) => None,
    }
}

/// For each element of a tensor of these extents, which of the laws it has.
fn spread(known: &Known, dims: &[usize]) -> Option<Vec<u32>> {
    let count =
        dims.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent)).filter(|&all| all <= MOST)?;
    let fits = |(own, whole): (&usize, &usize)| own == whole || *own == 1;
    if known.dims.len() != dims.len() || !known.dims.iter().zip(dims).all(fits) {
        return None;
    }
    let mut places = vec![0u32; 1];
    places.reserve(count);
    for (&own, &whole) in known.dims.iter().zip(dims) {
        let step = |place: u32, index: usize| place * own as u32 + if own == 1 { 0 } else { index as u32 };
        places = places.iter().flat_map(|&place| (0..whole).map(move |index| step(place, index))).collect();
    }
    Some(places)
}

/// The laws of a tensor whose elements are numbers of laws, without the axes along which all are the same.
fn compact(dims: &[usize], numbers: &[usize], laws: &[Law]) -> Known {
    let (mut dims, mut numbers) = (dims.to_vec(), numbers.to_vec());
    for axis in 0..dims.len() {
        let (extent, inner) = (dims[axis], dims[axis + 1..].iter().product::<usize>());
        if extent < 2 || inner == 0 {
            continue;
        }
        let same = |row: &[usize]| row.chunks(inner).all(|lane| lane == &row[..inner]);
        if numbers.chunks(extent * inner).all(same) {
            numbers = numbers.chunks(extent * inner).flat_map(|row| row[..inner].to_vec()).collect();
            dims[axis] = 1;
        }
    }
    let mut taken: BTreeMap<usize, Law> = BTreeMap::new();
    let laws = numbers.iter().map(|&number| taken.entry(number).or_insert_with(|| laws[number].clone()).clone());
    Known { laws: laws.collect(), dims }
}
