//! The list of types of a file, entries for values that it does not have among them.

use onnxpress::proto::schema::ModelProto;

use crate::small_models::{float, relu};
use crate::workplace::Workplace;

fn listed(model: &ModelProto) -> Vec<String> {
    let entries = &model.graph.as_ref().unwrap().value_info;
    entries.iter().map(|entry| String::from_utf8(entry.name.clone().unwrap().to_vec()).unwrap()).collect()
}

#[test]
fn types_of_values_that_are_not_there_stay_until_the_dead_is_eliminated() {
    let mut model = relu();
    model.graph.as_mut().unwrap().value_info = vec![float("nowhere", &[7])];
    let place = Workplace::with_model(&model);
    let through = |pipeline: &str| {
        place.run(["opt", "model.onnx", "-o", "out.onnx", "-p", pipeline]).assert_done();
        listed(&place.model("out.onnx"))
    };
    assert_eq!(through(""), ["nowhere"]);
    assert_eq!(through("infer-shapes"), ["nowhere"]);
    assert!(through("eliminate-dead").is_empty());
}
