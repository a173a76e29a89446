//! One call: the body's nodes in its place.

use onnxpress_ir::graph::canonical_domain;
use onnxpress_ir::{Carried, ConstantForm, Edit, EditError, Function, Graph, Name, Node, NodeId, Tensor, Vertex};
use onnxpress_ops::infer::Standard;

use super::given_constant::given_constant;
use super::node_names::NodeNames;
use super::{InlineFunctions, Pass};
use crate::imports::import;
use crate::rewrite::file_size::Written;
use crate::rewrite::{Place, Surroundings};
use crate::transplant::{Copied, Transplant};

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
    let mut transplant = Transplant::new(body);
    for (index, input) in body.inputs().iter().enumerate() {
        transplant.give(input.port(0), graph.operand(id, index));
    }
    let mut edit = Edit::new(graph, &Standard, InlineFunctions::NAME, &[id]);
    let add_constant = |edit: &mut Edit<'_>, name: Option<Name>, tensor: Tensor| {
        let value = edit.add_constant(name, tensor);
        if around.written() == Written::Node {
            edit.set_form(value.node, ConstantForm::Node { name: None, carried: Carried::none() });
        }
        value
    };
    let copied = |node: &Node| {
        let mut copy = node.clone();
        copy.attrs = function.attrs_at(&node.attrs, &call);
        copy.name = node.name.as_ref().map(|own| names.derive(own, call.name.as_ref()));
        for attr in &mut copy.attrs {
            attr.value.graphs_mut().iter_mut().for_each(|body| import(body, &opsets));
        }
        match given_constant(&copy) {
            Some(tensor) => Copied::Constant(tensor),
            None => Copied::Node(Box::new(copy)),
        }
    };
    if !transplant.carry_out(&mut edit, copied, add_constant).map_err(refused)? {
        return Err("a subgraph reads an input that the call leaves out".to_owned());
    }
    let mut named = Vec::new();
    for (index, port) in (0u32..).take(call.port_count().min(body.outputs().len())).enumerate() {
        let old = id.port(port);
        match transplant.output(index) {
            Some(new) => {
                // What the call gave keeps its name, unless it is what the call was given.
                if transplant.is_computed(index) && !named.contains(&new) {
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
