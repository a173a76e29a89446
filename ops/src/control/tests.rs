//! Loops and scans, inferred and run: what is carried must hold for every turn.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use onnxpress_ir::{
    Attr, Carried, Constant, ConstantForm, ConstantValue, DType, Dim, Graph, GraphBuilder, Input, Model, Name, Node,
    NodeDraft, Opsets, Order, Port, Shape, Tensor, Type,
};

use crate::evaluate::Value;
use crate::{infer, interpret};

fn ty(dtype: DType, dims: &[&str]) -> Type {
    Type::tensor(dtype, dims.iter().map(|dim| dim.parse::<Dim>().unwrap()).collect::<Shape>())
}

struct Builder {
    graph: GraphBuilder,
}

impl Builder {
    fn new(opsets: &Arc<Opsets>) -> Self {
        Self { graph: GraphBuilder::new(opsets.clone()) }
    }

    fn input(mut self, name: &'static str, ty: Type) -> Self {
        let input = Input { port: Port::new(name, ty.clone()), default: None, declared: ty, carried: Carried::none() };
        self.graph.add_input(input);
        self
    }

    fn constant(mut self, name: &'static str, tensor: Tensor) -> Self {
        self.graph.add_constant(Constant {
            port: Port::new(name, Type::tensor(tensor.dtype(), Shape::from_extents(tensor.dims()))),
            value: ConstantValue::Dense(tensor),
            form: ConstantForm::Initializer,
            order: Order::default(),
        });
        self
    }

    fn draft(op: &'static str, operands: &[&'static str], outputs: &[&'static str], attrs: Vec<Attr>) -> NodeDraft {
        let mut node = Node::new(op, 0).with_ports(outputs.iter().map(|&name| Port::new(name, Type::Unknown)));
        node.attrs = attrs;
        NodeDraft::new(node, operands.iter().map(|&name| Name::from(name)).collect())
    }

    fn node(mut self, op: &'static str, operands: &[&'static str], output: &'static str, attrs: Vec<Attr>) -> Self {
        self.graph.add_node(Self::draft(op, operands, &[output], attrs));
        self
    }

    fn with_body(
        mut self,
        op: &'static str,
        operands: &[&'static str],
        outputs: &[&'static str],
        attrs: Vec<Attr>,
        body: Builder,
    ) -> Self {
        let mut draft = Self::draft(op, operands, outputs, attrs);
        draft.push_graph("body".into(), Carried::none(), body.graph);
        self.graph.add_node(draft);
        self
    }

    fn output(mut self, name: &'static str) -> Self {
        self.graph.add_output(name.into(), Type::Unknown, Carried::none());
        self
    }

    fn inferred(self) -> (Graph, String) {
        let mut graph = self.graph.build().unwrap();
        let found = infer::graph(&mut graph, &[]);
        assert_eq!((found.invalid.len(), found.contradicted.len()), (0, 0), "{found:?}");
        let types = graph.outputs().iter().map(|&id| graph.ty(graph.operand(id, 0).unwrap()).to_string());
        let types = types.collect::<Vec<_>>().join(", ");
        (graph, types)
    }
}

fn run(graph: Graph, inputs: Vec<Tensor>) -> Vec<Vec<i64>> {
    let model = Model { graph, ..Model::default() };
    let inputs = inputs.into_iter().map(|tensor| Some(Value::from(tensor))).collect();
    let outputs = interpret::run(&model, inputs, interpret::Limits::default()).unwrap();
    outputs.iter().map(|value| value.as_tensor().unwrap().to_i64s().unwrap()).collect()
}

fn opsets() -> Arc<Opsets> {
    Arc::new(Opsets::new(vec![("".into(), 21)]))
}

/// `list` grows by the turn's number, `same` stays, and each turn gives a slice.
fn growing() -> (Graph, String) {
    let opsets = opsets();
    let body = Builder::new(&opsets)
        .input("turn", ty(DType::Int64, &[]))
        .input("go", ty(DType::Bool, &[]))
        // What exporters declare of a carried value is often true of the first turn only.
        .input("list", ty(DType::Int64, &["1"]))
        .input("same", ty(DType::Int64, &["N"]))
        .constant("zero", Tensor::vector(vec![0i64]))
        .node("Identity", &["go"], "on", vec![])
        .node("Unsqueeze", &["turn", "zero"], "item", vec![])
        .node("Concat", &["list", "item"], "longer", vec![Attr::int("axis", 0)])
        .node("Identity", &["same"], "still", vec![])
        .node("Add", &["still", "turn"], "slice", vec![])
        .output("on")
        .output("longer")
        .output("still")
        .output("slice");
    Builder::new(&opsets)
        .input("list", ty(DType::Int64, &["1"]))
        .input("same", ty(DType::Int64, &["N"]))
        .constant("limit", Tensor::scalar(3i64))
        .with_body("Loop", &["limit", "", "list", "same"], &["l", "s", "slices"], vec![], body)
        .output("l")
        .output("s")
        .output("slices")
        .inferred()
}

#[test]
fn what_changes_from_turn_to_turn_is_not_known() {
    let (graph, types) = growing();
    // The list has another extent each turn; what stays keeps its own, and three turns give three slices.
    let (list, rest) = types.split_once(", ").unwrap();
    assert!(list.starts_with("int64[?"), "{types}");
    assert_eq!(rest, "int64[N], int64[3,N]");
    let outputs = run(graph, vec![Tensor::vector(vec![7i64]), Tensor::vector(vec![10i64, 20])]);
    assert_eq!(outputs, [vec![7, 0, 1, 2], vec![10, 20], vec![10, 20, 11, 21, 12, 22]]);
}

#[test]
fn the_body_is_annotated_with_what_holds_for_every_turn() {
    let (graph, _) = growing();
    let body = graph.nodes().find_map(|(_, node)| node.subgraphs().next()).unwrap();
    let longer = body.operand(body.outputs()[1], 0).unwrap();
    let text = body.ty(longer).to_string();
    assert!(text.starts_with("int64[") && text.contains('?') && text.contains("+ 1"), "{text}");
}

#[test]
fn a_scan_takes_slices_along_its_axes() {
    let opsets = opsets();
    let body = Builder::new(&opsets)
        .input("sum", ty(DType::Int64, &["2"]))
        .input("x", ty(DType::Int64, &["2"]))
        .node("Add", &["sum", "x"], "next", vec![])
        .node("Identity", &["next"], "slice", vec![])
        .output("next")
        .output("slice");
    let attrs = vec![
        Attr::int("num_scan_inputs", 1),
        Attr::ints("scan_input_axes", [1]),
        Attr::ints("scan_input_directions", [1]),
        Attr::ints("scan_output_axes", [-1]),
    ];
    let (graph, types) = Builder::new(&opsets)
        .input("start", ty(DType::Int64, &["2"]))
        .input("x", ty(DType::Int64, &["2", "T"]))
        .with_body("Scan", &["start", "x"], &["sum", "sums"], attrs, body)
        .output("sum")
        .output("sums")
        .inferred();
    assert_eq!(types, "int64[2], int64[2,T]");
    let x = Tensor::from_values(&[2, 3], vec![1i64, 2, 3, 10, 20, 30]).unwrap();
    let outputs = run(graph, vec![Tensor::vector(vec![0i64, 100]), x]);
    assert_eq!(outputs, [vec![6, 160], vec![3, 5, 6, 130, 150, 160]]);
}
