//! A part of a model as a model: what is computed of some values, up to others.
//!
//! To see what is inside a model is to run the part between its inputs and the values asked for, with those as outputs. Going on
//! from values that were seen before is the same thing with other inputs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use onnxpress_ir::{Carried, Graph, Input, Model, Name, NodeId, ValueId, Vertex};

use super::EvidenceError;

/// The part of the main graph that computes `wanted` of `given`. Its inputs are `given`, all of them and in this order; its outputs
/// `wanted`, in this order. Inputs of the graph that are among `given` keep their defaults. Weights are shared with the model,
/// not copied.
///
/// # Errors
/// Where `wanted` depends on an input of the graph that is not given, or the graph has a circle.
pub fn part(model: &Model, given: &[ValueId], wanted: &[ValueId]) -> Result<Model, EvidenceError> {
    let graph = &model.graph;
    let needed = needed(graph, given, wanted);
    let mut made = Graph::new(Arc::clone(&graph.opsets));
    let mut here: HashMap<ValueId, ValueId> = HashMap::new();
    for &value in given {
        let input = match graph.get(value.node) {
            Some(Vertex::Input(input)) => Input::clone(input),
            _ => Input {
                port: graph.port(value).clone(),
                default: None,
                declared: graph.ty(value).clone(),
                carried: Carried::none(),
            },
        };
        let inner = made.add_input(input);
        here.entry(value).or_insert(inner);
    }
    for (id, constant) in graph.constants() {
        if needed.contains(&id) && !here.contains_key(&id.port(0)) {
            here.insert(id.port(0), made.add_constant(constant.clone()));
        }
    }
    let order = graph.topological().map_err(|_| site(graph, wanted, "the graph has a circle"))?;
    for id in order {
        let Some(node) = graph.node(id).filter(|_| needed.contains(&id)) else { continue };
        let of = |value: Option<ValueId>| value.and_then(|value| here.get(&value).copied());
        let operands: Vec<_> = graph.operands(id).map(of).collect();
        let implicit: Vec<_> = graph.implicit_operands(id).map(of).collect();
        let missing = graph.reads(id).any(|value| !here.contains_key(&value));
        if missing {
            return Err(site(graph, wanted, "it depends on an input that is not given"));
        }
        let copy = made.add_node(node.clone(), &operands);
        for (index, value) in implicit.into_iter().enumerate() {
            if let Some(value) = value {
                // Captures are numbered as they were: none was left out above.
                let number = made.add_implicit_operand(copy, value);
                debug_assert_eq!(number as usize, index);
            }
        }
        for port in 0..node.port_count() as u32 {
            here.entry(id.port(port)).or_insert(copy.port(port));
        }
    }
    for (number, value) in wanted.iter().enumerate() {
        let inner = here.get(value).ok_or_else(|| site(graph, wanted, "it depends on an input that is not given"))?;
        // A value keeps its own name inside; its output's may be anything that nobody else has.
        let name = Name::from(format!("onnxpress/seen/{number}"));
        made.add_output(name, graph.ty(*value).clone(), Carried::none(), *inner);
    }
    Ok(Model { header: model.header.clone(), graph: made, functions: model.functions.clone() })
}

/// The model with values of its main graph for outputs, in order, and nothing that they do not need.
///
/// # Errors
/// As [`part`].
pub fn probe(model: &Model, values: &[ValueId]) -> Result<Model, EvidenceError> {
    let inputs: Vec<ValueId> = model.graph.inputs().iter().map(|id| id.port(0)).collect();
    part(model, &inputs, values)
}

/// The vertices that `wanted` takes, up to what is given.
fn needed(graph: &Graph, given: &[ValueId], wanted: &[ValueId]) -> HashSet<NodeId> {
    let given: HashSet<ValueId> = given.iter().copied().collect();
    let mut needed = HashSet::new();
    let mut waiting: Vec<ValueId> = wanted.to_vec();
    while let Some(value) = waiting.pop() {
        if !given.contains(&value) && needed.insert(value.node) {
            waiting.extend(graph.reads(value.node));
        }
    }
    needed
}

fn site(graph: &Graph, wanted: &[ValueId], reason: &str) -> EvidenceError {
    let labels: Vec<String> = wanted.iter().take(3).map(|&value| graph.label(value)).collect();
    EvidenceError::Site { site: labels.join(", "), reason: reason.to_owned() }
}
