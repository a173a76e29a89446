//! One node on its own, for the tests of data sheets: built from typed operands, then inferred or evaluated.
//!
//! Types are written as in ONNX's text syntax, and what is inferred is answered as text, so that a test reads as a table.

#![allow(clippy::unwrap_used, clippy::panic)]
#![allow(dead_code, reason = "a vocabulary for all families; which words are used varies with them")]

mod letters;

use std::sync::Arc;

use onnxpress_ir::{
    Attr, AttrValue, Carried, Constant, ConstantForm, ConstantValue, DType, Dim, Fact, Graph, Input, Name, Node,
    NodeId, Opsets, Order, Port, Semantics, Shape, Tensor, Type,
};

use crate::evaluate::{EvalError, Value};
use crate::infer::{InferCx, Standard, Undecided};
use crate::interpret::{self, Limits};
use crate::node::NodeCx;
use crate::operator::Infer;
use crate::{schema, table};

/// What an operand of the node is.
enum Operand {
    Omitted,
    Known(Fact),
    Constant(Tensor),
}

/// A node to be, with its operands.
pub(crate) struct OneNode {
    domain: &'static str,
    version: i64,
    node: Node,
    outputs: usize,
    operands: Vec<Operand>,
}

/// A node of the standard's newest version with one output.
pub(crate) fn op(op_type: &'static str) -> OneNode {
    OneNode {
        domain: "",
        version: schema::newest_opset("").unwrap(),
        node: Node::new(op_type, 0),
        outputs: 1,
        operands: Vec::new(),
    }
}

/// A type as ONNX's text syntax has it: `float[N,3]`, `float[]` for a scalar, `float` for an unknown rank.
fn parse_type(text: &str) -> Type {
    let (dtype, shape) = match text.split_once('[') {
        Some((dtype, rest)) => (dtype, Some(rest.strip_suffix(']').unwrap())),
        None => (text, None),
    };
    let dims =
        |text: &str| text.split(',').filter(|dim| !dim.is_empty()).map(|dim| dim.parse::<Dim>().unwrap()).collect();
    Type::tensor(
        (dtype != "?").then(|| dtype.parse::<DType>().unwrap()),
        shape.map(dims).map(|dims: Vec<Dim>| Shape::from(dims)),
    )
}

impl OneNode {
    /// Of another domain, at its newest version.
    pub(crate) fn domain(mut self, domain: &'static str) -> Self {
        self.domain = domain;
        self.version = schema::newest_opset(domain).unwrap_or(1);
        self.node = self.node.in_domain(domain);
        self
    }

    /// In a graph that imports this version of the domain.
    pub(crate) fn version(mut self, version: i64) -> Self {
        self.version = version;
        self
    }

    /// With so many outputs.
    pub(crate) fn outputs(mut self, count: usize) -> Self {
        self.outputs = count;
        self
    }

    /// With this attribute.
    pub(crate) fn attr(mut self, attr: Attr) -> Self {
        self.node = self.node.with(attr);
        self
    }

    /// With this attribute, a whole number.
    pub(crate) fn int(self, name: &'static str, value: i64) -> Self {
        self.attr(Attr::int(name, value))
    }

    /// With this attribute, a list of whole numbers.
    pub(crate) fn ints(self, name: &'static str, values: &[i64]) -> Self {
        self.attr(Attr::ints(name, values))
    }

    /// With this attribute, a number.
    pub(crate) fn float(self, name: &'static str, value: f32) -> Self {
        self.attr(Attr::float(name, value))
    }

    /// With this attribute, a string.
    pub(crate) fn string(self, name: &'static str, value: &'static str) -> Self {
        self.attr(Attr::string(name, value))
    }

    /// With this attribute, a list of strings.
    pub(crate) fn strings(self, name: &'static str, values: &[&'static str]) -> Self {
        let values = values.iter().map(|value| bytes::Bytes::from_static(value.as_bytes())).collect();
        self.attr(Attr::new(name, AttrValue::Strings(values)))
    }

    /// With this attribute, a list of numbers.
    pub(crate) fn reals(self, name: &'static str, values: &[f32]) -> Self {
        self.attr(Attr::new(name, AttrValue::Floats(values.to_vec())))
    }

    fn operand(mut self, operand: Operand) -> Self {
        self.operands.push(operand);
        self
    }

    /// With one operand more, of this type.
    pub(crate) fn input(self, ty: &str) -> Self {
        self.operand(Operand::Known(Fact { ty: parse_type(ty), elements: None }))
    }

    /// With one operand more, of this type and with these elements: `("int64[2]", "N 3")`.
    pub(crate) fn elements(self, ty: &str, elements: &str) -> Self {
        let elements: Vec<Dim> = elements.split_whitespace().map(|dim| dim.parse().unwrap()).collect();
        self.operand(Operand::Known(Fact { ty: parse_type(ty), elements: Some(elements.into()) }))
    }

    /// With one operand more, left out.
    pub(crate) fn omitted(self) -> Self {
        self.operand(Operand::Omitted)
    }

    /// With one operand more, a constant.
    pub(crate) fn constant(self, tensor: Tensor) -> Self {
        self.operand(Operand::Constant(tensor))
    }

    /// With one operand more, a constant float tensor.
    pub(crate) fn floats(self, dims: &[usize], values: &[f32]) -> Self {
        self.constant(Tensor::from_values(dims, values.to_vec()).unwrap())
    }

    /// With one operand more, a constant float tensor whose elements are all different: 1, 2, 3, ….
    pub(crate) fn iota(self, dims: &[usize]) -> Self {
        let values = (1..=dims.iter().product::<usize>()).map(|value| value as f32).collect();
        self.constant(Tensor::from_values::<f32>(dims, values).unwrap())
    }

    /// With one operand more, a constant tensor of whole numbers of 64 bits.
    pub(crate) fn int64s(self, dims: &[usize], values: &[i64]) -> Self {
        self.constant(Tensor::from_values(dims, values.to_vec()).unwrap())
    }

    /// The node in a graph of its own.
    pub(crate) fn build(&self) -> (Graph, NodeId) {
        let opsets = Opsets::new(vec![(Name::from(self.domain), self.version)]);
        let mut graph = Graph::new(Arc::new(opsets));
        let mut operands = Vec::new();
        for operand in &self.operands {
            operands.push(match operand {
                Operand::Omitted => None,
                Operand::Known(fact) => {
                    let port = Port { ty: fact.ty.clone(), elements: fact.elements.clone(), ..Port::default() };
                    let declared = fact.ty.clone();
                    Some(graph.add_input(Input { port, default: None, declared, carried: Carried::none() }))
                }
                Operand::Constant(tensor) => Some(graph.add_constant(Constant {
                    value: ConstantValue::Dense(tensor.clone()),
                    port: Port::default(),
                    form: ConstantForm::Initializer,
                    order: Order::default(),
                })),
            });
        }
        let node = self.node.clone().with_ports((0..self.outputs).map(|_| Port::default()));
        let id = graph.add_node(node, &operands);
        (graph, id)
    }

    /// What is inferred of each output, as text: `float[N,4]`, `int64[2] = {N, 3}`, or why nothing is.
    pub(crate) fn infer(&self) -> String {
        let (graph, id) = self.build();
        let cx = NodeCx::new(&graph, id).unwrap();
        let Infer::With(facet) = table::of(cx.node).unwrap().infer else { panic!("the facet infers no single node") };
        let mut cx = InferCx::new(cx);
        match facet(&mut cx) {
            Ok(()) | Err(Undecided::Unknown) => cx.into_facts().iter().map(fact_text).collect::<Vec<_>>().join(", "),
            Err(Undecided::Invalid(reason)) => format!("invalid: {reason}"),
        }
    }

    /// How the node's axes are related, as text, or why nothing is said.
    pub(crate) fn axes(&self) -> String {
        let (mut graph, id) = self.build();
        if let Ok(facts) = Standard.infer(&graph, id) {
            for (port, fact) in (0u32..).zip(facts) {
                graph.set_fact(id.port(port), fact.ty, fact.elements);
            }
        }
        let cx = NodeCx::new(&graph, id).unwrap();
        let relation = table::of(cx.node).unwrap().axes.relation(&cx);
        relation.map_or_else(|reason| format!("none: {reason}"), |relation| relation.to_string())
    }

    /// The outputs for operands that are all constant.
    pub(crate) fn evaluate(&self) -> Result<Vec<Value>, EvalError> {
        let (graph, id) = self.build();
        let inputs: Vec<Option<Value>> = self
            .operands
            .iter()
            .map(|operand| match operand {
                Operand::Omitted => None,
                Operand::Constant(tensor) => Some(Value::Tensor(tensor.clone())),
                Operand::Known(fact) => panic!("an operand of which only {} is known", fact.ty),
            })
            .collect();
        interpret::node(&graph, id, &inputs, Limits::default())
    }

    /// Output 0 for operands that are all constant.
    pub(crate) fn tensor(&self) -> Tensor {
        self.evaluate().unwrap()[0].as_tensor().unwrap().clone()
    }

    /// The elements of output 0, in binary32.
    pub(crate) fn f32s(&self) -> Vec<f32> {
        self.tensor().to_f32s().unwrap()
    }

    /// The elements of output 0, whole numbers.
    pub(crate) fn i64s(&self) -> Vec<i64> {
        self.tensor().to_i64s().unwrap()
    }

    /// Why the node cannot be evaluated.
    pub(crate) fn fault(&self) -> String {
        self.evaluate().unwrap_err().to_string()
    }
}

fn fact_text(fact: &Fact) -> String {
    match &fact.elements {
        None => fact.ty.to_string(),
        Some(elements) => {
            let elements: Vec<_> = elements.iter().map(Dim::to_string).collect();
            format!("{} = {{{}}}", fact.ty, elements.join(", "))
        }
    }
}
