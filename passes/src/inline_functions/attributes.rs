//! Attributes of a function's body that stand for attributes of the call.

use onnxpress_ir::{Attr, AttrValue, Carried, Function, Graph, Node, Tensor};

/// The value that a call gives to an attribute of the function, or the function's default.
fn given<'a>(call: &'a Node, function: &'a Function, name: &onnxpress_ir::Name) -> Option<&'a AttrValue> {
    let default = || function.defaults.iter().find(|attr| attr.name == *name);
    call.attrs.iter().find(|attr| attr.name == *name).or_else(default).map(|attr| &attr.value)
}

/// A node's attributes, with what the call gives in the place of references; those that it does not give are left out.
pub(super) fn substituted(attrs: &[Attr], call: &Node, function: &Function) -> Vec<Attr> {
    let one = |attr: &Attr| {
        let value = match &attr.value {
            AttrValue::Reference { name, .. } => {
                let value = given(call, function, name)?.clone();
                return Some(Attr { name: attr.name.clone(), value, carried: Carried::none() });
            }
            AttrValue::Graph(body) => AttrValue::Graph(Box::new(body_of(body, call, function))),
            AttrValue::Graphs(bodies) => {
                AttrValue::Graphs(bodies.iter().map(|body| body_of(body, call, function)).collect())
            }
            other => other.clone(),
        };
        Some(Attr { value, ..attr.clone() })
    };
    attrs.iter().filter_map(one).collect()
}

/// A subgraph of the function with what the call gives.
fn body_of(body: &Graph, call: &Node, function: &Function) -> Graph {
    let mut body = body.clone();
    let refers = |attr: &Attr| matches!(attr.value, AttrValue::Reference { .. }) || !attr.value.graphs().is_empty();
    let nodes: Vec<_> = body.nodes().filter(|(_, node)| node.attrs.iter().any(refers)).map(|(id, _)| id).collect();
    for id in nodes {
        let node = body.node_mut(id);
        node.attrs = substituted(&node.attrs, call, function);
    }
    body
}

/// The tensor of a node `Constant` whose value the call gave.
pub(super) fn constant(node: &Node) -> Option<Tensor> {
    let [attr] = node.attrs.as_slice() else { return None };
    if !node.is("Constant") || node.port_count() != 1 {
        return None;
    }
    match &attr.value {
        AttrValue::Tensor(tensor) => Some(tensor.clone()),
        AttrValue::Float(value) => Some(Tensor::scalar(*value)),
        AttrValue::Int(value) => Some(Tensor::scalar(*value)),
        AttrValue::Floats(values) => Some(Tensor::vector(values.clone())),
        AttrValue::Ints(values) => Some(Tensor::vector(values.clone())),
        AttrValue::String(value) => Tensor::from_strings(&[], vec![value.clone()]).ok(),
        AttrValue::Strings(values) => Tensor::from_strings(&[values.len()], values.clone()).ok(),
        _ => None,
    }
}
