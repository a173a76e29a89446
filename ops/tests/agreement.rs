//! Inference and kernels must tell the same story, and neither may panic, whatever the node.
//!
//! Nodes of every operator are made at random from its schema. Where the kernel computes them, inference must not refuse them,
//! and what it says of types, extents and elements must be what came out: once with all operands constant, and once with
//! their extents and small whole numbers hidden behind symbols, which are then given their values. The random numbers are
//! fixed; a failure prints the node.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use bytes::Bytes;
use onnxpress_ir::{
    Attr, AttrKind, AttrValue, Carried, Constant, ConstantForm, ConstantValue, DType, Dim, Fact, Graph, Input, Node,
    NodeId, Opsets, Order, Port, Semantics, Shape, Symbol, Tensor, Type,
};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::infer::{MAX_ELEMENTS, Standard};
use onnxpress_ops::interpret::{self, Limits};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::schema::{self, FormalKind, OpSchema, TypeRef};
use onnxpress_ops::{Cost, Effects, Linear, Operator, table};

/// Nodes tried of each operator.
const CASES: u64 = 1000;

/// Operators that are not held against their kernels: for degenerate shapes and axes, which the standard does not allow, the
/// kernel computes something all the same where inference refuses, or says another shape.
/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014): small and fixed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// Mostly what an axis, an index or an extent could be; now and then what nobody would write.
    fn int(&mut self, wild: usize) -> i64 {
        if self.one_in(wild) {
            self.pick(&[i64::MIN, i64::MAX, i64::from(i32::MAX), -i64::from(i32::MAX), 1 << 40, -5, 100])
        } else {
            self.pick(&[0, 1, 1, 2, 2, 3, 4, -1, -2])
        }
    }

    fn ints(&mut self, wild: usize) -> Vec<i64> {
        (0..self.below(5)).map(|_| self.int(wild)).collect()
    }
}

/// A node about to be tried, with its operands.
struct Trial {
    version: i64,
    node: Node,
    operands: Vec<Option<Tensor>>,
}

/// Words that attributes of one operator or another understand.
const WORDS: [&str; 14] = [
    "constant", "reflect", "edge", "wrap", "add", "mul", "max", "min", "none", "DCR", "CRD", "linear", "circular",
    "rubbish",
];

fn attribute(random: &mut Random, wild: usize, kind: AttrKind) -> Option<AttrValue> {
    Some(match kind {
        AttrKind::Int => AttrValue::Int(random.int(wild)),
        AttrKind::Ints => AttrValue::Ints(random.ints(wild)),
        AttrKind::Float => AttrValue::Float(random.pick(&[0.0, 0.5, 1.0, 2.0, -1.0, f32::NAN])),
        AttrKind::Floats => AttrValue::Floats((0..random.below(4)).map(|_| random.pick(&[0.5, 1.0, 2.0])).collect()),
        AttrKind::String => AttrValue::String(Bytes::from_static(random.pick(&WORDS).as_bytes())),
        AttrKind::Strings => AttrValue::Strings(vec![Bytes::from_static(random.pick(&WORDS).as_bytes())]),
        AttrKind::Tensor => AttrValue::Tensor(Tensor::vector(vec![random.int(wild)])),
        _ => return None,
    })
}

fn elements(random: &mut Random, wild: usize, dtype: DType, dims: &[usize]) -> Tensor {
    let count = dims.iter().product();
    match dtype {
        DType::String => Tensor::from_strings(dims, vec![Bytes::from_static(b"a"); count]).unwrap(),
        DType::Complex64 | DType::Complex128 => {
            let bytes = vec![0u8; dtype.packed_len(count).unwrap()];
            Tensor::from_bytes(dtype, dims, bytes.into()).unwrap()
        }
        _ if dtype.is_float() => {
            let values: Vec<f64> = (0..count).map(|_| random.below(9) as f64 / 2.0 - 1.0).collect();
            Tensor::from_f64s(dtype, dims, &values).unwrap()
        }
        _ => Tensor::from_i64s(dtype, dims, &(0..count).map(|_| random.int(wild)).collect::<Vec<_>>()).unwrap(),
    }
}

fn trial(random: &mut Random, schema: &OpSchema, version: i64) -> Trial {
    let wild = random.pick(&[3, 20, 1000]);
    let types: Vec<Option<DType>> = schema
        .constraints
        .iter()
        .map(|constraint| {
            let all: Vec<DType> = constraint.types.tensors.iter().collect();
            (!all.is_empty()).then(|| random.pick(&all))
        })
        .collect();
    let mut operands: Vec<Option<Tensor>> = Vec::new();
    let mut last: Vec<usize> = Vec::new();
    for formal in &schema.inputs {
        let count = match formal.kind {
            FormalKind::Variadic { min, .. } => min + random.below(3),
            FormalKind::Single => 1,
            FormalKind::Optional => random.below(2),
        };
        if count == 0 {
            operands.push(None);
        }
        for _ in 0..count {
            let dtype = match formal.types {
                TypeRef::Parameter(index) => types[index],
                TypeRef::Tensor(dtype) => Some(dtype),
            };
            let steers = matches!(formal.types, TypeRef::Tensor(DType::Int64)) && !operands.is_empty();
            let dims: Vec<usize> = if steers && !random.one_in(3) {
                // Axes, pads, a shape: a row, often as long as there are axes.
                if random.one_in(6) { vec![] } else { vec![random.pick(&[last.len(), 2 * last.len(), 1, 2, 3])] }
            } else if !last.is_empty() && random.one_in(2) {
                last.clone()
            } else {
                (0..random.pick(&[0, 1, 2, 2, 3, 4])).map(|_| random.pick(&[1, 1, 2, 2, 3, 4, 0])).collect()
            };
            if operands.is_empty() {
                last.clone_from(&dims);
            }
            operands.push(dtype.map(|dtype| elements(random, wild, dtype, &dims)));
        }
    }
    while operands.last().is_some_and(Option::is_none) {
        operands.pop();
    }
    let outputs = schema.min_outputs().max(1) + random.below(3);
    let mut node = Node::new(schema.name, outputs.min(schema.max_outputs().unwrap_or(usize::MAX)));
    if schema.domain != schema::STANDARD {
        node = node.in_domain(schema.domain);
    }
    for attribute_schema in &schema.attributes {
        if (attribute_schema.required || random.one_in(2))
            && let Some(value) = attribute(random, wild, attribute_schema.kind)
        {
            node = node.with(Attr::new(attribute_schema.name, value));
        }
    }
    Trial { version, node, operands }
}

/// How an extent or an element of this value is called once it is hidden.
fn hidden(value: i64) -> Dim {
    Dim::named(&format!("n{value}"))
}

fn value_of(symbol: &Symbol) -> Option<i64> {
    match symbol {
        Symbol::Named(name) => name.strip_prefix('n')?.parse().ok(),
        Symbol::Anonymous(_) => None,
    }
}

impl Trial {
    fn graph(&self, mut operand: impl FnMut(&mut Graph, &Tensor) -> onnxpress_ir::ValueId) -> (Graph, NodeId) {
        let opsets = Opsets::new(vec![(self.node.domain.clone(), self.version)]);
        let mut graph = Graph::new(Arc::new(opsets));
        let operands: Vec<_> =
            self.operands.iter().map(|tensor| tensor.as_ref().map(|tensor| operand(&mut graph, tensor))).collect();
        let id = graph.add_node(self.node.clone(), &operands);
        (graph, id)
    }

    fn constant(&self) -> (Graph, NodeId) {
        self.graph(|graph, tensor| {
            graph.add_constant(Constant {
                value: ConstantValue::Dense(tensor.clone()),
                port: Port::default(),
                form: ConstantForm::Initializer,
                order: Order::default(),
            })
        })
    }

    /// Operands of which extents and elements are known only as symbols, or not at all.
    fn symbolic(&self, random: &mut Random) -> (Graph, NodeId) {
        self.graph(|graph, tensor| {
            // A symbol that is 0 would be a special case for whoever takes it for an extent.
            let mut dim = |value: i64| match random.below(4) {
                0 | 1 if value > 0 => hidden(value),
                2 if random.one_in(3) => Dim::unknown(),
                _ => Dim::from(value),
            };
            let shape: Shape = tensor.dims().iter().map(|&extent| dim(extent as i64)).collect();
            let is_small = matches!(tensor.dtype(), DType::Int32 | DType::Int64)
                && tensor.rank() <= 1
                && tensor.len() <= MAX_ELEMENTS;
            let values = tensor.to_i64s().ok().filter(|_| is_small);
            let elements = values.map(|values| values.into_iter().map(dim).collect::<Vec<_>>());
            let ty = Type::tensor(tensor.dtype(), (!random.one_in(10)).then_some(shape));
            let fact = Fact { ty, elements: elements.filter(|_| !random.one_in(4)).map(Arc::from) };
            let port = Port { ty: fact.ty.clone(), elements: fact.elements, ..Port::default() };
            graph.add_input(Input { port, default: None, declared: fact.ty, carried: Carried::none() })
        })
    }

    fn describe(&self) -> String {
        let operand = |tensor: &Option<Tensor>| match tensor {
            None => "none".to_owned(),
            Some(tensor) => match tensor.to_i64s() {
                Ok(values) if values.len() < 20 => format!("{tensor:?}{values:?}"),
                _ => format!("{tensor:?}"),
            },
        };
        let operands = self.operands.iter().map(operand).collect::<Vec<_>>().join(", ");
        let attrs: Vec<_> = self.node.attrs.iter().map(|attr| format!("{}={:?}", attr.name, attr.value)).collect();
        let outputs = self.node.port_count();
        format!("{} {} ({operands}) -> {outputs} {{{}}}", self.node.op_type, self.version, attrs.join(", "))
    }
}

/// What inference says, held against what came out.
fn check(fact: &Fact, value: &Value, site: &str) {
    let Value::Tensor(tensor) = value else { return };
    if let Some(dtype) = fact.ty.dtype() {
        assert_eq!(dtype, tensor.dtype(), "{site}: {}", fact.ty);
    }
    if let Some(shape) = fact.ty.shape() {
        assert_eq!(shape.rank(), tensor.rank(), "{site}: {} for {tensor:?}", fact.ty);
        for (dim, &extent) in shape.iter().zip(tensor.dims()) {
            if let Some(value) = dim.eval(value_of) {
                assert_eq!(value, extent as i64, "{site}: {} for {tensor:?}", fact.ty);
            }
        }
    }
    if let Some(elements) = &fact.elements {
        assert_eq!(elements.len(), tensor.len(), "{site}: elements {elements:?} for {tensor:?}");
        if elements.is_empty() {
            return;
        }
        let values: Vec<f64> = tensor.to_f64s().unwrap();
        for (dim, &found) in elements.iter().zip(&values) {
            if let Some(value) = dim.eval(value_of) {
                // Sizes are taken to fit into 32 bits; what does not wraps around.
                let value = if tensor.dtype() == DType::Int32 { f64::from(value as i32) } else { value as f64 };
                assert_eq!(value, found, "{site}: elements {elements:?} for {values:?}");
            }
        }
    }
}

fn evaluate(trial: &Trial) -> Option<Vec<Value>> {
    let (graph, id) = trial.constant();
    let inputs: Vec<Option<Value>> = trial.operands.iter().map(|tensor| tensor.clone().map(Value::Tensor)).collect();
    interpret::node(&graph, id, &inputs, Limits { elements: 1 << 14, steps: 1 << 22, depth: 4 }).ok()
}

/// Whatever the node, no facet may panic.
fn other_facets(operator: &Operator, graph: &Graph, id: NodeId) {
    let cx = NodeCx::new(graph, id).unwrap();
    let _ = operator.axes.relation(&cx);
    if let Linear::Layers(layers) = operator.linear {
        let _ = layers(&cx);
    }
    if let Cost::Macs(macs) = operator.cost {
        let _ = macs(&cx);
    }
}

fn annotated(mut graph: Graph, id: NodeId, site: &str, must: bool) -> Graph {
    match Standard.infer(&graph, id) {
        Ok(facts) => {
            for (port, fact) in (0u32..).zip(facts) {
                graph.set_fact(id.port(port), fact.ty, fact.elements);
            }
        }
        Err(error) => assert!(!must, "{site}: refused: {error}"),
    }
    graph
}

fn try_operator(operator: &'static Operator) {
    let domain = if operator.domain.is_empty() { schema::STANDARD } else { operator.domain };
    let versions = schema::versions(domain, operator.name);
    let seed = operator.name.bytes().fold(7u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut random = Random(seed);

    for _ in 0..CASES {
        let Some(schema) = (!versions.is_empty()).then(|| &versions[random.below(versions.len())]) else { return };
        let version = if domain == schema::STANDARD { schema.since_version.max(7) } else { schema.since_version };
        if schema::schema(domain, operator.name, version).is_none_or(|held| held.since_version != schema.since_version)
        {
            continue;
        }
        let trial = trial(&mut random, schema, version);
        let site = trial.describe();

        let outputs = evaluate(&trial);
        let (graph, id) = trial.constant();
        let (symbolic, symbolic_id) = trial.symbolic(&mut random);
        for (graph, id) in [(graph, id), (symbolic, symbolic_id)] {
            let graph = annotated(graph, id, &site, outputs.is_some());
            other_facets(operator, &graph, id);
            if operator.effects == Effects::Random {
                continue;
            }
            for (port, value) in (0u32..).zip(outputs.iter().flatten()).take(trial.node.port_count()) {
                let port = graph.port(id.port(port));
                check(&Fact { ty: port.ty.clone(), elements: port.elements.clone() }, value, &site);
            }
        }
    }
}

#[test]
fn what_is_inferred_is_what_is_computed() {
    let mut faults = Vec::new();
    for operator in table::all() {
        if let Err(reason) = std::panic::catch_unwind(|| try_operator(operator)) {
            let text = reason.downcast_ref::<String>().cloned();
            let text = text.or_else(|| reason.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            faults.push(format!("{}: {}", operator.name, text.unwrap_or_default()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
