//! Models that decode and make no sense.

use insta::assert_snapshot;
use onnxpress::proto::Message as _;
use onnxpress::proto::schema::GraphProto;

use crate::small_models::{add, call, float, function, graph, ints, model, node, opset, relu, weight};
use crate::workplace::{Workplace, invalid};

#[test]
fn a_value_that_depends_on_itself() {
    let nodes = vec![node("Add", &["x", "b"], &["a"]), node("Relu", &["a"], &["b"]), node("Abs", &["b"], &["y"])];
    assert_snapshot!(invalid(&model(graph(nodes, Vec::new()))), @"
    error: model.onnx: not a valid model:
      the graph has a cycle through Relu `b`, Add `a`
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
}

#[test]
fn names_that_are_given_twice() {
    let twice = vec![node("Relu", &["x"], &["y"]), node("Abs", &["x"], &["y"])];
    assert_snapshot!(invalid(&model(graph(twice, Vec::new()))), @"
    error: model.onnx: graph `g`: `y` is defined twice, as output 0 of Relu `y` and as output 0 of Abs `y`
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
    let weights = vec![weight("x", &[1], &[1.0]), weight("y", &[1], &[2.0])];
    assert_snapshot!(invalid(&model(graph(vec![node("Add", &["x", "x"], &["y"])], weights))), @"
    error: model.onnx: graph `g`: `y` is defined twice, as constant `y` and as output 0 of Add `y`
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
    assert_snapshot!(invalid(&model(graph(vec![node("Relu", &["x"], &["x"])], Vec::new()))), @"
    error: model.onnx: graph `g`: `x` is defined twice, as input `x` and as output 0 of Relu `x`
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
}

#[test]
fn a_value_that_nothing_makes() {
    assert_snapshot!(invalid(&model(graph(vec![node("Relu", &["z"], &["y"])], Vec::new()))), @"
    error: model.onnx: graph `g`: Relu `y`: input 0 `z` is never defined
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
    assert_snapshot!(invalid(&model(graph(vec![node("Relu", &["x"], &["z"])], Vec::new()))), @"
    error: model.onnx: graph `g`: output 0 `y` is never defined
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
}

#[test]
fn operands_of_the_wrong_rank() {
    let nodes = vec![node("Conv", &["x", "w"], &["y"])];
    assert_snapshot!(invalid(&model(graph(nodes, vec![weight("w", &[1, 3, 1, 1], &[1.0; 3])]))), @"
    error: model.onnx: not a valid model:
      Conv `y`: X[2,3] and W[1,3,1,1] are not of one rank of at least 3
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
    let mut reshape = node("Transpose", &["x"], &["y"]);
    reshape.attribute.push(ints("perm", &[0, 1, 2]));
    assert_snapshot!(invalid(&model(graph(vec![reshape], Vec::new()))), @"
    error: model.onnx: not a valid model:
      Transpose `y`: `perm` has 3 entries for a tensor of rank 2
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
}

#[test]
fn extents_whose_product_is_beyond_all_numbers() {
    let huge = 1 << 40;
    assert_snapshot!(invalid(&add(weight("w", &[huge, huge], &[1.0]))), @"
    error: model.onnx: initializer `w`: extents [1099511627776, 1099511627776] have more elements than memory can hold
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
    assert_snapshot!(invalid(&add(weight("w", &[i64::MAX], &[1.0]))), @"
    error: model.onnx: initializer `w`: extents [9223372036854775807] have more elements than memory can hold
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
    // Of an input nothing is stored, so nothing is wrong with it yet; only no number may overflow on the way.
    let mut vast = relu();
    let graph = vast.graph.as_mut().unwrap();
    (graph.input[0], graph.output[0]) = (float("x", &[huge, huge]), float("y", &[huge, huge]));
    let place = Workplace::with_model(&vast);
    place.run(["inspect", "model.onnx"]).assert_done();
    place.run(["opt", "model.onnx", "-o", "out.onnx", "-p", ""]).assert_done();
    assert_eq!(place.read("out.onnx"), place.read("model.onnx"));
}

#[test]
fn extents_below_zero() {
    assert_snapshot!(invalid(&add(weight("w", &[-3], &[1.0; 3]))), @"
    error: model.onnx: initializer `w`: an extent of -3
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
    let mut model = relu();
    model.graph.as_mut().unwrap().input[0] = float("x", &[2, -3]);
    assert_snapshot!(invalid(&model), @"
    error: model.onnx: input `x`: an extent of -3, expected none below zero (-1 is taken for not known)
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
}

#[test]
fn weights_that_are_not_what_their_type_takes() {
    assert_snapshot!(invalid(&add(weight("w", &[2, 3], &[1.0; 5]))), @"
    error: model.onnx: initializer `w`: 20 bytes of data, but float[2, 3] takes 24
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
    let mut unknown = weight("w", &[1], &[1.0]);
    unknown.data_type = Some(77);
    assert_snapshot!(invalid(&add(unknown)), @"
    error: model.onnx: initializer `w`: element type 77 is not one of the standard
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
}

#[test]
fn functions_that_call_themselves() {
    let mut model = model(graph(vec![call("f", "x", "y")], Vec::new()));
    model.opset_import.push(opset("local", 1));
    model.functions = vec![function("f", vec![call("g", "a", "b")]), function("g", vec![call("f", "a", "b")])];
    assert_snapshot!(invalid(&model), @"
    error: model.onnx: not a valid model:
      function `local.f` calls function `local.g` calls function `local.f` without end
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
}

#[test]
fn operator_sets_that_are_not_known() {
    let with = |version| {
        let mut model = relu();
        model.opset_import = vec![opset("", version)];
        model
    };
    assert_snapshot!(invalid(&with(99)), @"
    error: model.onnx: the model uses version 99 of the operators of ai.onnx, expected 1 to 28, the newest known here
      help: export the model for a version known here, or use a newer onnxpress
    ");
    assert_snapshot!(invalid(&with(0)), @"
    error: model.onnx: the model uses version 0 of the operators of ai.onnx, expected 1 to 28, the newest known here
      help: export the model for a version known here, or use a newer onnxpress
    ");
    assert_snapshot!(invalid(&with(i64::MIN)), @"
    error: model.onnx: the model uses version -9223372036854775808 of the operators of ai.onnx, expected 1 to 28, the newest known here
      help: export the model for a version known here, or use a newer onnxpress
    ");
    let mut none = relu();
    none.opset_import.clear();
    assert_snapshot!(invalid(&none), @"
    error: model.onnx: the model does not say which version of the operators it uses (no opset_import)
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
}

#[test]
fn a_model_without_a_graph() {
    let mut bare = relu();
    bare.graph = None;
    assert_snapshot!(invalid(&bare), @"
    error: model.onnx: the model has no graph
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
}

#[test]
fn nodes_that_are_not_as_their_operator_wants_them() {
    let one = |node| invalid(&model(graph(vec![node], Vec::new())));
    assert_snapshot!(one(node("", &["x"], &["y"])), @"
    error: model.onnx: node `y`: the node has no operator (op_type)
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
    assert_snapshot!(one(node("Relu", &["x", "x"], &["y"])), @"
    error: model.onnx: not a valid model:
      Relu `y`: operands: found 2, expected 1
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
    assert_snapshot!(one(node("Concat", &["x", "x"], &["y"])), @"
    error: model.onnx: not a valid model:
      Concat `y`: attribute `axis` is not given, but required
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
}

/// What an exporter of tomorrow may write is none of our business, and not hidden either.
#[test]
fn operators_and_attributes_that_nobody_knows_are_noticed_and_kept() {
    let mut strided = node("Relu", &["x"], &["y"]);
    strided.attribute.push(ints("strides", &[1]));
    for (node, notice) in [
        (node("Frobnicate", &["x"], &["y"]), "notice: Frobnicate `y`: ai.onnx has no such operator"),
        (strided, "notice: Relu `y`: the operator has no attribute `strides`"),
    ] {
        let place = Workplace::with_model(&model(graph(vec![node], Vec::new())));
        let outcome = place.run(["opt", "model.onnx", "-o", "out.onnx", "-p", ""]);
        assert!(outcome.assert_done().stderr.lines().any(|line| line == notice), "{}", outcome.stderr);
        assert_eq!(place.read("out.onnx"), place.read("model.onnx"));
    }
}

/// Optimizers of some exporters write such files; of constants of one name the last counts, as in onnxruntime.
#[test]
fn constants_of_one_name_are_the_one_exception() {
    let weights = vec![weight("w", &[1], &[1.0]), weight("w", &[1], &[2.0])];
    let place = Workplace::with_model(&model(graph(vec![node("Add", &["x", "w"], &["y"])], weights)));
    place.run(["opt", "model.onnx", "-o", "out.onnx", "-p", ""]).assert_done();
    assert_eq!(place.read("out.onnx"), place.read("model.onnx"));
}

#[test]
fn several_faults_are_told_together() {
    let nodes = vec![node("Relu", &["x", "x"], &["a"]), node("Concat", &["a", "x"], &["y"])];
    assert_snapshot!(invalid(&model(graph(nodes, Vec::new()))), @"
    error: model.onnx: not a valid model:
      Relu `a`: operands: found 2, expected 1
      Concat `y`: attribute `axis` is not given, but required
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
}

#[test]
fn a_graph_without_nodes_is_a_model() {
    // The standard asks for no node: a graph may hand its input on, or do nothing at all.
    let hands_on =
        GraphProto { input: vec![float("x", &[2])], output: vec![float("x", &[2])], ..graph(Vec::new(), Vec::new()) };
    let nothing = GraphProto { name: Some("nothing".into()), ..Default::default() };
    for graph in [hands_on, nothing] {
        let message = model(graph);
        let place = Workplace::with_model(&message);
        for pipeline in ["", "simplify"] {
            place.run(["opt", "model.onnx", "-o", "out.onnx", "-p", pipeline]).assert_done();
            assert_eq!(place.read("out.onnx"), message.encode_to_vec());
        }
        place.run(["inspect", "model.onnx"]).assert_done();
    }
}

#[test]
fn operators_of_unknown_domains_pass_through() {
    let mut custom = call("Frobnicate", "x", "y");
    custom.domain = Some("com.example".into());
    let mut message = model(graph(vec![custom], Vec::new()));
    message.opset_import.push(opset("com.example", 3));
    let place = Workplace::with_model(&message);
    let outcome = place.run(["opt", "model.onnx", "-o", "out.onnx", "-p", ""]);
    outcome.assert_done();
    assert_eq!(place.read("out.onnx"), place.read("model.onnx"));
    let notices: Vec<_> = outcome.stderr.lines().filter(|line| line.contains("com.example")).collect();
    assert_snapshot!(notices.join("\n"), @"");
}
