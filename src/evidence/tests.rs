#![allow(clippy::unwrap_used, clippy::panic)]

use onnxpress_passes::evidence::{Wants, collect};

use super::*;
use crate::data::DataOptions;

const NET: &str = r#"
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N,3] x) => (float[N,2] y) <float[3,2] w = normal(seed=1, std=1.0)> { h = Relu(x)  y = MatMul(h, w) }"#;

fn typed() -> Model {
    let mut model = Model::from_text(NET).unwrap();
    onnxpress_ops::infer::model(&mut model);
    model
}

fn wants(model: &Model) -> Wants {
    let mut wants = Wants::default();
    let node = model.graph.nodes().find(|(_, node)| node.is("Relu")).unwrap().0;
    wants.value(node.port(0));
    wants
}

#[test]
fn samples_of_a_file_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npz");
    let values: Vec<f32> = (0..33u8).map(|value| f32::from(value) - 16.0).collect();
    let tensor = onnxpress_ir::Tensor::from_values(&[11, 3], values).unwrap();
    crate::npz::write(&path, [("x".to_owned(), &Value::Tensor(tensor))]).unwrap();
    let model = typed();
    let given = Given::open(path, DataOptions::default(), RunnerChoice::default(), &model).unwrap();
    assert_eq!(given.describe(), "11 samples of x.npz");
    let evidence = collect(&model, &wants(&model), &given).unwrap();
    let statistics = evidence.values.values().next().unwrap();
    assert_eq!((evidence.samples, statistics.count, statistics.min, statistics.max), (11, 33, 0.0, 16.0));
    assert!(!evidence.synthetic);
}

#[test]
fn made_up_samples_are_the_same_every_time() {
    let model = typed();
    let made = Made::new(4, Vec::new(), RunnerChoice::default());
    let evidence = collect(&model, &wants(&model), &made).unwrap();
    assert!(evidence.synthetic && evidence.samples == 4);
    assert_eq!(evidence, collect(&model, &wants(&model), &made).unwrap());
}
