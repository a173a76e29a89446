//! The digits network: what it is worth, and what the default pipeline makes of it.

use onnxpress::npz;

use crate::workplace::{Workplace, samples};

/// How many of the samples a model names right.
fn right(place: &Workplace, model: &str) -> usize {
    place.run(["run", model, "--inputs", &samples().display().to_string(), "-o", "y.npz", "-q"]).assert_done();
    let (outputs, samples) = (npz::read(&place.path("y.npz")).unwrap(), npz::read(&samples()).unwrap());
    let logits = outputs["logits"].to_f64s().unwrap();
    let labels = samples["label"].to_i64s().unwrap();
    let largest = |row: &[f64]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as i64;
    logits.chunks(10).zip(&labels).filter(|(row, label)| largest(row) == **label).count()
}

/// The number that stands in `fixtures/digits/README.md`.
#[test]
fn it_names_353_of_360_samples_right_and_still_does_when_optimized() {
    let place = Workplace::with_digits();
    assert_eq!(right(&place, "model.onnx"), 353);
    place.run(["opt", "model.onnx", "-o", "out.onnx"]).assert_done();
    assert_eq!(right(&place, "out.onnx"), 353);
}

/// What an export leaves behind is gone, and a second run finds nothing more.
#[test]
fn the_default_pipeline_tidies_it_up() {
    let place = Workplace::with_digits();
    place.run(["opt", "model.onnx", "-o", "out.onnx"]).assert_done();
    let counts = place.run(["inspect", "out.onnx", "--json"]).json()["op_counts"].clone();
    for gone in ["BatchNormalization", "Cast", "Constant", "Dropout", "GlobalAveragePool", "Identity", "Transpose"] {
        assert!(counts.get(gone).is_none(), "{gone} is left: {counts}");
    }
    place.run(["opt", "out.onnx", "-o", "again.onnx"]).assert_done();
    assert!(place.read("out.onnx") == place.read("again.onnx"), "a second run changes something");
}

#[test]
fn it_goes_through_the_text_form_and_back() {
    let place = Workplace::with_digits();
    let outcome = place.run(["dump", "model.onnx", "--exact"]);
    outcome.assert_done();
    place.write("model.onnxtxt", &outcome.stdout);
    place.run(["parse", "model.onnxtxt", "-o", "again.onnx"]).assert_done();
    let outcome = place.run(["dump", "again.onnx", "--exact"]);
    assert!(outcome.assert_done().stdout == place.read("model.onnxtxt"));
    place.run(["compare", "model.onnx", "again.onnx"]).assert_done();
}

#[test]
fn what_a_text_says_of_its_functions_is_in_the_file() {
    let text =
        "<ir_version: 10, opset_import: [\"\" : 21, \"own\" : 1]> g (float[1] x) => (float[1] y) { y = own.f(x) }
        <domain: \"own\", opset_import: [\"\" : 21], doc_string: \"turns it around\"> f (a) => (b) { b = Neg(a) }";
    let place = Workplace::with_digits();
    place.write("model.txt", text.as_bytes());
    place.run(["parse", "model.txt", "-o", "functions.onnx"]).assert_done();
    let [function] = place.model("functions.onnx").functions.try_into().unwrap();
    assert_eq!(function.doc_string.as_deref(), Some(&b"turns it around"[..]));
}
