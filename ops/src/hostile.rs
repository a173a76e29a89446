//! What no input may do: a node made of anything goes through every facet of every operator, and none panics.
//!
//! Operands have any type and shape, known in part or whole, constants any elements; attributes are left out, of the right
//! kind with any value, or of the wrong kind. Cases are numbered, and the same on every run.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use onnxpress_ir::{
    Attr, AttrKind, AttrValue, Carried, Constant, ConstantForm, ConstantValue, DType, Dim, Graph, Input, Name, Node,
    Opsets, Order, Port, Semantics, Shape, Tensor, Type,
};

use crate::evaluate::Value;
use crate::infer::Standard;
use crate::interpret::{self, Limits};
use crate::node::NodeCx;
use crate::operator::{Cost, Linear, Operator};
use crate::schema::{self, OpSchema};
use crate::table;

/// Cases for each version of each operator.
const CASES: u64 = 400;

/// Numbers that are not random enough for anything else.
struct Choices(u64);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }

    fn in_ten(&mut self, chances: usize) -> bool {
        self.below(10) < chances
    }

    fn int(&mut self) -> i64 {
        const ORDINARY: [i64; 8] = [0, 1, 2, 3, -1, -2, 4, 1];
        const EXTREME: [i64; 8] =
            [i64::MIN, i64::MAX, i64::MIN + 1, 1 << 31, -(1 << 31), (1 << 62) + 1, i32::MAX as i64, 1 << 40];
        if self.in_ten(7) { self.of(&ORDINARY) } else { self.of(&EXTREME) }
    }

    fn float(&mut self) -> f32 {
        self.of(&[0.0, 1.0, -1.0, 0.5, 2.0, 1e30, -1e-30, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3.0])
    }

    fn dtype(&mut self) -> DType {
        match self.below(10) {
            0..=3 => DType::Float,
            4..=6 => DType::Int64,
            _ => self.of(DType::ALL),
        }
    }

    fn word(&mut self) -> &'static str {
        self.of(&[
            "",
            "NOTSET",
            "SAME_UPPER",
            "VALID",
            "none",
            "mean",
            "sum",
            "tanh",
            "LEFT",
            "RIGHT",
            "ij,jk->ik",
            "...i->...",
            "ii",
            "linear",
            "nearest",
            "cubic",
            "constant",
            "reflect",
            "edge",
            "wrap",
            "bilinear",
            "DCR",
            "CRD",
            "forward",
            "bidirectional",
            "add",
            "max",
            "half_pixel",
            "align_corners",
            "Relu",
            "no such word",
            "[a-z]+",
            "TF",
        ])
    }

    fn shape(&mut self) -> Shape {
        let rank = self.below(6);
        let texts = ["1", "2", "3", "4", "N", "M", "2*N", "?", "0", "9223372036854775807", "-1", "N-1"];
        (0..rank).map(|_| self.of(&texts).parse::<Dim>().unwrap()).collect()
    }

    fn tensor(&mut self) -> Tensor {
        let rank = self.below(5);
        let mut dims: Vec<usize> = (0..rank).map(|_| self.of(&[1, 2, 2, 3, 4])).collect();
        if self.in_ten(2) && rank > 0 {
            // Without elements the other extents can be anything.
            dims.iter_mut().for_each(|dim| *dim = [*dim, 1 << 40, usize::MAX, 1 << 20][(self.next() % 4) as usize]);
            let empty = self.below(rank);
            dims[empty] = 0;
        }
        let dtype = self.dtype();
        let count: usize = if dims.contains(&0) { 0 } else { dims.iter().product() };
        match dtype {
            DType::String => {
                let words = (0..count).map(|_| Bytes::from_static(self.word().as_bytes())).collect();
                Tensor::from_strings(&dims, words).unwrap()
            }
            DType::Complex64 | DType::Complex128 => {
                let bytes = vec![0u8; dtype.packed_len(count).unwrap()];
                Tensor::from_bytes(dtype, &dims, bytes.into()).unwrap()
            }
            _ if dtype.is_float() => {
                let values: Vec<f64> = (0..count).map(|_| f64::from(self.float())).collect();
                Tensor::from_f64s(dtype, &dims, &values).unwrap()
            }
            _ => {
                let values: Vec<i64> = (0..count).map(|_| self.int()).collect();
                Tensor::from_i64s(dtype, &dims, &values).unwrap()
            }
        }
    }

    fn attribute(&mut self, kind: AttrKind) -> AttrValue {
        let count = self.below(6);
        match kind {
            AttrKind::Float => AttrValue::Float(self.float()),
            AttrKind::Int => AttrValue::Int(self.int()),
            AttrKind::String => AttrValue::String(Bytes::from_static(self.word().as_bytes())),
            AttrKind::Tensor => AttrValue::Tensor(self.tensor()),
            AttrKind::Graph => AttrValue::Graph(Box::default()),
            AttrKind::Floats => AttrValue::Floats((0..count).map(|_| self.float()).collect()),
            AttrKind::Ints => AttrValue::Ints((0..count).map(|_| self.int()).collect()),
            AttrKind::Strings => {
                AttrValue::Strings((0..count).map(|_| Bytes::from_static(self.word().as_bytes())).collect())
            }
            _ => AttrValue::Int(self.int()),
        }
    }
}

/// What an operand is.
enum Operand {
    Omitted,
    Known(Port),
    Constant(Tensor),
}

fn operand(choices: &mut Choices, constant: bool) -> Operand {
    match choices.below(10) {
        0 => Operand::Omitted,
        1..=5 if !constant => {
            let ty = match choices.below(8) {
                0 => Type::Unknown,
                1 => Type::tensor(choices.dtype(), None),
                2 => Type::Sequence(Box::new(Type::tensor(DType::Float, None))),
                _ => Type::tensor(choices.dtype(), choices.shape()),
            };
            let elements = choices.in_ten(3).then(|| choices.shape().iter().cloned().collect::<Vec<_>>().into());
            Operand::Known(Port { ty, elements, ..Port::default() })
        }
        _ => Operand::Constant(choices.tensor()),
    }
}

/// Puts case number `case` of an operator through all its facets.
fn run(operator: &'static Operator, schema: &OpSchema, case: u64) {
    let mut choices = Choices(case.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ schema.since_version as u64);
    let constant = choices.in_ten(5);
    let most = schema.max_inputs().unwrap_or(4);
    let count = (schema.min_inputs() + choices.below(most + 2 - schema.min_inputs().min(most))).min(most + 1);
    let count = if choices.in_ten(1) { choices.below(count + 1) } else { count };
    let operands: Vec<Operand> = (0..count).map(|_| operand(&mut choices, constant)).collect();
    let opsets = Opsets::new(vec![(Name::from(operator.domain), schema.since_version)]);
    let mut graph = Graph::new(Arc::new(opsets));
    let values: Vec<_> = operands
        .iter()
        .map(|operand| match operand {
            Operand::Omitted => None,
            Operand::Known(port) => {
                let (port, declared) = (port.clone(), port.ty.clone());
                Some(graph.add_input(Input { port, default: None, declared, carried: Carried::none() }))
            }
            Operand::Constant(tensor) => Some(graph.add_constant(Constant {
                value: ConstantValue::Dense(tensor.clone()),
                port: Port::default(),
                form: ConstantForm::Initializer,
                order: Order::default(),
            })),
        })
        .collect();
    let outputs = schema.min_outputs().max(choices.below(schema.max_outputs().unwrap_or(3) + 2));
    let mut node =
        Node::new(operator.name, 0).in_domain(operator.domain).with_ports((0..outputs).map(|_| Port::default()));
    for attribute in &schema.attributes {
        if choices.in_ten(if attribute.required { 9 } else { 6 }) {
            let kind = if choices.below(20) == 0 { choices.of(&AttrKind::ALL) } else { attribute.kind };
            let value = choices.attribute(kind);
            node = node.with(Attr::new(attribute.name, value));
        }
    }
    let id = graph.add_node(node, &values);
    let facts = Standard.infer(&graph, id).unwrap_or_default();
    for (port, fact) in (0u32..).zip(facts) {
        graph.set_fact(id.port(port), fact.ty, fact.elements);
    }
    let cx = NodeCx::new(&graph, id).unwrap();
    let _ = operator.axes.relation(&cx);
    if let Linear::Layers(layers) = operator.linear {
        layers(&cx);
    }
    if let Cost::Macs(macs) = operator.cost {
        macs(&cx);
    }
    let inputs: Option<Vec<Option<Value>>> = operands
        .into_iter()
        .map(|operand| match operand {
            Operand::Omitted => Some(None),
            Operand::Known(_) => None,
            Operand::Constant(tensor) => Some(Some(Value::Tensor(tensor))),
        })
        .collect();
    if let Some(inputs) = inputs {
        let limits = Limits { elements: 1 << 12, steps: 1 << 16, depth: 8 };
        let _ = interpret::node(&graph, id, &inputs, limits);
    }
}

#[test]
fn no_node_makes_a_facet_panic() {
    let mut faults = Vec::new();
    for operator in table::all() {
        for schema in schema::versions(operator.domain, operator.name) {
            for case in 0..CASES {
                let start = Instant::now();
                let outcome = catch_unwind(AssertUnwindSafe(|| run(operator, schema, case)));
                let name = format!("{}.{} {} case {case}", operator.domain, operator.name, schema.since_version);
                if outcome.is_err() {
                    faults.push(format!("{name} panics"));
                } else if start.elapsed().as_secs() >= 2 {
                    faults.push(format!("{name} takes {:?}", start.elapsed()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
