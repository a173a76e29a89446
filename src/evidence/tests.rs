#![allow(clippy::unwrap_used, clippy::panic)]

use onnxpress_ops::operator::Linear;
use onnxpress_ops::{node::NodeCx, table};
use onnxpress_passes::evidence::{Evidence, Wants, collect};

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

/// The values of the net with one axis of one of them, and its layer.
fn all(model: &Model) -> Wants {
    let mut wants = wants(model);
    let (id, node) = model.graph.nodes().find(|(_, node)| node.is("MatMul")).unwrap();
    wants.channels(id.port(0), 1);
    let Linear::Layers(layers) = table::of(node).unwrap().linear else { panic!("a MatMul is a layer") };
    layers(&NodeCx::new(&model.graph, id).unwrap()).iter().for_each(|layer| {
        wants.layer(id, layer);
    });
    wants
}

/// Made-up samples whose evidence is kept.
fn kept<'a>(path: &std::path::Path, model: &Model, count: usize) -> Samples<'a> {
    let made = Samples::from(Made::new(count, Vec::new(), RunnerChoice::default()));
    let origin = Origin { source: made.describe(), samples: count, synthetic: true, preprocess: None };
    let file = EvidenceFile::open(path, model).unwrap();
    made.with_file(file.unwrap_or_else(|| EvidenceFile::new(path, model, origin).unwrap()))
}

/// Takes all from the file: nobody is there to run the model.
fn recalled(path: &std::path::Path, model: &Model, wants: &Wants) -> Result<Evidence, EvidenceError> {
    let file = EvidenceFile::open(path, model).unwrap().unwrap();
    let recorded = Samples::from(Recorded::new(path.to_owned(), file.origin().clone())).with_file(file);
    collect(model, wants, &recorded)
}

#[test]
fn evidence_outlives_a_run_to_the_last_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.npz");
    let model = typed();
    let samples = kept(&path, &model, 4);
    let few = collect(&model, &wants(&model), &samples).unwrap();
    assert_eq!(few, collect(&model, &wants(&model), &samples).unwrap(), "what was kept in this run is found as well");
    let said = samples.save().unwrap().unwrap();
    assert!(said.ends_with("e.npz, 1 added") && said.contains("1 statistic(s) found"), "{said}");
    assert_eq!(few, recalled(&path, &model, &wants(&model)).unwrap());
    let error = recalled(&path, &model, &all(&model)).unwrap_err().to_string();
    assert!(error.contains("does not hold what is wanted") && error.ends_with("give 4 random inputs with --calib"));

    // What is missing is measured and added; what is there stays.
    let samples = kept(&path, &model, 4);
    let more = collect(&model, &all(&model), &samples).unwrap();
    assert_eq!((more.values.len(), more.layers.len()), (2, 1));
    samples.save().unwrap();
    assert_eq!(more, recalled(&path, &model, &all(&model)).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no copy is left");
}

#[test]
fn evidence_of_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.npz");
    let model = typed();
    let samples = kept(&path, &model, 4);
    collect(&model, &all(&model), &samples).unwrap();
    samples.save().unwrap();
    let mut other = Model::from_text(&NET.replace("seed=1", "seed=2")).unwrap();
    onnxpress_ops::infer::model(&mut other);
    let error = EvidenceFile::open(&path, &other).unwrap_err().to_string();
    assert!(error.contains("e.npz: it holds evidence of another model (digest "), "{error}");
    let file = EvidenceFile::open(&path, &model).unwrap().unwrap();
    let fewer = Origin { source: "3 random inputs".to_owned(), samples: 3, ..file.origin().clone() };
    let error = file.check(&fewer).unwrap_err().to_string();
    assert!(error.ends_with("it holds evidence of 4 random inputs, but given are 3 random inputs"), "{error}");
    std::fs::write(&path, "no archive").unwrap();
    assert!(EvidenceFile::open(&path, &model).unwrap_err().to_string().contains("no archive of arrays"));
    crate::npz::write(&path, [("x".to_owned(), &Value::Tensor(onnxpress_ir::Tensor::scalar(1f32)))]).unwrap();
    let error = EvidenceFile::open(&path, &model).unwrap_err().to_string();
    assert!(error.ends_with("e.npz: no file of evidence: it has no array `about`"), "{error}");
}

#[test]
fn arrays_that_are_not_what_the_file_says_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.npz");
    let model = typed();
    let samples = kept(&path, &model, 4);
    collect(&model, &all(&model), &samples).unwrap();
    samples.save().unwrap();
    let whole = crate::npz::read(&path).unwrap();
    for damaged in whole.keys().filter(|name| name.contains("value/") || name.contains("layer/")) {
        let short = onnxpress_ir::Tensor::vector(vec![1f64]);
        let arrays: Vec<(String, Value)> = whole
            .iter()
            .map(|(name, tensor)| (name.clone(), if name == damaged { &short } else { tensor }.clone().into()))
            .collect();
        crate::npz::write(&path, arrays.iter().map(|(name, value)| (name.clone(), value))).unwrap();
        let error = recalled(&path, &model, &all(&model)).unwrap_err().to_string();
        assert!(error.contains("is missing, or not what the file says of it"), "{damaged}: {error}");
    }
}

/// A network whose normalizations saw pictures of some brightness and contrast, in color.
const NORMALIZED: &str = r#"
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N,3,12,12] x) => (float[N,4,12,12] y)
    <float[3] one = splat(1.0), float[3] none = splat(0.0), float[3] mean = splat(3.0), float[3] variance = splat(4.0),
     float[4,3,3,3] w = normal(seed=1, std=0.3), float[4] ones = splat(1.0), float[4] nones = splat(0.0), float[4] wide = splat(2.5)>
    {
        n = BatchNormalization(x, one, none, mean, variance)
        c = Conv <pads = [1, 1, 1, 1]> (n, w)
        y = BatchNormalization(c, ones, nones, nones, wide)
    }"#;

#[test]
fn pictures_meet_the_statistics_better_than_noise() {
    let mut model = Model::from_text(NORMALIZED).unwrap();
    onnxpress_ops::infer::model(&mut model);
    let made = || Made::new(4, Vec::new(), RunnerChoice::default());
    let fitted = made().fit(&model).unwrap().unwrap();
    let fit = fitted.fitted().unwrap();
    assert!(fit.layers == 2 && fit.after < 0.2 * fit.before, "{fit:?}");
    assert!(fitted.is_synthetic() && fitted.describe().starts_with("4 made-up pictures, "));
    let mut wants = Wants::default();
    wants.value(model.graph.inputs()[0].port(0));
    let seen = |made: &Made<'_>| collect(&model, &wants, made).unwrap().values.into_values().next().unwrap();
    let statistics = seen(&fitted);
    assert!((statistics.mean() - 3.0).abs() < 1.5, "{}", statistics.mean());
    assert_eq!(statistics, seen(&made().fit(&model).unwrap().unwrap()), "the same every time");
    assert!(made().fit(&typed()).unwrap().is_none(), "nothing is normalized there");
}
