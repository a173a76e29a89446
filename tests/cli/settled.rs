//! Options that settle something for a model's callers: each is a pass in the report, and the proof gives the model that came
//! in the same.

use insta::assert_snapshot;
use onnxpress::ir::Tensor;
use onnxpress::ops::evaluate::Value;

use crate::workplace::Workplace;

/// A mask over a batch of open size, and a weight that callers may override.
const MASKED: &str = r#"<ir_version: 8, opset_import: ["" : 12]>
g (float[batch,3] x, float[batch,3] mask, float[3] w = {1, 2, 3}) => (float[batch,3] y) {
  a = Mul(x, mask)
  y = Add(a, w)
}"#;

fn place(text: &str) -> Workplace {
    let place = Workplace::new();
    place.write("model.txt", text.as_bytes());
    place.run(["parse", "model.txt", "-o", "model.onnx"]).assert_done();
    place
}

fn with_arrays(name: &str, dims: &[usize]) -> Workplace {
    let place = place(MASKED);
    let value = Value::Tensor(Tensor::from_values(dims, vec![0.5f32; dims.iter().product()]).unwrap());
    onnxpress::npz::write(&place.path("mask.npz"), [(name.to_owned(), &value)]).unwrap();
    place
}

/// Pipeline, input names and proof of a run, and the result as text.
fn run(place: &Workplace, args: &[&str]) -> String {
    let report = place.run([&["opt", "model.onnx", "-o", "out.onnx", "--json", "-p", ""], args].concat()).json();
    let text = place.run(["dump", "out.onnx"]);
    let text = String::from_utf8(text.assert_done().stdout.clone()).unwrap();
    format!("{}\n{} on {}\n{text}", report["pipeline"], report["check"]["mode"], report["check"]["inputs"])
}

#[test]
fn a_dimension_is_given_a_size() {
    assert_snapshot!(run(&place(MASKED), &["--set-dim", "batch=2"]), @r#"
    "set-dim{sizes=[\"batch=2\"]}"
    "numeric" on 2
    <ir_version: 8, opset_import: ["" : 12]>
    g (float[2,3] x, float[2,3] mask, float[3] w = {1, 2, 3}) => (float[2,3] y) {
      a = Mul(x, mask)  # float[2,3]
      y = Add(a, w)     # float[2,3]
    }
    "#);
    assert_snapshot!(run(&place(MASKED), &["--set-dim", "mask:0=4", "--check-each"]), @r#"
    "set-dim{sizes=[\"mask:0=4\"]}"
    "numeric" on 2
    <ir_version: 8, opset_import: ["" : 12]>
    g (float[4,3] x, float[4,3] mask, float[3] w = {1, 2, 3}) => (float[4,3] y) {
      a = Mul(x, mask)  # float[4,3]
      y = Add(a, w)     # float[4,3]
    }
    "#);
}

#[test]
fn an_input_is_given_a_value() {
    assert_snapshot!(run(&with_arrays("mask", &[2, 3]), &["--set-input", "mask=mask.npz"]), @r#"
    "set-input{values=[\"mask=mask.npz\"]}"
    "numeric" on 2
    <ir_version: 8, opset_import: ["" : 12]>
    g (float[2,3] x, float[3] w = {1, 2, 3}) => (float[2,3] y)
    <float[2,3] mask = {0.5, 0.5, 0.5, 0.5, 0.5, 0.5}>
    {
      a = Mul(x, mask)  # float[2,3]
      y = Add(a, w)     # float[2,3]
    }
    "#);
    // The only array of a file need not know its name.
    let place = with_arrays("arr_0", &[1, 3]);
    assert_snapshot!(run(&place, &["--set-input", "mask=mask.npz", "--set-dim", "batch=1", "--check-each"]), @r#"
    "set-dim{sizes=[\"batch=1\"]},set-input{values=[\"mask=mask.npz\"]}"
    "numeric" on 2
    <ir_version: 8, opset_import: ["" : 12]>
    g (float[1,3] x, float[3] w = {1, 2, 3}) => (float[1,3] y)
    <float[1,3] mask = {0.5, 0.5, 0.5}>
    {
      a = Mul(x, mask)  # float[1,3]
      y = Add(a, w)     # float[1,3]
    }
    "#);
}

#[test]
fn an_initializer_that_is_an_input_is_left_alone_or_taken_for_a_constant() {
    let place = place(MASKED);
    let args = ["opt", "model.onnx", "-o", "out.onnx", "--json"];
    let report = place.run(args).json();
    assert_snapshot!(report["notices"][0].as_str().unwrap(), @"1 initializer(s) are also inputs, which callers may override, and are left alone; --initializers-as-constants takes them for constants");
    assert_snapshot!(run(&place, &["--initializers-as-constants"]), @r#"
    "initializers-as-constants"
    "numeric" on 2
    <ir_version: 8, opset_import: ["" : 12]>
    g (float[batch,3] x, float[batch,3] mask) => (float[batch,3] y)
    <float[3] w = {1, 2, 3}>
    {
      a = Mul(x, mask)  # float[batch,3]
      y = Add(a, w)     # float[batch,3]
    }
    "#);
}

#[test]
fn the_newest_operators_come_first() {
    assert_snapshot!(run(&place(MASKED), &["--upgrade-opset=13"]), @r#"
    "upgrade-opset{to=13}"
    "numeric" on 2
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[batch,3] x, float[batch,3] mask, float[3] w = {1, 2, 3}) => (float[batch,3] y) {
      a = Mul(x, mask)  # float[batch,3]
      y = Add(a, w)     # float[batch,3]
    }
    "#);
    let report = place(MASKED).run(["opt", "model.onnx", "-o", "out.onnx", "--json", "--upgrade-opset"]);
    let newest = onnxpress::ops::schema::newest_opset(onnxpress::ops::schema::STANDARD).unwrap();
    let pipeline = report.json()["pipeline"].to_string();
    assert!(pipeline.starts_with(&format!("\"upgrade-opset{{to={newest}}},")), "{pipeline}");
}

#[test]
fn functions_are_kept_or_inlined() {
    let model = r#"<ir_version: 10, opset_import: ["" : 21, "my" : 1]>
    g (float[2] x) => (y) { y = my.Twice(x) }
    <opset_import: ["" : 21], domain: "my"> Twice (a) => (c) { b = Identity(a) c = Add(b, b) }"#;
    let kept = place(model);
    kept.run(["opt", "model.onnx", "-o", "out.onnx", "--functions", "keep"]).assert_done();
    assert_eq!(kept.model("out.onnx").functions.len(), 1);
    let inlined = place(model);
    inlined.run(["opt", "model.onnx", "-o", "out.onnx", "--functions", "inline"]).assert_done();
    assert_eq!(inlined.model("out.onnx").functions.len(), 0);
    let args = ["opt", "model.onnx", "-o", "out.onnx", "--functions", "keep", "-p", "inline-functions"];
    assert_snapshot!(place(model).refused(2, args), @"error: --functions keep, and `inline-functions` in the pipeline");
}

#[test]
fn what_does_not_fit_is_refused() {
    let place = with_arrays("mask", &[2, 4]);
    let opt = |args: &[&str]| {
        place.refused(
            if args[1].contains('=') { 1 } else { 2 },
            [&["opt", "model.onnx", "-o", "out.onnx"], args].concat(),
        )
    };
    assert_snapshot!(opt(&["--set-input", "mask=mask.npz"]), @r#"error: set-input{values=["mask=mask.npz"]}: the value of input `mask` is float[2,4], but the input is float[batch,3]"#);
    assert_snapshot!(opt(&["--set-input", "mask=none.npy"]), @r#"error: set-input{values=["mask=none.npy"]}: none.npy: No such file or directory (os error 2)"#);
    assert_snapshot!(opt(&["--set-input", "musk=mask.npz"]), @r#"error: set-input{values=["musk=mask.npz"]}: there is no input `musk`; the model wants x: float[batch,3], mask: float[batch,3], w: float[3]"#);
    assert_snapshot!(opt(&["--set-dim", "length=2"]), @r#"error: set-dim{sizes=["length=2"]}: no input has a dimension `length`; the model wants x: float[batch,3], mask: float[batch,3], w: float[3]"#);
    assert_snapshot!(opt(&["--set-dim", "batch"]), @r#"
    error: invalid value 'batch' for '--set-dim <NAME=N>': a size is given as NAME=N

    For more information, try '--help'.
    "#);
    assert_snapshot!(place.refused(1, ["opt", "model.onnx", "-o", "out.onnx", "-p", "upgrade-opset{to=11}"]), @"error: upgrade-opset{to=11}: the model is written in opset 12; there is no way back to 11");
    assert_snapshot!(place.refused(2, ["opt", "model.onnx", "-o", "out.onnx", "--upgrade-opset=99"]), @r#"
    error: `upgrade-opset`: option `to` takes an opset version from 7 to 28, found `99`
     --> pipeline:1:18
      |
    1 | upgrade-opset{to=99}
      |                  ^^
    "#);
    let both = ["opt", "model.onnx", "-o", "out.onnx", "--set-dim", "batch=2", "--dim", "batch=3"];
    assert_snapshot!(place.refused(2, both), @"error: --dim batch=3, but it was set to 2");
}

#[test]
fn element_types_of_inputs_and_outputs_are_changed() {
    let place = place(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[2,3] x) => (float[2,3] y) \
        <float[3,3] w = normal(seed=1, std=1.0)> { a = MatMul(x, w)  y = Relu(a) }",
    );
    let out = |more: &[&str]| {
        let args = ["opt", "model.onnx", "-o", "out.onnx", "--json", "-p"];
        place.run([&args[..], more].concat()).json()["check"]["mode"].clone()
    };
    for pipeline in [
        "convert-float{keep-io=false}",
        "sparsify,convert-float{keep-io=false}",
        "convert-float{keep-io=false},sparsify",
    ] {
        assert_eq!(out(&[pipeline, "--check-each"]), "numeric", "{pipeline}");
    }
    let text = place.run(["dump", "out.onnx"]);
    let text = String::from_utf8(text.assert_done().stdout.clone()).unwrap();
    assert!(text.contains("(float16[2,3] x) => (float16[2,3] y)"), "{text}");
}
