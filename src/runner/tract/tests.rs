#![allow(clippy::unwrap_used)]

use onnxpress_ir::{Name, Tensor};
use onnxpress_proto::Bytes;

use super::*;

fn value(dims: &[usize], values: &[f32]) -> Option<Value> {
    Some(Value::Tensor(Tensor::from_values(dims, values.to_vec()).unwrap()))
}

fn run(model: &Model, inputs: &[Option<Value>]) -> Result<Vec<Value>, String> {
    Tract::default().load(model).unwrap().run(inputs).map_err(|error| {
        assert!(error.is_unsupported(), "{error}");
        error.to_string().replace("tract cannot run this model: ", "")
    })
}

/// Runs a model from its text; the outputs as numbers.
fn numbers(text: &str, inputs: &[Option<Value>]) -> Result<Vec<Vec<f64>>, String> {
    let outputs = run(&Model::from_text(text).unwrap(), inputs)?;
    Ok(outputs.iter().map(|output| output.as_tensor().unwrap().to_f64s().unwrap()).collect())
}

#[test]
fn a_model_runs_on_inputs_of_any_size() {
    let model = Model::from_text(
        "g (float[N,3] x) => (float[N,2] y) <float[3,2] w = iota, float[2] b = {10, 20}> { y = Gemm(x, w, b) }",
    );
    let model = model.unwrap();
    let mut session = Tract::default().load(&model).unwrap();
    let mut run = |inputs| session.run(&[inputs]).unwrap()[0].as_tensor().unwrap().to_f64s().unwrap();
    assert_eq!(run(value(&[1, 3], &[1.0, 0.0, 1.0])), [14.0, 26.0]);
    assert_eq!(run(value(&[2, 3], &[0.0, 1.0, 0.0, 0.0, 0.0, 0.0])), [12.0, 23.0, 10.0, 20.0]);
}

#[test]
fn outputs_that_nothing_computes_come_from_us() {
    let text = "g (float[2] x, float[2] d) => (x, y, w, y, d) <float[2] w = {5, 6}> { y = Add(x, w) }";
    let mut model = Model::from_text(text).unwrap();
    let default = onnxpress_ir::ConstantValue::Dense(Tensor::vector(vec![7f32, 8.0]));
    let d = model.graph.inputs()[1];
    model.graph.input_mut(d).default = Some(default);
    let outputs = run(&model, &[value(&[2], &[1.0, 2.0]), value(&[2], &[3.0, 4.0])]).unwrap();
    let numbers: Vec<_> = outputs.iter().map(|output| output.as_tensor().unwrap().to_f64s().unwrap()).collect();
    assert_eq!(numbers, [[1.0, 2.0], [6.0, 8.0], [5.0, 6.0], [6.0, 8.0], [3.0, 4.0]]);
    let outputs = run(&model, &[value(&[2], &[1.0, 2.0]), None]).unwrap();
    assert_eq!(outputs[4].as_tensor().unwrap().to_f64s().unwrap(), [7.0, 8.0]);
    assert_eq!(numbers_of_nothing(), [[1.0]]);
}

#[test]
fn what_is_given_counts_and_not_the_default() {
    let mut model = Model::from_text("g (float[2] x, float[2] d) => (y) { y = Add(x, d) }").unwrap();
    let d = model.graph.inputs()[1];
    let default = Tensor::from_values(&[2], vec![5f32, 6.0]).unwrap();
    model.graph.input_mut(d).default = Some(onnxpress_ir::ConstantValue::Dense(default));
    let sum = |d| run(&model, &[value(&[2], &[1.0, 2.0]), d]).unwrap()[0].as_tensor().unwrap().to_f64s().unwrap();
    assert_eq!(sum(value(&[2], &[10.0, 20.0])), [11.0, 22.0]);
    assert_eq!(sum(None), [6.0, 8.0]);
}

fn numbers_of_nothing() -> Vec<Vec<f64>> {
    numbers("g (float[1] x) => (x) {}", &[value(&[1], &[1.0])]).unwrap()
}

#[test]
fn sizes_come_as_whole_numbers() {
    let text = "g (float[N,3] x) => (int64[2] s, int64 n) { s = Shape(x)  n = Size(x) }";
    let model = Model::from_text(text).unwrap();
    let outputs = run(&model, &[value(&[2, 3], &[0.0; 6])]).unwrap();
    assert_eq!(outputs[0], Value::Tensor(Tensor::vector(vec![2i64, 3])));
    assert_eq!(outputs[1], Value::Tensor(Tensor::scalar(6i64)));
}

#[test]
fn values_around_a_subgraph_are_seen_inside() {
    let text = "g (float[2] x, bool c) => (y) <float[2] w = {1, 2}> {
        t = Mul(x, w)
        y = If (c) <then_branch = a () => (p) { p = Add(t, w) }, else_branch = b () => (q) { q = Neg(t) }>
    }";
    let given = |flag| [value(&[2], &[3.0, 4.0]), Some(Value::Tensor(Tensor::scalar(flag)))];
    assert_eq!(numbers(text, &given(true)), Ok(vec![vec![4.0, 10.0]]));
    assert_eq!(numbers(text, &given(false)), Ok(vec![vec![-3.0, -8.0]]));
}

#[test]
fn names_that_are_not_utf8_stay_apart() {
    let mut model = Model::from_text("g (float[1] x) => (y) { a = Neg(x)  b = Exp(x)  y = Sub(a, b) }").unwrap();
    let values: Vec<_> = model.graph.nodes().map(|(id, _)| id.port(0)).take(2).collect();
    for (value, name) in values.into_iter().zip([b"\xfe", b"\xff"]) {
        model.graph.set_name(value, Some(Name::from_bytes(Bytes::from_static(name))));
    }
    let outputs = run(&model, &[value(&[1], &[0.0])]).unwrap();
    assert_eq!(outputs[0].as_tensor().unwrap().to_f64s().unwrap(), [-1.0]);
}

#[test]
fn outputs_left_out_before_others_are_no_obstacle() {
    let text = "g (float[3] x) => (int64[2] i) <int64[1] k = {2}> { \"\", i = TopK(x, k) }";
    assert_eq!(numbers(text, &[value(&[3], &[1.0, 5.0, 3.0])]), Ok(vec![vec![1.0, 2.0]]));
}

/// Runs a model on tract and in the interpreter: the same numbers.
fn as_interpreted(text: &str, inputs: &[Option<Value>]) {
    let model = Model::from_text(text).unwrap();
    let expected = super::super::Interpreter::default().load(&model).unwrap().run(inputs).unwrap();
    let found = run(&model, inputs).unwrap();
    for (expected, found) in expected.iter().zip(&found) {
        let [expected, found] = [expected, found].map(|it| it.as_tensor().unwrap());
        assert_eq!((expected.dtype(), expected.dims()), (found.dtype(), found.dims()), "{text}");
        assert_eq!(expected.to_f64s().unwrap(), found.to_f64s().unwrap(), "{text}");
    }
}

const CODES: [&str; 8] = [
    // Sixteen bits, through operators that move codes.
    "<float s = {0.001}, uint16 z = {300}, int64[2] d = {3, 2}>
        { q = QuantizeLinear(x, s, z)  m = Reshape(q, d)  t = Transpose(m)  y = DequantizeLinear(t, s, z) }",
    // One scale an index of an axis.
    "<float[3] s = {0.001, 0.01, 2}, int16[3] z = {0, -7, 5}>
        { q = QuantizeLinear <axis = -1> (x, s, z)  y = DequantizeLinear <axis = 1> (q, s, z) }",
    // Beyond the range of the codes.
    "<float s = {1e-6}, int16 z = {0}> { q = QuantizeLinear(x, s, z)  y = DequantizeLinear(q, s, z) }",
    // Blocks of a weight, the last of them shorter, with zero points.
    "<int4[3,2] w = {-8, 7, 1, 2, 3, 4}, float[2,2] s = {0.5, 1, 2, 4}, int4[2,2] z = {0, 1, -2, 3}>
        { v = DequantizeLinear <axis = 0, block_size = 2> (w, s, z)  y = MatMul(x, v) }",
    // Eight bits in blocks, scales of half precision.
    "<uint8[3,2] w = {0, 255, 1, 2, 3, 4}, float16[3,1] s = {0.5, 1, 2}>
        { v = DequantizeLinear <axis = 1, block_size = 2> (w, s)  f = Cast <to = 1> (v)  y = MatMul(x, f) }",
    // A table that is looked up in codes.
    "<uint4[4,2] w = {0, 15, 1, 2, 3, 4, 5, 6}, float[4,1] s = {1, 2, 3, 4}, int64[2] i = {3, 1}>
        { c = Gather(w, i)  k = Gather(s, i)  e = DequantizeLinear <axis = 1, block_size = 2> (c, k)  f = Relu(e)  n = ReduceMax <keepdims = 0> (x)  y = Mul(f, n) }",
    // Places in a table.
    "<uint4[3,2] w = {0, 1, 2, 3, 2, 1}, float[4] t = {0.5, -1, 2, 7}>
        { i = Cast <to = 6> (w)  v = Gather(t, i)  y = MatMul(x, v) }",
    // A scale that is computed.
    "<float8e4m3fn[3,2] w = {0.5, 1, 2, -3, 448, 0}, float16 h = {0.25}>
        { s = Cast <to = 1> (h)  v = DequantizeLinear(w, s)  y = MatMul(x, v) }",
];

#[test]
fn codes_that_tract_does_not_read_are_spelled() {
    let input = [value(&[2, 3], &[0.1, -0.2, 0.3005, 1.5, -2.5, 70.0])];
    for text in CODES {
        as_interpreted(&format!("<opset_import: [\"\" : 21]> g (float[2,3] x) => (y) {text}"), &input);
    }
}

#[test]
fn codes_that_several_read_are_spelled_for_each() {
    let shared = "<opset_import: [\"\" : 21]> g (float[2,3] x) => (y, v, u)
        <int4[3,3] w = {-8, 7, 1, 2, 3, 4, 0, -1, -2}, float s = {0.5}, float[3] t = {1, 2, 3}>
        { v = DequantizeLinear(w, s)  u = DequantizeLinear <axis = 0> (w, t)  h = MatMul(x, v)  y = MatMul(h, u) }";
    as_interpreted(shared, &[value(&[2, 3], &[0.5, -1.0, 2.0, 1.0, 0.25, -4.0])]);
    let given_out = "<opset_import: [\"\" : 21]> g (float[N,3] x) => (y, m) <float s = {0.5}, int16 z = {3}>
        { q = QuantizeLinear(x, s, z)  m = DequantizeLinear(q, s, z)  y = Relu(m) }";
    as_interpreted(given_out, &[value(&[2, 3], &[0.1, -0.2, 9.0, f32::INFINITY, -7.0, 0.0])]);
    as_interpreted(given_out, &[value(&[0, 3], &[])]);
}

#[test]
fn codes_that_a_body_captures_are_left_to_others() {
    let text = "<opset_import: [\"\" : 21]> g (float[2] x, bool c) => (y) <int4[2] w = {-8, 7}, float s = {0.5}> {
        y = If (c) <then_branch = a () => (p) { d = DequantizeLinear(w, s)  p = Add(x, d) }, else_branch = b () => (q) { q = Neg(x) }>
    }";
    let given = [value(&[2], &[1.0, 2.0]), Some(Value::Tensor(Tensor::scalar(true)))];
    assert!(numbers(text, &given).unwrap_err().contains("int4"));
}

#[test]
fn codes_that_something_else_reads_stay() {
    let text = "<opset_import: [\"\" : 21]> g (float[2] x) => (y, q) <float s = {0.5}, uint16 z = {3}>
        { q = QuantizeLinear(x, s, z)  y = DequantizeLinear(q, s, z) }";
    assert!(numbers(text, &[value(&[2], &[1.0, 2.0])]).unwrap_err().contains("U16"));
}

#[test]
fn what_makes_tract_panic_is_an_error() {
    let pick = "g (float[1] x) => (y) <float[2] t = {1, 2}, int64[1] i = {9}> { p = Gather(t, i)  y = Add(x, p) }";
    let divide = "g (int64[1] x) => (y) <int64[1] a = {1}, int64[1] z = {0}> { d = Div(a, z)  y = Add(x, d) }";
    for (text, input) in [(pick, value(&[1], &[0.0])), (divide, Some(Value::Tensor(Tensor::vector(vec![0i64]))))] {
        let error = numbers(text, &[input]).unwrap_err();
        assert!(!error.is_empty());
    }
}

#[test]
fn sizes_beyond_memory_are_declined_before_anything_is_made() {
    let fill = "g (float[1] x) => (y) <int64[2] s = {1048576, 1048576}> { c = Expand(x, s)  y = Add(x, c) }";
    let error = numbers(fill, &[value(&[1], &[0.0])]).unwrap_err();
    assert_eq!(error, "Expand `c`: 1099511627776 elements are more than the 268435456 allowed");
    let over =
        "g (float[1] x) => (y) <int64[3] s = {1099511627776, 1099511627776, 2}> { c = Expand(x, s)  y = Add(x, c) }";
    let error = numbers(over, &[value(&[1], &[0.0])]).unwrap_err();
    assert!(error.contains("more than memory can hold"), "{error}");
    let hidden = "g (float[1] x) => (y) { l = Exp(x)  n = Cast <to = 7> (l)  y = Expand(x, n) }";
    let error = numbers(hidden, &[value(&[1], &[40.0])]).unwrap_err();
    assert_eq!(error, "Expand `y`: its size is not known before the run");
}

#[test]
fn names_do_not_make_an_operator_of_another_domain() {
    let relu = "<ir_version: 8, opset_import: [\"\" : 17, \"mine\" : 1]> g (float[1] x) => (y) { y = mine.Relu(x) }";
    assert_eq!(numbers(relu, &[value(&[1], &[-1.0])]).unwrap_err(), "Relu `y`: no such operator in `mine`");
    let function = "<ir_version: 8, opset_import: [\"\" : 17, \"mine\" : 1]> g (float[1] x) => (y) { y = mine.Relu(x) }
        <domain: \"mine\", opset_import: [\"\" : 17]> Relu (a) => (b) { b = Neg(a) }";
    assert_eq!(numbers(function, &[value(&[1], &[-1.0])]).unwrap(), [[1.0]], "what the function does, and no Relu");
}

#[test]
fn what_tract_gets_wrong_is_declined() {
    let text = "g (float[1,1,1] x) => (y) <float[1,4,1] w = iota, float[1,4,1] r = iota>
        { \"\", y = LSTM <hidden_size = 1, direction = \"reverse\"> (x, w, r) }";
    let error = numbers(text, &[value(&[1, 1, 1], &[0.0])]).unwrap_err();
    assert_eq!(error, "LSTM `y`: known to be computed otherwise than the standard says");
}
