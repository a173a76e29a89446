//! One call: the body's nodes in its place.

use std::collections::HashMap;

use onnxpress_ir::graph::canonical_domain;
use onnxpress_ir::{
    Carried, ConstantForm, Edit, EditError, Function, Graph, Name, Node, NodeId, Port, Tensor, ValueId, Vertex,
};
use onnxpress_ops::infer::Standard;

use super::given_constant::given_constant;
use super::node_names::NodeNames;
use super::{InlineFunctions, Pass};
use crate::imports::import;
use crate::rewrite::file_size::Written;
use crate::rewrite::{Place, Surroundings};

/// Whether a body can be copied at all.
///
/// # Errors
/// Why not.
pub(super) fn check(function: &Function) -> Result<(), String> {
    let body = &function.body;
    if body.topological().is_err() {
        return Err("its nodes depend on each other in a circle".to_owned());
    }
    if body.constants().any(|(_, constant)| constant.value.dense().is_none()) {
        return Err("it has a sparse constant".to_owned());
    }
    Ok(())
}

fn calls(node: &Node, function: &Function) -> bool {
    node.op_type == function.name
        && node.overload == function.overload
        && node.canonical_domain() == canonical_domain(function.domain.as_bytes())
}

fn any_call(graph: &Graph, function: &Function) -> bool {
    graph.nodes().any(|(_, node)| calls(node, function) || node.subgraphs().any(|body| any_call(body, function)))
}

/// What became of the calls of a function.
#[derive(Debug, Default)]
pub(super) struct Inlined {
    /// How many were inlined.
    pub(super) calls: usize,
    /// Why others were not.
    pub(super) refused: Vec<String>,
}

/// Inlines every call of the function in a graph, which stands here, and in its subgraphs.
pub(super) fn inline_all(
    graph: &mut Graph,
    around: &Surroundings<'_>,
    function: &Function,
    names: &mut NodeNames,
    inlined: &mut Inlined,
) {
    let ids: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
    for id in ids {
        let Some(node) = graph.node(id) else { continue };
        if node.subgraphs().any(|body| any_call(body, function)) {
            let inside = Surroundings::outermost(around.model, Place::Subgraph);
            for body in graph.subgraphs_mut(id).filter(|body| any_call(body, function)) {
                inline_all(body, &inside, function, names, inlined);
            }
        }
        if graph.node(id).is_some_and(|node| calls(node, function)) {
            let site = graph.describe(id);
            match inline(graph, around, id, function, names) {
                Ok(()) => inlined.calls += 1,
                Err(reason) => inlined.refused.push(format!("{site}: {reason}")),
            }
        }
    }
}

fn inline(
    graph: &mut Graph,
    around: &Surroundings<'_>,
    id: NodeId,
    function: &Function,
    names: &mut NodeNames,
) -> Result<(), String> {
    let refused = |error: EditError| error.to_string();
    let Vertex::Node(call) = graph.vertex(id).clone() else { return Ok(()) };
    let body = &function.body;
    let opsets = graph.opsets.clone();
    // Values of the body in the caller; `None` where the call leaves an input out.
    let mut here: HashMap<ValueId, Option<ValueId>> = HashMap::new();
    for (index, input) in body.inputs().iter().enumerate() {
        here.insert(input.port(0), graph.operand(id, index));
    }
    let mut edit = Edit::new(graph, &Standard, InlineFunctions::NAME, &[id]);
    let add_constant = |edit: &mut Edit<'_>, name: Option<Name>, tensor: Tensor| {
        let value = edit.add_constant(name, tensor);
        if around.written() == Written::Node {
            edit.set_form(value.node, ConstantForm::Node { name: None, carried: Carried::none() });
        }
        Some(value)
    };
    let mut constants: Vec<_> = body.constants().collect();
    constants.sort_by_key(|(id, constant)| (constant.order, *id));
    for (inner, value) in constants {
        if let Some(tensor) = value.value.dense() {
            here.insert(inner.port(0), add_constant(&mut edit, value.port.name.clone(), tensor.clone()));
        }
    }
    for inner in body.topological().unwrap_or_default() {
        let Some(node) = body.node(inner) else { continue };
        let of_caller = |value: Option<ValueId>| value.and_then(|value| here.get(&value).copied().flatten());
        let mut operands: Vec<_> = body.operands(inner).map(of_caller).collect();
        let named = operands.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        operands.truncate(named);
        let implicit: Vec<_> = body.implicit_operands(inner).map(of_caller).collect();
        if implicit.contains(&None) {
            return Err("a subgraph reads an input that the call leaves out".to_owned());
        }
        let mut copy = node.clone();
        copy.attrs = function.attrs_at(&node.attrs, &call);
        copy.name = node.name.as_ref().map(|own| names.derive(own, call.name.as_ref()));
        let ports =
            node.ports().iter().map(|port| Port { name: port.name.clone(), omitted: port.omitted, ..Port::default() });
        let mut copy = copy.with_ports(ports.collect::<Vec<_>>());
        for attr in &mut copy.attrs {
            attr.value.graphs_mut().iter_mut().for_each(|body| import(body, &opsets));
        }
        if let Some(tensor) = given_constant(&copy) {
            let name = node.ports().first().and_then(|port| port.name.clone());
            here.insert(inner.port(0), add_constant(&mut edit, name, tensor));
            continue;
        }
        let ports = 0..copy.port_count() as u32;
        let added = edit.add_holder(copy, &operands, &implicit).map_err(refused)?;
        here.extend(ports.map(|port| (inner.port(port), Some(added.port(port)))));
    }
    let inputs: Vec<_> = body.inputs().iter().map(|input| here.get(&input.port(0)).copied().flatten()).collect();
    let mut named = Vec::new();
    for (port, &output) in (0u32..).zip(body.outputs()).take(call.port_count()) {
        let old = id.port(port);
        let new = body.operand(output, 0).and_then(|value| here.get(&value).copied().flatten());
        match new {
            Some(new) => {
                // What the call gave keeps its name, unless it is what the call was given.
                if !inputs.contains(&Some(new)) && !named.contains(&new) {
                    let name = edit.graph().port(old).name.clone();
                    edit.rename(new, name);
                    named.push(new);
                }
                edit.replace(old, new).map_err(refused)?;
            }
            None if edit.graph().readers(old).next().is_some() => {
                return Err("an output hands on an input that the call leaves out".to_owned());
            }
            None => {}
        }
    }
    edit.remove(id);
    edit.commit();
    Ok(())
}
