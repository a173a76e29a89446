//! One small model for each finding, and next to it the model that is right.

use std::sync::Arc;

use onnxpress_ir::{
    Attr, AttrKind, AttrValue, Carried, DType, Function, Graph, Input, Model, Name, Node, Opsets, Port, Type, ValueId,
};

use super::*;

/// A model that imports these versions of domains.
fn model(imports: &[(&'static str, i64)]) -> Model {
    Model::new(10, Opsets::new(imports.iter().map(|&(domain, version)| (Name::from(domain), version)).collect()))
}

fn input(graph: &mut Graph, name: &'static str, ty: impl Into<Type>) -> ValueId {
    let ty = ty.into();
    let port = Port::new(name, ty.clone());
    graph.add_input(Input { port, default: None, declared: ty, carried: Carried::none() })
}

fn tensor(dtype: DType) -> Type {
    Type::tensor(dtype, None)
}

/// What is found of one node named `n` that reads float tensors, at version `opset` of the standard.
fn check(opset: i64, node: Node, operands: usize) -> String {
    check_types(opset, node, &vec![Some(tensor(DType::Float)); operands])
}

/// The same with operands of these types, `None` for one that is left out.
fn check_types(opset: i64, node: Node, operands: &[Option<Type>]) -> String {
    let mut model = model(&[("", opset), ("com.microsoft", 1), ("ai.onnx.ml", 5)]);
    let operands: Vec<_> =
        operands.iter().map(|ty| ty.as_ref().map(|ty| input(&mut model.graph, "x", ty.clone()))).collect();
    model.graph.add_node(node.named(Some("n".into())), &operands);
    report(&model)
}

fn report(model: &Model) -> String {
    let line = |finding: Finding| format!("{:?}: {finding}", finding.severity);
    verify(model).into_iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn right_nodes_have_no_findings() {
    assert_eq!(check(13, Node::new("Relu", 1), 1), "");
    assert_eq!(check(13, Node::new("Concat", 1).with(Attr::int("axis", 0)), 5), "");
    assert_eq!(check_types(13, Node::new("Clip", 1), &[Some(tensor(DType::Int8)), None, Some(Type::Unknown)]), "");
    assert_eq!(check_types(13, Node::new("Relu", 1), &[Some(Type::tensor(None, None))]), "");
    assert_eq!(check(13, Node::new("Gelu", 1).in_domain("com.microsoft"), 1), "");
    assert_eq!(
        check(13, Node::new("Gelu", 1).in_domain("nobody's"), 7),
        "Warning: the model: domain nobody's is used, but not imported; version 1 is taken"
    );
}

#[test]
fn operators_must_be_there_at_the_version() {
    insta::assert_snapshot!(check(13, Node::new("Relv", 1), 1), @"Warning: Relv `n`: ai.onnx has no such operator");
    insta::assert_snapshot!(check(13, Node::new("Gelu", 1), 1), @"Error: Gelu `n`: the operator came with version 20 of ai.onnx, but the version here is 13");
    assert_eq!(check(20, Node::new("Gelu", 1), 1), "");
    insta::assert_snapshot!(check(9, Node::new("Upsample", 1), 2), @"");
    insta::assert_snapshot!(check(10, Node::new("Upsample", 1), 2), @"Error: Upsample `n`: the operator is deprecated since version 10 of ai.onnx, and the version here is 10");
    let group = Node::new("GroupNormalization", 1).with(Attr::int("num_groups", 1));
    insta::assert_snapshot!(check(18, group, 3), @"Warning: GroupNormalization `n`: the operator is deprecated since version 18 of ai.onnx, and the version here is 18");
    insta::assert_snapshot!(check(13, Node::new("LayerNormalization", 1), 2), @"Warning: LayerNormalization `n`: ai.onnx has no such operator at version 13; it is an extension of onnxruntime's");
}

#[test]
fn operands_and_results_are_counted() {
    insta::assert_snapshot!(check(13, Node::new("Add", 2), 3), @r"
    Error: Add `n`: operands: found 3, expected 2
    Error: Add `n`: results: found 2, expected 1
    ");
    insta::assert_snapshot!(check(13, Node::new("Concat", 1).with(Attr::int("axis", 0)), 0), @"Error: Concat `n`: operands: found 0, expected 1 or more");
    let float = || Some(tensor(DType::Float));
    insta::assert_snapshot!(check_types(13, Node::new("Add", 1), &[float(), None]), @"Error: Add `n`: operand 1 (`B`) is left out, but required");
    insta::assert_snapshot!(check_types(13, Node::new("Clip", 1), &[float(), None, None, None]), @"Error: Clip `n`: operands: found 4, expected 1 to 3");
    let omitted = Port { omitted: true, ..Port::default() };
    insta::assert_snapshot!(check(13, Node::new("Relu", 0).with_ports([omitted.clone()]), 1), @"Error: Relu `n`: result 0 (`Y`) is left out, but required");
    let sequence = Node::new("LSTM", 0).with_ports([omitted, Port::default()]).with(Attr::int("hidden_size", 4));
    assert_eq!(check(13, sequence, 3), "");
}

#[test]
fn attributes_must_be_the_operator_s() {
    insta::assert_snapshot!(check(13, Node::new("Concat", 1), 1), @"Error: Concat `n`: attribute `axis` is not given, but required");
    insta::assert_snapshot!(check(13, Node::new("LeakyRelu", 1).with(Attr::int("alpha", 1)), 1), @"Error: LeakyRelu `n`: attribute `alpha` is of kind int, expected float");
    insta::assert_snapshot!(check(13, Node::new("Relu", 1).with(Attr::int("vendor", 1)), 1), @"Warning: Relu `n`: the operator has no attribute `vendor`");
    assert_eq!(check(13, Node::new("Relu", 1).with(Attr::int("__note", 1)), 1), "");
    assert_eq!(check(6, Node::new("Clip", 1).with(Attr::float("min", 0.0)), 1), "");
    insta::assert_snapshot!(check(13, Node::new("Clip", 1).with(Attr::float("min", 0.0)), 1), @"Error: Clip `n`: the operator has no attribute `min` at version 13, as it has at others");
    let twice = Node::new("Flatten", 1).with(Attr::int("axis", 0)).with(Attr::int("axis", 1));
    insta::assert_snapshot!(check(13, twice, 1), @"Error: Flatten `n`: attribute `axis` is given twice");
    let reference = AttrValue::Reference { name: "a".into(), kind: AttrKind::Int };
    assert_eq!(check(13, Node::new("Flatten", 1).with(Attr::new("axis", reference)), 1), "");
}

#[test]
fn types_must_fit_the_parameters() {
    let types = |types: &[DType]| types.iter().map(|&dtype| Some(tensor(dtype))).collect::<Vec<_>>();
    let relu = |opset, dtype| check_types(opset, Node::new("Relu", 1), &types(&[dtype]));
    insta::assert_snapshot!(relu(13, DType::Int32), @"Error: Relu `n`: operand 0 (`X`) has type int32, expected one of: floats bfloat16");
    assert_eq!(relu(14, DType::Int32), "");
    insta::assert_snapshot!(check_types(13, Node::new("Add", 1), &types(&[DType::Float, DType::Int64])), @"Error: Add `n`: operand 1 (`B`) has type int64, but operand 0 (`A`) has float, and both are `T`");
    insta::assert_snapshot!(check_types(13, Node::new("Reshape", 1), &types(&[DType::Float, DType::Int32])), @"Error: Reshape `n`: operand 1 (`shape`) has type int32, expected one of: int64");
    let sequence = [Some(Type::Sequence(Box::new(tensor(DType::Float))))];
    insta::assert_snapshot!(check_types(13, Node::new("Relu", 1), &sequence), @"Error: Relu `n`: operand 0 (`X`) has type seq(float), expected one of: floats bfloat16");
    insta::assert_snapshot!(check_types(13, Node::new("Identity", 1), &sequence), @"Error: Identity `n`: operand 0 (`input`) has type seq(float), expected one of: bool string floats bfloat16 ints uints complexes");
    assert_eq!(check_types(14, Node::new("Identity", 1), &sequence), "");
    // A mixed list has no one type that its parameter stands for.
    let body = Attr::new("body", AttrValue::Graph(Box::default()));
    let carried = types(&[DType::Int64, DType::Bool, DType::Float, DType::Int32]);
    assert_eq!(check_types(13, Node::new("Loop", 2).with(body), &carried), "");
}

#[test]
fn results_are_bound_too() {
    let result = Port::new("y", tensor(DType::Int64));
    insta::assert_snapshot!(check(13, Node::new("Relu", 0).with_ports([result.clone()]), 1), @"Error: Relu `n`: result 0 (`Y`) has type int64, expected one of: floats bfloat16");
    let cast = Node::new("Cast", 0).with_ports([result]).with(Attr::int("to", DType::Int64.code()));
    assert_eq!(check(13, cast, 1), "");
}

/// A hostile node cannot fill the memory with complaints, nor take quadratic time to complain.
#[test]
fn findings_of_one_node_are_bounded() {
    let mut node = Node::new("Relu", 1);
    node.attrs = (0..100_000).map(|index| Attr::int(format!("a{}", index % 50_000), 0)).collect();
    let report = check(13, node, 1);
    assert_eq!(report.lines().count(), 17);
    insta::assert_snapshot!(report.lines().last().unwrap_or_default(), @"Error: Relu `n`: 149984 more findings of this node");
}

/// The table speaks for one release of onnxruntime; files come from all of them.
#[test]
fn what_is_onnxruntime_s_is_only_warned_of() {
    insta::assert_snapshot!(check(13, Node::new("Gelu", 1).in_domain("com.microsoft"), 2), @"Warning: Gelu `n`: operands: found 2, expected 1");
    insta::assert_snapshot!(check(13, Node::new("SoftmaxGrad", 1).in_domain("com.microsoft"), 2), @"Warning: SoftmaxGrad `n`: com.microsoft has no such operator");
    insta::assert_snapshot!(check(13, Node::new("SimplifiedLayerNormalization", 1), 1), @r"
    Warning: SimplifiedLayerNormalization `n`: ai.onnx has no such operator at version 13; it is an extension of onnxruntime's
    Warning: SimplifiedLayerNormalization `n`: operands: found 1, expected 2
    ");
}

#[test]
fn imports_are_looked_at_once() {
    let mut none = model(&[]);
    let x = input(&mut none.graph, "x", Type::Unknown);
    none.graph.add_node(Node::new("Abs", 1), &[Some(x)]);
    none.graph.add_node(Node::new("Abs", 1), &[Some(x)]);
    insta::assert_snapshot!(report(&none), @"Warning: the model: domain ai.onnx is used, but not imported; version 1 is taken");
    none.graph.add_node(Node::new("Gelu", 2), &[Some(x)]);
    insta::assert_snapshot!(report(&none), @r"
    Warning: the model: domain ai.onnx is used, but not imported; version 1 is taken
    Warning: Gelu: the operator came with version 20 of ai.onnx, but the version here is 1
    ");
    // What this version may have changed about the operator is not known.
    insta::assert_snapshot!(check(99, Node::new("Relu", 1), 2), @r"
    Warning: the model: version 99 of ai.onnx is imported, the newest known is 28
    Warning: Relu `n`: operands: found 2, expected 1
    ");
}

#[test]
fn subgraphs_and_functions_are_sites() {
    let mut model = model(&[("", 13)]);
    let mut inner = Graph::new(Arc::clone(&model.graph.opsets));
    let value = input(&mut inner, "v", Type::Unknown);
    inner.add_node(Node::new("Add", 1).named(Some("a".into())), &[Some(value)]);
    inner.add_node(Node::new("Odd", 1).in_domain("theirs"), &[]);
    let condition = input(&mut model.graph, "c", tensor(DType::Bool));
    let branch = |name: &'static str, graph: &Graph| Attr::new(name, AttrValue::Graph(Box::new(graph.clone())));
    let choice = Node::new("If", 1).with(branch("then_branch", &inner)).with(branch("else_branch", &Graph::default()));
    model.graph.add_node(choice.named(Some("choice".into())), &[Some(condition)]);
    model.functions.push(Function {
        domain: "mine".into(),
        name: "f".into(),
        overload: Name::empty(),
        required: vec!["alpha".into()],
        defaults: Vec::new(),
        body: inner,
        carried: Carried::none(),
    });
    model.graph.opsets = Arc::new(Opsets::new(vec![(Name::empty(), 13), ("mine".into(), 1)]));
    let call = Node::new("f", 1).in_domain("mine").named(Some("call".into()));
    model.graph.add_node(call, &[Some(condition), Some(condition)]);
    insta::assert_snapshot!(report(&model), @r"
    Error: Add `a` in `then_branch` of If `choice`: operands: found 1, expected 2
    Warning: the model: domain theirs is used, but not imported; version 1 is taken
    Error: f `call`: operands: found 2, expected 0 to 1
    Error: f `call`: results: found 1, expected 0
    Error: f `call`: attribute `alpha` is not given, but required
    Error: Add `a` in function `f`: operands: found 1, expected 2
    Warning: function `f`: domain theirs is used, but not imported; version 1 is taken
    ");
}
