//! Which values keep their names, which get new ones, and that the result can be written.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::Arc;

use insta::assert_snapshot;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;

use super::*;
use crate::graph::Origin;
use crate::text::tests::any_model;

/// The graph of a text whose values have lost their names where these begin with `_`.
fn graph(text: &str) -> Graph {
    let mut graph = Graph::from_text(text).unwrap();
    forget(&mut graph);
    graph
}

fn forget(graph: &mut Graph) {
    let values: Vec<_> = graph
        .vertices()
        .flat_map(|(id, vertex)| (0..vertex.ports().len() as u32).map(move |port| id.port(port)))
        .collect();
    for value in values {
        if graph.port(value).name.as_ref().is_some_and(|name| name.as_bytes().starts_with(b"_")) {
            graph.set_name(value, None);
        }
    }
    let holders: Vec<_> = graph.nodes().filter(|(_, node)| node.has_subgraphs()).map(|(id, _)| id).collect();
    holders.into_iter().for_each(|id| graph.subgraphs_mut(id).for_each(forget));
}

/// Gives names and prints; the text must be the one that the graph has without them.
fn named(graph: Graph) -> String {
    let planned = graph.to_text();
    let mut model = Model { graph, ..Model::default() };
    assign_names(&mut model);
    assert_eq!(model.graph.to_text(), planned, "printing plans what is carried out here");
    let revision = model.revision();
    assert_eq!(assign_names(&mut model), Assigned::default());
    assert_eq!(model.revision(), revision, "a model that has its names is not changed");
    planned
}

fn value(graph: &Graph, name: &str) -> ValueId {
    let found = graph.vertices().find_map(|(id, vertex)| {
        let port = vertex.ports().iter().position(|port| port.name.as_ref().is_some_and(|own| *own == name))?;
        Some(id.port(port as u32))
    });
    found.unwrap()
}

#[test]
fn a_value_without_a_name_is_called_after_its_node_or_operator() {
    assert_snapshot!(named(graph("g (x) => (y) <float[1] _w = {1}> {
        [conv1] _a = Conv (x, _w) _b = Relu (_a) _c = Relu (_b) [split] _d, _e = Split (_c) relu_1 = Neg (_e) y = Add (_d, relu_1) }")), @"
    g (x) => (y)
    <float[1] constant = {1}>
    {
      [conv1] conv1_output = Conv(x, constant)
      relu = Relu(conv1_output)
      relu_2 = Relu(relu)
      [split] split_output_0, split_output_1 = Split(relu_2)
      relu_1 = Neg(split_output_1)
      y = Add(split_output_0, relu_1)
    }
    ");
}

#[test]
fn names_of_the_file_win_over_those_of_passes() {
    let mut g = graph("g (x) => (y) { a = Relu (x) b = Neg (a) y = Abs (b) }");
    let (a, b) = (value(&g, "a"), value(&g, "b"));
    g.node_mut(a.node).origin = Some(Arc::new(Origin { rule: "test", from: Vec::new() }));
    g.set_name(a, Some(Name::from("b")));
    assert_eq!(g.port(b).name, g.port(a).name);
    assert_snapshot!(named(g), @"
    g (x) => (y) {
      b_1 = Relu(x)
      b = Neg(b_1)
      y = Abs(b)
    }
    ");
}

#[test]
fn of_two_constants_of_one_name_the_one_that_is_read_keeps_it() {
    assert_snapshot!(named(graph("g (x) => (y) { k = Constant <value = float {1}> () k = Constant <value = float {2}> () y = Add (x, k) }")), @"
    g (x) => (y) {
      k_1 = Constant <value = float {1}> ()
      k = Constant <value = float {2}> ()
      y = Add(x, k)
    }
    ");
}

#[test]
fn a_computed_value_bears_the_name_of_the_output_that_gives_it_out() {
    let mut g = graph("g (x) => (y) { y = Relu (x) other = Neg (y) }");
    let other = value(&g, "other");
    let output = g.outputs()[0];
    g.connect(output, Slot::Operand(0), Some(other));
    assert_snapshot!(named(g), @"
    g (x) => (y) {
      y_1 = Relu(x)
      y = Neg(y_1)
    }
    ");
}

#[test]
fn an_output_of_another_name_needs_a_node_in_between() {
    let mut g =
        graph("g (x) => (y, z, u, v, w) <float[1] w = {1}> { y = Relu (x) z = Neg (y) u = Abs (z) v = Exp (u) }");
    let [y, z, u, v, w] = g.outputs() else { panic!() };
    let (y, z, u, v, w) = (*y, *z, *u, *v, *w);
    let values = [(z, value(&g, "y")), (u, value(&g, "x")), (v, value(&g, "w")), (w, value(&g, "w"))];
    values.into_iter().for_each(|(output, value)| {
        g.connect(output, Slot::Operand(0), Some(value));
    });
    assert!(g.operand(y, 0).is_some());
    assert_snapshot!(named(g), @"
    g (x) => (y, z, u, v, w)
    <float[1] w = {1}>
    {
      y = Relu(x)
      z_1 = Neg(y)
      u_1 = Abs(z_1)
      v_1 = Exp(u_1)
      z = Identity(y)
      u = Identity(x)
      v = Identity(w)
    }
    ");
}

#[test]
fn what_a_subgraph_captures_is_called_as_outside() {
    let mut g = graph(
        "g (bool c, x) => (y) { t = Relu (x) y = If (c) <then_branch = b () => (u) { s = Add (t, x) u = Neg (s) }> }",
    );
    // Outside, a pass gave the captured value a name that the subgraph has for another.
    let t = value(&g, "t");
    g.set_name(t, Some(Name::from("s")));
    assert_snapshot!(named(g), @"
    g (bool c, x) => (y) {
      s = Relu(x)
      y = If(c) <
        then_branch = b () => (u) {
          s_1 = Add(s, x)
          u = Neg(s_1)
        }
      >
    }
    ");
    // So did one with the name of the subgraph's output, which goes by position.
    let mut g = graph(
        "g (bool c, x) => (y) { t = Relu (x) y = If (c) <then_branch = b () => (u) { u = Neg (t) }, else_branch = e () => (v) { v = Id (t) }> }",
    );
    let t = value(&g, "t");
    g.set_name(t, Some(Name::from("u")));
    assert_snapshot!(named(g), @"
    g (bool c, x) => (y) {
      u = Relu(x)
      y = If(c) <
        then_branch = b () => (u_1) {
          u_1 = Neg(u)
        },
        else_branch = e () => (v) {
          v = Id(u)
        }
      >
    }
    ");
    // A branch that gives out what it captures needs a node for that.
    let mut g = graph("g (bool c, x) => (y) { y = If (c) <then_branch = b () => (u) { u = Neg (x) }> }");
    let holder = value(&g, "y").node;
    g.subgraphs_mut(holder).for_each(|inner| {
        let (captured, output) = (inner.captures().next().unwrap().0.port(0), inner.outputs()[0]);
        inner.connect(output, Slot::Operand(0), Some(captured));
    });
    assert_snapshot!(named(g), @"
    g (bool c, x) => (y) {
      y = If(c) <
        then_branch = b () => (u) {
          u_1 = Neg(x)
          u = Identity(x)
        }
      >
    }
    ");
}

#[test]
fn a_new_name_is_equal_to_none_in_the_model() {
    let mut model = Model::from_text("<ir_version: 10, opset_import: [\"\" : 21, \"l\" : 1]> g (x, relu) => (y) { _a = Relu (x) y = l.f (_a, relu) }
        <domain: \"l\", opset_import: [\"\" : 21]> f (relu_1, x) => (y) { _b = Relu (relu_1) y = Loop (_b, x) <body = b (relu_2) => (relu_3) { relu_3 = Neg (relu_2) }> }").unwrap();
    forget(&mut model.graph);
    forget(&mut model.functions[0].body);
    assert_eq!(assign_names(&mut model), Assigned { named: 2, identities: 0 });
    assert_snapshot!(model.to_text(), @r#"
    <ir_version: 10, opset_import: ["" : 21, "l" : 1]>
    g (x, relu) => (y) {
      relu_4 = Relu(x)
      y = l.f(relu_4, relu)
    }

    <domain: "l", opset_import: ["" : 21]>
    f (relu_1, x) => (y) {
      relu_5 = Relu(relu_1)
      y = Loop(relu_5, x) <
        body = b (relu_2) => (relu_3) {
          relu_3 = Neg(relu_2)
        }
      >
    }
    "#);
}

fn is_interface(vertex: &Vertex) -> bool {
    match vertex {
        Vertex::Constant(constant) => matches!(constant.form, ConstantForm::ListedAsInput { .. }),
        vertex => matches!(vertex, Vertex::Input(_)),
    }
}

/// Does to names, recursively, what passes might: takes some away, doubles others, makes outputs give out anything.
fn scramble(graph: &mut Graph, picks: &mut impl Iterator<Item = (Index, u8)>, main: bool) {
    let mut values = Vec::new();
    for (id, vertex) in graph.vertices() {
        let fixed = main && is_interface(vertex);
        let live = vertex.ports().iter().enumerate().filter(|(_, port)| !port.omitted);
        values.extend(live.map(|(port, _)| (id.port(port as u32), fixed)));
    }
    let names = ["x", "y", "relu", "output"];
    for &(value, fixed) in &values {
        match picks.next() {
            Some((_, 0)) if !fixed => graph.set_name(value, None),
            Some((index, 1 | 2)) if !fixed => graph.set_name(value, Some(Name::from(*index.get(&names)))),
            Some((index, 3)) if !fixed => {
                let other = graph.port(index.get(&values).0).name.clone();
                graph.set_name(value, other);
            }
            _ => {}
        }
    }
    for output in graph.outputs().to_vec() {
        if let Some((index, 0..3)) = picks.next() {
            graph.connect(output, Slot::Operand(0), Some(index.get(&values).0));
        }
    }
    let holders: Vec<_> = graph.nodes().filter(|(_, node)| node.has_subgraphs()).map(|(id, _)| id).collect();
    for id in holders {
        graph.subgraphs_mut(id).for_each(|inner| scramble(inner, picks, false));
    }
}

/// Every value has a name of its own in its graph, captures have that of what they capture, outputs that of their value.
fn check(graph: &Graph, around: Option<(&Graph, NodeId)>) {
    let mut holders: HashMap<Name, ValueId> = HashMap::new();
    for (id, vertex) in graph.vertices() {
        for (index, port) in (0u32..).zip(vertex.ports()).filter(|(_, port)| !port.omitted) {
            let name = port.name.clone().filter(|name| !name.is_empty()).expect("a name");
            let value = id.port(index);
            match vertex {
                Vertex::Capture(capture) => {
                    let (outer, holder) = around.unwrap();
                    let captured = outer.implicit_operands(holder).nth(capture.operand as usize).flatten().unwrap();
                    assert_eq!(Some(&name), outer.port(captured).name.as_ref());
                }
                _ => assert_eq!(holders.insert(name, value), None),
            }
        }
        if let Vertex::Node(node) = vertex {
            node.subgraphs().for_each(|inner| check(inner, Some((graph, id))));
        }
    }
    for (_, capture) in graph.captures() {
        assert!(!holders.contains_key(capture.port.name.as_ref().unwrap()), "no definition hides what is captured");
    }
    for &output in graph.outputs() {
        assert_eq!(Some(&graph.output(output).name), graph.port(graph.operand(output, 0).unwrap()).name.as_ref());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_passes_do_to_names_the_model_can_be_written(
        mut model in any_model(),
        picks in proptest::collection::vec((any::<Index>(), 0u8..9), 200),
    ) {
        // Two outputs of one name, or one of an input's name, could only give out one value.
        let interface = |graph: &Graph| {
            let outputs = graph.outputs().iter().map(|&id| graph.output(id).name.clone());
            let inputs = graph.vertices().filter(|(_, vertex)| is_interface(vertex));
            let inputs = inputs.filter_map(|(id, _)| graph.port(id.port(0)).name.clone());
            let mut all: Vec<_> = outputs.chain(inputs).collect();
            all.sort();
            all.windows(2).all(|pair| pair[0] != pair[1]) && all.iter().all(|name| !name.is_empty())
        };
        prop_assume!(interface(&model.graph) && model.functions.iter().all(|function| interface(&function.body)));
        let before = (model.graph.inputs().len(), model.graph.outputs().len());
        let mut picks = picks.into_iter();
        scramble(&mut model.graph, &mut picks, true);
        for function in &mut model.functions {
            scramble(&mut function.body, &mut picks, true);
        }
        let planned = model.to_text();
        let interface: Vec<_> = model.graph.outputs().iter().map(|&id| model.graph.output(id).name.clone()).collect();
        assign_names(&mut model);
        check(&model.graph, None);
        model.functions.iter().for_each(|function| check(&function.body, None));
        prop_assert_eq!(before, (model.graph.inputs().len(), model.graph.outputs().len()));
        let after: Vec<_> = model.graph.outputs().iter().map(|&id| model.graph.output(id).name.clone()).collect();
        prop_assert_eq!(after, interface, "the interface keeps its names");
        prop_assert_eq!(model.to_text(), planned);
        prop_assert_eq!(assign_names(&mut model), Assigned::default());
    }
}
