//! Calls of a model's own functions, inferred and run.

#![allow(clippy::unwrap_used, clippy::panic)]

use onnxpress_ir::{Model, Tensor, Type};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::infer;
use onnxpress_ops::interpret::{self, Limits};

fn model(text: &str) -> Model {
    let header = "<ir_version: 10, opset_import: [\"\" : 21, \"own\" : 1]>\n";
    Model::from_text(&format!("{header}{text}")).unwrap()
}

/// The inferred types of the outputs.
fn outputs(model: &mut Model) -> Vec<String> {
    let found = infer::model(model);
    assert!(found.invalid.is_empty(), "{found:?}");
    let graph = &model.graph;
    let ty = |&id| graph.operand(id, 0).map_or(Type::Unknown, |value| graph.ty(value).clone()).to_string();
    graph.outputs().iter().map(ty).collect()
}

const SCALED: &str = "
    <domain: \"own\", opset_import: [\"\" : 21]>
    scaled <to, axis: int = 0> (x, low) => (y) {
        c = Cast <to: int = @to> (x)
        s = Softmax <axis: int = @axis> (c)
        y = Clip (s, low)
    }";

#[test]
fn types_go_through_calls_with_what_each_call_gives() {
    let text = format!(
        "g (float[N,3] x, int32[4] i) => (a, b) <float16 low = {{0.25}}> {{
            a = own.scaled <to = 10, axis = 1> (x, low)
            b = own.scaled <to = 11> (i)
        }}{SCALED}"
    );
    assert_eq!(outputs(&mut model(&text)), ["float16[N,3]", "double[4]"]);
}

#[test]
fn functions_that_call_functions_are_followed_and_recursion_is_not() {
    let text = "g (float[2,N] x) => (y, z) { y = own.twice(x)  z = own.endless(x) }
        <domain: \"own\", opset_import: [\"\" : 21, \"own\" : 1]>
        twice (x) => (y) { a = own.turn(x)  y = Concat <axis = 0> (a, a) }
        <domain: \"own\", opset_import: [\"\" : 21]>
        turn (x) => (y) { y = Transpose(x) }
        <domain: \"own\", opset_import: [\"\" : 21, \"own\" : 1]>
        endless (x) => (y) { y = own.endless(x) }";
    assert_eq!(outputs(&mut model(text)), ["float[2*N,2]", "?"]);
}

#[test]
fn what_a_call_cannot_be_given_names_the_call_and_the_node_inside() {
    let text = "g (float[2] x, float[3] y) => (z) { [outside] z = own.sum(x, y) }
        <domain: \"own\", opset_import: [\"\" : 21]>
        sum (x, y) => (z) { [inside] z = Add(x, y) }";
    let found = infer::model(&mut model(text));
    let [error] = found.invalid.as_slice() else { panic!("{found:?}") };
    assert!(error.node.contains("outside") && error.reason.contains("inside"), "{error}");
}

#[test]
fn calls_run_with_their_attributes_defaults_and_left_out_inputs() {
    let text = format!(
        "g (float[1,2] x) => (a, b) <float low = {{0.75}}> {{
            a = own.scaled <to = 1, axis = 1> (x, low)
            b = own.scaled <to = 1> (x)
        }}{SCALED}"
    );
    let input = Value::Tensor(Tensor::from_values(&[1, 2], vec![1f32, 1.0]).unwrap());
    let outputs = interpret::run(&model(&text), vec![Some(input)], Limits::default()).unwrap();
    let values = |index: usize| outputs[index].as_tensor().unwrap().to_f64s().unwrap();
    assert_eq!((values(0), values(1)), (vec![0.75, 0.75], vec![1.0, 1.0]));
}
