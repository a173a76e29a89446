//! One model a rule, and one that breaks none.

#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use insta::assert_snapshot;

use super::*;
use crate::dtype::DType;
use crate::graph::{Node, Port, Slot};
use crate::tensor::Tensor;

/// The findings, errors marked.
fn found(findings: Vec<Finding>) -> String {
    let text = |finding: Finding| format!("{:?} {finding}\n", finding.severity);
    findings.into_iter().map(text).collect()
}

fn of(text: &str) -> String {
    found(verify(&Model::from_text(text).unwrap()))
}

fn graph(text: &str) -> Graph {
    Graph::from_text(text).unwrap()
}

#[test]
fn a_sound_model_has_no_findings() {
    assert_snapshot!(of("<ir_version: 10, opset_import: [\"\" : 21, \"l\" : 1]>
        g (bool c, float[N] x, float[2] d = {1, 2}) => (float[N] y, float[2] d, float[N] x2)
        <sparse_tensor(float[2,2]) s = float[2] {1, 2} at int64[2,2] {0, 1, 1, 0}, float[N] t>
        { t = l.f <a = 1> (x) y = If (c) <then_branch = b () => (z) { z = Add(t, x) }, else_branch = e () => (t) {}> x2 = Op(s, x) }
        <domain: \"l\", opset_import: [\"\" : 21]> f <a, b: float = 1> (x) => (y) { y = Op <a: int = @a, b: float = @b> (x) }"), @"");
}

#[test]
fn edges_that_are_out_of_step_are_found_before_anything_is_asked_of_them() {
    let mut g = graph("g (float x) => (float y, float z) { t = A(x, x) y = B(t) z = C(x) }");
    let (t, _) = g.nodes().next().unwrap();
    *g.node_mut(t) = Node::new("Other", 0);
    assert_snapshot!(found(verify_graph(&g)), @"
    Error B `y`: the graph is out of step: operand 0 reads output 0 of Other, which has no such output
    Error Other: the graph is out of step: an edge from input `x` leads to operand 0, which it does not have
    Error Other: the graph is out of step: an edge from input `x` leads to operand 1, which it does not have
    ");

    let mut g = graph("g (float x) => (float y) { t, u = A(x) y = B(u) }");
    let (t, node) = g.nodes().next().unwrap();
    let mut ports: Vec<_> = node.ports().to_vec();
    ports[1].omitted = true;
    *g.node_mut(t) = g.node(t).unwrap().clone().with_ports(ports);
    assert_snapshot!(found(verify_graph(&g)), @"Error B `y`: the graph is out of step: operand 0 reads output 1 of A `t`, which has no such output");

    let mut g = graph("g (float x) => (float y) { y = A(x) }");
    g.connect(g.outputs()[0], Slot::Operand(0), None);
    assert_snapshot!(found(verify_graph(&g)), @"Error output `y`: the graph is out of step: it gives nothing out");
}

#[test]
fn cycles_are_found_in_subgraphs_and_through_them() {
    assert_snapshot!(of("g () => (float y) { y = A(t) t = B(u) u = C(t) }"), @"Error the graph has a cycle through C `u`, B `t`");
    assert_snapshot!(of("g (bool c) => (float y) { y = If (c) <then_branch = b () => (y) {}> }"), @"Error the graph has a cycle through If `y`");
    assert_snapshot!(of("g (bool c) => (float y) { y = If (c) <then_branch = b () => (z) { z = A(w) w = A(z) }> }"), @"Error `then_branch` of If `y`: the graph has a cycle through A `w`, A `z`");
}

#[test]
fn interfaces_need_names_that_are_their_own() {
    let mut g = graph("g (float x, float u, float v) => (float y, float z, y) { y = A(x) z = B(x) }");
    let (a, b) = (g.inputs()[1], g.inputs()[2]);
    g.set_name(a.port(0), None);
    g.set_name(b.port(0), Some(Name::from("x")));
    let output = g.outputs()[1];
    g.output_mut(output).name = Name::from("y");
    assert_snapshot!(found(verify_graph(&g)), @"
    Error input `v1.1:0`: it has no name
      float input
    Error input `x`: `x` is the name of input `x` too
      float x
    Error output `y`: `y` is the name of A `y` too
      float y
    Warning output `y`: its type is not declared
      y
    ");
}

#[test]
fn declarations_must_be_able_to_be_true() {
    assert_snapshot!(of("g (float[2] x, float[2] d, e) => (int64[3] w, y) <float[2] w = {1, 2}, double[2] d = {1, 2}, int8 x> { y = A(e) }"), @"
    Error input `d`: its default contradicts what is known: double[2] is not float[2]
      float[2] d
    Warning input `e`: its type is not declared
      e
    Error output `w`: its declared type contradicts what is known: int64[3] is not float[2]
      int64[3] w
    Warning output `y`: its type is not declared
      y
    Error input `x`: its declared type contradicts what is known: int8[] is not float[2]
      float[2] x
    ");
    assert_snapshot!(of("g () => (float[3] w, float[M] v) <float[2] w = {1, 2}, float[3] v = {1, 2, 3}> {}"), @"
    Warning output `w`: its declared type contradicts what is known: axis 0: found extent 2, expected 3
      float[3] w
    ");
}

#[test]
fn constants_are_of_their_tensors_types() {
    let mut g = graph("g () => (float[2] w) <float[2] w = {1, 2}> {}");
    let (id, _) = g.constants().next().unwrap();
    g.constant_mut(id).value =
        ConstantValue::Dense(Tensor::from_bytes(DType::Int8, &[1], Bytes::from_static(&[0])).unwrap());
    assert_snapshot!(found(verify_graph(&g)), @"
    Error constant `w`: its type is float[2], but its tensor is int8[1]
      int8[1] w = {0}
    ");
    let sparse = |text: &str| {
        let g = graph(&format!("g () => (w) <sparse_tensor(float[2,3]) w = {text}> {{}}"));
        let faults: Vec<_> =
            verify_graph(&g).into_iter().filter(|finding| finding.severity == Severity::Error).collect();
        faults
            .first()
            .map(|finding| finding.problem.to_string())
            .unwrap_or_default()
            .replace("its sparse tensor is malformed: ", "")
    };
    assert_eq!(sparse("float[2] {1, 2} at int64[2] {0, 5}"), "");
    assert_eq!(sparse("float[0] {} at int64[0] {}"), "");
    assert_eq!(sparse("float[2,1] {1, 2} at int64[2] {0, 5}"), "the stored elements are no list");
    assert_eq!(sparse("float[2] {1, 2} at int32[2] {0, 5}"), "the indices are no int64");
    assert_eq!(sparse("float[2] {1, 2} at int64[3] {0, 1, 5}"), "there are more or fewer indices than stored elements");
    assert_eq!(sparse("float[2] {1, 2} at int64[2] {0, 6}"), "an index is outside the extents");
    assert_eq!(sparse("float[2] {1, 2} at int64[2] {5, 0}"), "the indices do not ascend");
    assert_eq!(sparse("float[2] {1, 2} at int64[2,2] {0, 3, 1, 0}"), "an index is outside the extents");
    assert_eq!(sparse("float[2] {1, 2} at int64[2,2] {1, 0, 0, 2}"), "the indices do not ascend");
}

#[test]
fn captures_lead_to_the_node_around() {
    let text = "g (bool c, float x) => (float y) { y = If (c) <then_branch = b () => (z) { z = Neg(x) }> }";
    let mut g = graph(text);
    let (holder, _) = g.nodes().next().unwrap();
    let extra = g.inputs()[0].port(0);
    g.add_implicit_operand(holder, extra);
    g.subgraphs_mut(holder).for_each(|inner| {
        inner.add_capture(7, Port::default());
    });
    assert_snapshot!(found(verify_graph(&g)), @"
    Error captured `v3.3:0` in `then_branch` of If `y`: it captures implicit operand 7, but the node around has 2
      captured
    Warning If `y`: no subgraph captures its implicit operand 1
      y = If(c) <then_branch = {…}>
    ");
    let inner = graph(text).nodes().next().unwrap().1.subgraphs().next().unwrap().clone();
    assert_snapshot!(found(verify_graph(&inner)), @"
    Warning output `z`: its type is not declared
      z
    Error captured `x`: nothing is around the graph from which it could be captured
      float x
    ");
}

#[test]
fn functions_are_there_once_and_do_not_call_themselves() {
    assert_snapshot!(of("<ir_version: 10, opset_import: [\"\" : 21, \"l\" : 1]> g () => () { = Op <k: int = @k> () }
        <domain: \"l\", opset_import: [\"l\" : 1]> f <a, a: int = 1> (x) => (y) { y = l.g (x) }
        <domain: \"l\", opset_import: [\"l\" : 1]> g <b: int = 1> (x) => (y) { y = If (x) <body = b () => (z) { z = l.h (x) }, k: int = @k, b: float = @b> }
        <domain: \"l\", opset_import: [\"l\" : 1]> h (x) => (y) { t = l.f (x) y = l.h (t) }
        <domain: \"l\", opset_import: [\"l\" : 1]> h (x) => (y) { y = l.h:other (x) }"), @"
    Error Op: attribute `k` refers to `k` of a function, but is in none
      = Op <k: int = @k> ()
    Error If `y` in function `l.g`: attribute `k` refers to `k`, which the function does not have
      y = If(x) <body = {…}, k: int = @k, b: float = @b>
    Error If `y` in function `l.g`: attribute `b` refers to `b` as float, but its default is int
      y = If(x) <body = {…}, k: int = @k, b: float = @b>
    Error function `l.f`: its attribute `a` is there twice
    Error function `l.h`: there is another function of the same domain, name and overload
    Error function `l.f` calls function `l.g` calls function `l.h` calls function `l.f` without end
    Error function `l.h` calls function `l.h` without end
    ");
}

#[test]
fn what_is_said_of_one_vertex_is_bounded() {
    let attributes: Vec<_> = (0..1000).map(|number| format!("a{number}: int = @b")).collect();
    let findings = verify_graph(&graph(&format!("g () => () {{ = Op <{}> () }}", attributes.join(", "))));
    assert_eq!(findings.len(), MAX_FINDINGS + 1);
    assert_eq!(findings[MAX_FINDINGS].problem, Problem::More);
    assert!(findings.iter().all(|finding| finding.line.as_ref().unwrap().chars().count() == MAX_SHOWN + 1));
}
