//! From our graph to tract's: what tract cannot read is written in ways it can, and weights are handed over once.
//!
//! The proof must not rest on the passes that it proves, so nothing here computes: sparse tensors are written dense, inputs
//! that take their default become constants, outputs that are inputs or constants are left to us. tract gets the graph as a
//! message without a single weight; each is an input there, and put in its place afterwards, so that its data are copied
//! once, from the file to where tract wants them.

use std::collections::HashMap;
use std::sync::Arc;

use onnxpress_ir::{
    Attr, AttrValue, Carried, Constant, ConstantForm, ConstantValue, Edit, Graph, Input, Model, Name, NodeId, Port,
    Tensor, ValueId, Vertex, assign_names,
};
use onnxpress_ops::evaluate::pick::densify;
use onnxpress_ops::evaluate::{EvalError, Value};
use onnxpress_ops::infer::Standard;
use onnxpress_proto::schema::{GraphProto, ModelProto, NodeProto};
use onnxpress_proto::{Bytes, Message};
use tract_onnx::pb;

/// The most elements that a sparse tensor is written out to.
const MAX_DENSE: usize = 1 << 28;

/// Where an output of the model comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    /// The input of this number.
    Given(usize),
    /// A constant.
    Constant(Tensor),
    /// What tract computes, by its place among the outputs of the lowered graph.
    Computed(usize),
}

/// A model as tract can read it.
pub(super) struct Lowered {
    /// The graph without weights.
    pub message: pb::ModelProto,
    /// Inputs of the message that are no inputs of the model, with what they are.
    pub weights: Vec<(String, Tensor)>,
    /// Inputs of the model that the message has too: their number and name, in order.
    pub inputs: Vec<(usize, String)>,
    /// The outputs of the model.
    pub outputs: Vec<Source>,
}

/// Lowers a model whose shapes are inferred for these inputs.
pub(super) fn lower(mut model: Model, inputs: &[Option<Value>]) -> Result<Lowered, String> {
    let outputs = detach_outputs(&mut model.graph, inputs);
    // Who gave which input: its place is lost when inputs with defaults become constants.
    let vertices = model.graph.inputs().to_vec();
    for (&id, value) in vertices.iter().zip(inputs) {
        if value.is_none() {
            take_default(&mut model.graph, id)?;
        } else {
            // tract would believe the default, whatever is given.
            model.graph.input_mut(id).default = None;
        }
    }
    plain(&mut model.graph)?;
    assign_names(&mut model);
    let weights = take_weights(&mut model.graph)?;
    let given: HashMap<NodeId, usize> = vertices.iter().enumerate().map(|(index, &id)| (id, index)).collect();
    let graph = &model.graph;
    let inputs =
        graph.inputs().iter().filter_map(|id| Some((*given.get(id)?, escaped(graph.port(id.port(0)).name.as_ref()))));
    let inputs = inputs.collect();
    let weights = weights.into_iter().map(|(name, tensor)| (escaped(Some(&name)), tensor)).collect();
    let message = message_of(&model)?;
    Ok(Lowered { message, weights, inputs, outputs })
}

/// Leaves only outputs that are computed, each once.
fn detach_outputs(graph: &mut Graph, inputs: &[Option<Value>]) -> Vec<Source> {
    let given: HashMap<NodeId, usize> = graph.inputs().iter().enumerate().map(|(index, &id)| (id, index)).collect();
    let mut computed: Vec<ValueId> = Vec::new();
    let mut sources = Vec::new();
    let mut surplus = Vec::new();
    for &id in graph.outputs() {
        let Some(value) = graph.operand(id, 0) else { continue };
        let known = computed.iter().position(|&one| one == value);
        let constant = match (graph.vertex(value.node), given.get(&value.node)) {
            (Vertex::Constant(constant), _) => Some(&constant.value),
            (Vertex::Input(input), Some(&index)) if inputs.get(index).is_none_or(Option::is_none) => {
                input.default.as_ref()
            }
            _ => None,
        };
        let source = match (constant.and_then(|value| dense(value).ok()), given.get(&value.node)) {
            (Some(tensor), _) => Source::Constant(tensor),
            (None, Some(&index)) => Source::Given(index),
            (None, None) => Source::Computed(known.unwrap_or(computed.len())),
        };
        match &source {
            Source::Computed(index) if *index == computed.len() => computed.push(value),
            _ => surplus.push(id),
        }
        sources.push(source);
    }
    let mut edit = Edit::new(graph, &Standard, "lower", &[]);
    surplus.into_iter().for_each(|id| edit.remove(id));
    edit.commit();
    sources
}

fn take_default(graph: &mut Graph, id: NodeId) -> Result<(), String> {
    let Some(default) = graph.input(id).default.clone() else {
        return Err(format!("no value for {}", graph.describe(id)));
    };
    let port = Port { name: graph.port(id.port(0)).name.clone(), ..Port::default() };
    let constant = Constant { value: default, port, form: ConstantForm::Initializer, order: Default::default() };
    let value = graph.add_constant(constant);
    replace(graph, id, value)
}

/// Puts another value in the place of a vertex's only one.
fn replace(graph: &mut Graph, old: NodeId, new: ValueId) -> Result<(), String> {
    let mut edit = Edit::new(graph, &Standard, "lower", &[]);
    edit.replace(old.port(0), new).map_err(|error| error.to_string())?;
    edit.remove(old);
    edit.commit();
    Ok(())
}

/// Writes what tract reads in one form only in that form, in subgraphs too: constants dense, raw and as initializers, and
/// outputs that are left out before ones that are not, named.
fn plain(graph: &mut Graph) -> Result<(), String> {
    let constants: Vec<_> = graph.constants().map(|(id, _)| id).collect();
    for id in constants {
        let Some(Vertex::Constant(constant)) = graph.get(id) else { continue };
        let tensor = dense(&constant.value).map_err(|error| format!("{}: {error}", graph.describe(id)))?;
        graph.set_constant(id, tensor.with_carried(Carried::none()));
        graph.constant_mut(id).form = ConstantForm::Initializer;
    }
    graph.declared.clear();
    graph.carried = Carried::none();
    let nodes: Vec<_> = graph.nodes().map(|(id, _)| id).collect();
    for id in nodes {
        let node = graph.node_mut(id);
        node.carried = Carried::none();
        node.attrs.iter_mut().for_each(plain_attr);
        let read_later = node.ports().iter().rposition(|port| !port.omitted).unwrap_or(0);
        if node.ports()[..read_later].iter().any(|port| port.omitted) {
            let ports = node.ports().iter().enumerate();
            let ports = ports.map(|(index, port)| Port { omitted: port.omitted && index > read_later, ..port.clone() });
            let ports: Vec<_> = ports.collect();
            *node = std::mem::replace(node, onnxpress_ir::Node::new("", 0)).with_ports(ports);
        }
        for body in graph.subgraphs_mut(id) {
            plain(body)?;
        }
    }
    Ok(())
}

fn plain_attr(attr: &mut Attr) {
    attr.carried = Carried::none();
    if let AttrValue::Tensor(tensor) = &mut attr.value {
        *tensor = tensor.clone().with_carried(Carried::none());
    }
}

/// The tensor with every element written out.
fn dense(value: &ConstantValue) -> Result<Tensor, EvalError> {
    match value {
        ConstantValue::Dense(tensor) => Ok(tensor.clone()),
        ConstantValue::Sparse(sparse) => densify(sparse, MAX_DENSE),
    }
}

/// Makes every constant of the main graph an input, and answers what they were.
fn take_weights(graph: &mut Graph) -> Result<Vec<(Name, Tensor)>, String> {
    let constants: Vec<_> = graph.constants().map(|(id, _)| id).collect();
    let mut weights = Vec::with_capacity(constants.len());
    for id in constants {
        let Some(Vertex::Constant(constant)) = graph.get(id) else { continue };
        let (Some(tensor), Some(name)) = (constant.value.dense().cloned(), constant.port.name.clone()) else {
            continue;
        };
        let ty = constant.port.ty.clone();
        let port = Port { name: Some(name.clone()), ty: ty.clone(), ..Port::default() };
        let value = graph.add_input(Input { port, default: None, declared: ty, carried: Carried::none() });
        replace(graph, id, value)?;
        weights.push((name, tensor));
    }
    Ok(weights)
}

fn message_of(model: &Model) -> Result<pb::ModelProto, String> {
    let mut message = crate::onnx::to_message(model, false).map_err(|error| error.to_string())?;
    let mut bare = ModelProto {
        ir_version: message.ir_version,
        opset_import: std::mem::take(&mut message.opset_import),
        graph: message.graph.take(),
        ..ModelProto::default()
    };
    if let Some(graph) = &mut bare.graph {
        // What the file declares may be wrong or say too little; tract infers it.
        graph.output.iter_mut().for_each(|output| output.r#type = None);
        in_utf8(graph);
    }
    pb::ModelProto::decode(Bytes::from(bare.encode_to_vec())).map_err(|error| error.to_string())
}

/// Makes every name UTF-8, which tract wants. Different names stay different.
fn in_utf8(graph: &mut GraphProto) {
    let name = |name: &mut Bytes| {
        if std::str::from_utf8(name).is_err() {
            *name = Bytes::from(escaped(Some(&Name::from_bytes(name.clone()))));
        }
    };
    graph.name.iter_mut().for_each(name);
    for info in graph.input.iter_mut().chain(&mut graph.output) {
        info.name.iter_mut().for_each(name);
    }
    graph.initializer.iter_mut().filter_map(|tensor| tensor.name.as_mut()).for_each(name);
    for NodeProto { input, output, name: own, op_type, domain, attribute, .. } in &mut graph.node {
        let own = [own, op_type, domain].into_iter().filter_map(Option::as_mut);
        input.iter_mut().chain(output).chain(own).for_each(name);
        for attr in attribute {
            attr.name.iter_mut().for_each(name);
            attr.g.iter_mut().for_each(|body| in_utf8(body));
            attr.graphs.iter_mut().for_each(in_utf8);
        }
    }
}

/// The name as text, bytes that are none written as `\xff`.
fn escaped(name: Option<&Name>) -> String {
    let bytes = name.map_or(&b""[..], Name::as_bytes);
    bytes
        .utf8_chunks()
        .flat_map(|chunk| {
            let bad = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"));
            std::iter::once(chunk.valid().to_owned()).chain(bad)
        })
        .collect()
}

/// The weights by name, for tract.
pub(super) fn constants(weights: &[(String, Tensor)]) -> Result<Vec<(&str, Arc<tract_onnx::prelude::Tensor>)>, String> {
    let constant = |(name, tensor): &'_ (String, Tensor)| match super::tensors::to_tract(tensor) {
        Ok(tensor) => Ok(Arc::new(tensor)),
        Err(reason) => Err(format!("constant `{name}`: {reason}")),
    };
    weights.iter().map(|weight| Ok((weight.0.as_str(), constant(weight)?))).collect()
}
