//! Whether two models say the same: what the exact form promises of a model and what its text reads back to.

use crate::attr::{Attr, AttrValue};
use crate::graph::{ConstantForm, Graph, Input, NodeId, ValueId, Vertex};
use crate::model::Model;
use crate::name::Name;
use crate::text::Preamble;

/// Where two models differ first.
pub(super) fn difference(a: &Model, b: &Model) -> Option<String> {
    let header = |model: &Model| (model.header.ir_version, model.header.carried.get::<Preamble>().cloned());
    differ("header", &header(a), &header(b))
        .or_else(|| graphs(&a.graph, &b.graph))
        .or_else(|| differ("number of functions", &a.functions.len(), &b.functions.len()))
        .or_else(|| {
            a.functions.iter().zip(&b.functions).find_map(|(a, b)| {
                differ(
                    "function",
                    &(&a.domain, &a.name, &a.overload, &a.required),
                    &(&b.domain, &b.name, &b.overload, &b.required),
                )
                .or_else(|| all("default", &a.defaults, &b.defaults, attrs))
                .or_else(|| graphs(&a.body, &b.body))
            })
        })
}

fn differ<T: PartialEq + std::fmt::Debug>(what: &str, a: &T, b: &T) -> Option<String> {
    (a != b).then(|| format!("{what}: {a:?}, {b:?}"))
}

fn all<T>(what: &str, a: &[T], b: &[T], each: impl Fn(&T, &T) -> Option<String>) -> Option<String> {
    differ(&format!("number of {what}"), &a.len(), &b.len()).or_else(|| a.iter().zip(b).find_map(|(a, b)| each(a, b)))
}

fn label(graph: &Graph, value: ValueId) -> Option<Name> {
    graph.port(value).name.clone()
}

/// The label of the value an input stands for, with all that its interface says.
fn input(graph: &Graph, id: NodeId) -> impl PartialEq + std::fmt::Debug {
    let Input { default, declared, .. } = graph.input(id);
    (label(graph, id.port(0)), default.clone(), declared.clone())
}

fn constants(graph: &Graph) -> Vec<impl PartialEq + std::fmt::Debug> {
    let mut constants: Vec<_> = graph.constants().collect();
    let place = |form: &ConstantForm| match form {
        ConstantForm::Initializer => (0, 0, None),
        ConstantForm::ListedAsInput { place, .. } => (1, *place, None),
        ConstantForm::Node { name, .. } => (2, 0, name.clone()),
    };
    constants.sort_by_key(|(id, constant)| (place(&constant.form).0, place(&constant.form).1, constant.order, *id));
    constants
        .into_iter()
        .map(|(id, constant)| (place(&constant.form), label(graph, id.port(0)), constant.value.clone()))
        .collect()
}

fn graphs(a: &Graph, b: &Graph) -> Option<String> {
    let outputs = |graph: &Graph| {
        let one = |&id: &NodeId| {
            let output = graph.output(id);
            (output.name.clone(), output.declared.clone(), graph.operand(id, 0).and_then(|value| label(graph, value)))
        };
        graph.outputs().iter().map(one).collect::<Vec<_>>()
    };
    let declared = |graph: &Graph| {
        let one = |entry: &crate::graph::Declared| (entry.name.clone(), entry.ty.clone(), entry.value.is_some());
        graph.declared.iter().map(one).collect::<Vec<_>>()
    };
    let captures = |graph: &Graph| {
        let mut all: Vec<_> =
            graph.captures().map(|(id, capture)| (capture.operand, label(graph, id.port(0)))).collect();
        all.sort();
        all
    };
    let nodes = |graph: &Graph| {
        let order = graph.file_order(true).unwrap_or_default();
        order.into_iter().filter(|&id| matches!(graph.vertex(id), Vertex::Node(_))).collect::<Vec<_>>()
    };
    differ("graph", &(&a.name, &a.opsets), &(&b.name, &b.opsets))
        .or_else(|| all("inputs", a.inputs(), b.inputs(), |&m, &n| differ("input", &input(a, m), &input(b, n))))
        .or_else(|| differ("constants", &constants(a), &constants(b)))
        .or_else(|| differ("captures", &captures(a), &captures(b)))
        .or_else(|| all("nodes", &nodes(a), &nodes(b), |&m, &n| node(a, m, b, n)))
        .or_else(|| differ("outputs", &outputs(a), &outputs(b)))
        .or_else(|| differ("declared types", &declared(a), &declared(b)))
}

fn node(a: &Graph, m: NodeId, b: &Graph, n: NodeId) -> Option<String> {
    let says = |graph: &Graph, id: NodeId| {
        let node = graph.node(id)?;
        let name = |value: Option<ValueId>| value.and_then(|value| label(graph, value));
        Some((
            (node.domain.clone(), node.op_type.clone(), node.overload.clone(), node.name.clone()),
            node.ports().iter().map(|port| (port.name.clone(), port.omitted)).collect::<Vec<_>>(),
            graph.operands(id).map(name).collect::<Vec<_>>(),
            graph.implicit_operands(id).map(name).collect::<Vec<_>>(),
        ))
    };
    let attributes = |graph: &Graph, id: NodeId| graph.node(id).map_or(Vec::new(), |node| node.attrs.clone());
    differ("node", &says(a, m), &says(b, n)).or_else(|| all("attributes", &attributes(a, m), &attributes(b, n), attrs))
}

fn attrs(a: &Attr, b: &Attr) -> Option<String> {
    differ("attribute", &(&a.name, a.value.kind()), &(&b.name, b.value.kind())).or_else(|| match (&a.value, &b.value) {
        (AttrValue::Float(a), AttrValue::Float(b)) => differ("float", &a.to_bits(), &b.to_bits()),
        (AttrValue::Floats(a), AttrValue::Floats(b)) => {
            all("floats", a, b, |a, b| differ("float", &a.to_bits(), &b.to_bits()))
        }
        (AttrValue::Graph(_) | AttrValue::Graphs(_), _) => all("graphs", a.value.graphs(), b.value.graphs(), graphs),
        (AttrValue::Tensor(a), AttrValue::Tensor(b)) => differ("tensor", a, b),
        (AttrValue::Tensors(a), AttrValue::Tensors(b)) => differ("tensors", a, b),
        (AttrValue::SparseTensor(a), AttrValue::SparseTensor(b)) => differ("sparse tensor", a, b),
        (AttrValue::SparseTensors(a), AttrValue::SparseTensors(b)) => differ("sparse tensors", a, b),
        (a, b) => differ("value", &format!("{a:?}"), &format!("{b:?}")),
    })
}
