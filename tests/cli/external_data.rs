//! Weights in a file of their own: kept so, put so, taken in.

use std::collections::BTreeSet;

use onnxpress::proto::schema::ModelProto;
use onnxpress::proto::schema::tensor_proto::DataLocation;

use crate::workplace::Workplace;

/// The digits network in `model.onnx` and `model.data`.
fn split() -> Workplace {
    let place = Workplace::with_digits();
    place.run(["opt", "model.onnx", "-o", "model.onnx", "-p", "", "--external-data", "model.data"]).assert_done();
    place
}

/// The data files that the model's initializers name.
fn locations(model: &ModelProto) -> BTreeSet<String> {
    let tensors = model.graph.as_ref().unwrap().initializer.iter();
    let external = tensors.filter(|tensor| tensor.data_location == Some(DataLocation::External as i32));
    let named = external.flat_map(|tensor| &tensor.external_data).filter(|entry| entry.key() == b"location");
    named.map(|entry| String::from_utf8(entry.value().to_vec()).unwrap()).collect()
}

fn names(place: &Workplace) -> Vec<String> {
    let names = place.files().into_keys().map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
    names.collect()
}

#[test]
fn weights_are_written_beside_the_model_when_asked() {
    let place = split();
    assert_eq!(names(&place), ["model.data", "model.onnx"]);
    assert_eq!(locations(&place.model("model.onnx")), BTreeSet::from(["model.data".to_owned()]));
    // Small tensors stay, the rest is there once.
    let (data, model) = (place.read("model.data").len(), place.read("model.onnx").len());
    assert!(data > 100_000 && model < 10_000, "{model} bytes of model, {data} of data");
}

#[test]
fn a_model_that_came_so_goes_so_into_a_file_of_its_own() {
    let place = split();
    let before = place.files();
    place.run(["opt", "model.onnx", "-o", "out.onnx", "-p", ""]).assert_done();
    assert_eq!(names(&place), ["model.data", "model.onnx", "out.onnx", "out.onnx.data"]);
    assert_eq!(locations(&place.model("out.onnx")), BTreeSet::from(["out.onnx.data".to_owned()]));
    assert!(before.iter().all(|(path, bytes)| std::fs::read(path).unwrap() == *bytes), "the input was touched");
}

#[test]
fn embedding_takes_the_data_in() {
    let place = split();
    place.run(["opt", "model.onnx", "-o", "out.onnx", "-p", "", "--embed"]).assert_done();
    assert_eq!(names(&place), ["model.data", "model.onnx", "out.onnx"]);
    assert_eq!(place.model("out.onnx"), Workplace::with_digits().model("model.onnx"));
}

#[test]
fn a_pipe_takes_the_data_in() {
    let place = split();
    let outcome = place.run(["opt", "model.onnx", "-o", "-", "-p", ""]);
    outcome.assert_done();
    assert_eq!(outcome.stdout, Workplace::with_digits().read("model.onnx"));
}

#[test]
fn out_may_be_in_with_its_data_file() {
    let place = split();
    let before = place.files();
    for _ in 0..2 {
        place.run(["opt", "model.onnx", "-o", "model.onnx", "-p", "", "--external-data", "model.data"]).assert_done();
    }
    assert!(before == place.files(), "an empty pipeline changed the files");
}
