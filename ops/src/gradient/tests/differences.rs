//! One node held against central differences: how a weighted sum of its results changes with each element of its operands.

use std::collections::BTreeMap;

use onnxpress_ir::random::SplitMix64;
use onnxpress_ir::{Carried, DType, Dim, Edit, Input, Model, Name, NodeId, Port, Tensor, Type, ValueId};

use crate::evaluate::Value;
use crate::gradient::{flows, of_node};
use crate::infer::{self, Standard};
use crate::interpret::{self, Limits};
use crate::node::NodeCx;

/// How far an element is moved to both sides. The error of the difference quotient is of its square; binary64 leaves 1e-11.
const STEP: f64 = 1e-5;

/// How far a gradient may be from the quotient, as a share of the larger of 1 and its own size.
const TOLERANCE: f64 = 2e-6;

/// A number that is drawn between two.
fn between(random: &mut SplitMix64, low: f64, high: f64) -> f64 {
    low + (high - low) * random.unit()
}

/// A model of one node, its operands' values, and the gradient graph beside it.
pub(super) struct Checked {
    model: Model,
    inputs: Vec<Tensor>,
    /// The node as it was, without gradients.
    plain: Model,
    weights: Vec<Tensor>,
    /// Which inputs have a gradient among the outputs, in order.
    trained: Vec<usize>,
}

/// What inference is told of extents.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Extents {
    /// Letters are letters.
    AsWritten,
    /// All of them.
    Known,
    /// None of them, so that a gradient may not be possible.
    Hidden,
}

fn text_of(case: &str) -> (String, (f64, f64)) {
    // `LOW..HIGH: ` in front says where operands come from.
    let (range, body) = match case.split_once(": ") {
        Some((range, body)) if range.contains("..") => (range.split_once("..").unwrap(), body),
        _ => (("-2", "2"), case),
    };
    let header = if body.contains("opset_import") { "" } else { "<ir_version: 10, opset_import: [\"\" : 24]> g" };
    (format!("{header} {body}"), (range.0.parse().unwrap(), range.1.parse().unwrap()))
}

fn run(model: &Model, inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
    let given = inputs.iter().map(|tensor| Some(Value::Tensor(tensor.clone()))).collect();
    let outputs = interpret::run(model, given, Limits::default()).map_err(|error| error.to_string())?;
    Ok(outputs.into_iter().map(|value| value.as_tensor().unwrap().clone()).collect())
}

impl Checked {
    /// Makes ready a case.
    pub(super) fn of(case: &str, seed: u64, extents: Extents) -> Result<Self, String> {
        let (text, (low, high)) = text_of(case);
        let mut model = Model::from_text(&text).map_err(|error| error.to_string())?;
        let mut random = SplitMix64::new(seed);
        let mut sizes: BTreeMap<String, i64> = BTreeMap::new();
        let mut inputs = Vec::new();
        for id in model.graph.inputs().to_vec() {
            let input = model.graph.input(id).clone();
            let shape = input.declared.shape().unwrap();
            let mut extent = |dim: &Dim| match (dim.as_const(), dim.to_string()) {
                (Some(extent), _) => extent,
                (None, symbol) if symbol == "I" => 1,
                (None, symbol) => *sizes.entry(symbol).or_insert_with(|| 1 + (random.bits() % 4) as i64),
            };
            let dims: Vec<usize> = shape.iter().map(|dim| usize::try_from(extent(dim)).unwrap()).collect();
            let values: Vec<f64> =
                (0..dims.iter().product::<usize>()).map(|_| between(&mut random, low, high)).collect();
            let dtype = input.declared.dtype().unwrap();
            inputs.push(Tensor::from_f64s(dtype, &dims, &values).unwrap());
            let shape = match extents {
                Extents::AsWritten => continue,
                Extents::Known => onnxpress_ir::Shape::from_extents(&dims),
                Extents::Hidden => onnxpress_ir::Shape::of_unknown_extents(dims.len()),
            };
            let input = model.graph.input_mut(id);
            input.declared = Type::tensor(dtype, shape);
            input.port.ty = input.declared.clone();
        }
        let inferred = infer::model(&mut model);
        if let Some(error) = inferred.invalid.first() {
            return Err(error.to_string());
        }
        let plain = model.clone();
        let node = model.graph.nodes().map(|(id, _)| id).last().unwrap();
        let outputs = run(&plain, &inputs)?;
        let weights: Vec<Tensor> = outputs
            .iter()
            .map(|output| {
                let values: Vec<f64> = (0..output.len()).map(|_| between(&mut random, -1.0, 1.0)).collect();
                Tensor::from_f64s(DType::Double, output.dims(), &values).unwrap()
            })
            .collect();
        let trained = add_gradients(&mut model, node)?;
        Ok(Self { model, inputs, plain, weights, trained })
    }

    /// The weighted sum of the results that are numbers.
    fn loss(&self, inputs: &[Tensor]) -> Result<f64, String> {
        let outputs = run(&self.plain, inputs)?;
        let sum = |(output, weights): (&Tensor, &Tensor)| -> f64 {
            let pairs = output.to_f64s().unwrap().into_iter().zip(weights.to_f64s().unwrap());
            pairs.map(|(value, weight)| value * weight).sum()
        };
        Ok(outputs.iter().zip(&self.weights).filter(|(output, _)| output.dtype() == DType::Double).map(sum).sum())
    }

    /// Compares every gradient with difference quotients.
    pub(super) fn compare(&self) -> Result<(), String> {
        let floats: Vec<Tensor> = {
            let outputs = run(&self.plain, &self.inputs)?;
            let pairs = outputs.iter().zip(&self.weights);
            pairs.filter(|(output, _)| output.dtype() == DType::Double).map(|(_, weights)| weights.clone()).collect()
        };
        let given: Vec<Tensor> = self.inputs.iter().cloned().chain(floats).collect();
        let all = run(&self.model, &given)?;
        let gradients = &all[self.weights.len()..];
        for (&input, gradient) in self.trained.iter().zip(gradients) {
            if gradient.dims() != self.inputs[input].dims() {
                return Err(format!(
                    "input {input} of {:?} has a gradient of {:?}",
                    self.inputs[input].dims(),
                    gradient.dims()
                ));
            }
            let values = self.inputs[input].to_f64s().unwrap();
            for (place, &gradient) in gradient.to_f64s().unwrap().iter().enumerate() {
                let moved = |by: f64| {
                    let mut values = values.clone();
                    values[place] += by;
                    let mut inputs = self.inputs.clone();
                    inputs[input] = Tensor::from_f64s(DType::Double, self.inputs[input].dims(), &values).unwrap();
                    self.loss(&inputs)
                };
                let quotient = (moved(STEP)? - moved(-STEP)?) / (2.0 * STEP);
                if (gradient - quotient).abs() > TOLERANCE * quotient.abs().max(1.0) || gradient.is_nan() {
                    return Err(format!(
                        "element {place} of input {input}: {gradient}, but differences say {quotient}"
                    ));
                }
            }
        }
        Ok(())
    }
}

fn add_input(model: &mut Model, ty: &Type) -> ValueId {
    let port = Port { ty: ty.clone(), ..Port::default() };
    model.graph.add_input(Input { port, default: None, declared: ty.clone(), carried: Carried::none() })
}

/// Adds the gradients of the node's operands that are inputs, and outputs for them. Answers which those are.
fn add_gradients(model: &mut Model, node: NodeId) -> Result<Vec<usize>, String> {
    let graph = &model.graph;
    let results: Vec<ValueId> = graph.outputs().iter().filter_map(|&output| graph.operand(output, 0)).collect();
    let types: Vec<Type> = results.iter().map(|&value| graph.ty(value).clone()).collect();
    let mut given = vec![None; graph.node(node).unwrap().port_count()];
    for (value, ty) in results.into_iter().zip(types) {
        if value.node == node && ty.dtype() == Some(DType::Double) {
            given[value.port as usize] = Some(add_input(model, &ty));
        }
    }
    let graph = &model.graph;
    let cx = NodeCx::new(graph, node).unwrap();
    let input_of = |index: usize| graph.inputs().iter().position(|&id| Some(id.port(0)) == cx.operand(index));
    let wanted: Vec<bool> =
        (0..cx.operand_count()).map(|index| flows(&cx, index) && input_of(index).is_some()).collect();
    let inputs: Vec<Option<usize>> = (0..wanted.len()).map(input_of).collect();
    let mut edit = Edit::new(&mut model.graph, &Standard, "test", &[node]);
    let gradients = of_node(&mut edit, node, &given, &wanted).map_err(|error| error.to_string())?;
    edit.commit();
    let mut trained = Vec::new();
    for (index, gradient) in gradients.into_iter().enumerate() {
        if let (Some(gradient), Some(input)) = (gradient, inputs[index]) {
            let ty = model.graph.ty(gradient).clone();
            model.graph.add_output(Name::from(format!("gradient_{index}")), ty, Carried::none(), gradient);
            trained.push(input);
        }
    }
    match trained.is_empty() {
        true => Err("no gradient".to_owned()),
        false => Ok(trained),
    }
}
