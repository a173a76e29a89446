#![allow(clippy::unwrap_used)]

use onnxpress_ir::Tensor;

use super::*;
use crate::data::DataOptions;

/// Scores are the inputs themselves, so the right answers are known.
const SAME: &str = "g (float[N,3] x) => (float[N,3] y) { y = Identity(x) }";

fn samples(model: &Model, labels: Option<Vec<i64>>) -> Samples {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples.npz");
    let x = Tensor::from_values(&[4, 3], vec![3f32, 2.0, 1.0, 0.0, 5.0, 0.0, 0.0, 0.0, 9.0, 1.0, 0.0, 0.0]).unwrap();
    let mut values = vec![("x".to_owned(), Value::Tensor(x))];
    values.extend(labels.map(|labels| ("labels".to_owned(), Value::Tensor(Tensor::vector(labels)))));
    crate::npz::write(&path, values.iter().map(|(name, value)| (name.clone(), value))).unwrap();
    Samples::open(&path, model, &DataOptions::default()).unwrap()
}

fn run(text: &str, reference: Option<&str>, labels: Option<Vec<i64>>, batch: usize) -> Result<Evaluation, String> {
    let model = Model::from_text(text).unwrap();
    let reference = reference.map(|text| Model::from_text(text).unwrap());
    let options = EvalOptions { batch, ..EvalOptions::new(RunnerChoice::default()) };
    let samples = samples(&model, labels);
    evaluate(samples, &model, reference.as_ref(), &options, &|_| ()).map_err(|error| error.to_string())
}

#[test]
fn batches_of_any_size_find_the_same() {
    for batch in [1, 3, 4, 100] {
        let found = run(SAME, None, Some(vec![0, 1, 2, 2]), batch).unwrap();
        let right = found.model.right.unwrap();
        assert_eq!((right.samples, right.top1, right.top5, found.batch), (4, 3, None, batch.min(4)));
    }
}

#[test]
fn a_fixed_batch_is_the_models_own() {
    let found = run(&SAME.replace('N', "3"), Some(SAME), None, 1).unwrap();
    assert_eq!((found.samples, found.batch, found.model.right), (4, 3, None));
    let (_, likeness) = found.reference.unwrap();
    assert_eq!((likeness.agreement(), likeness.snr_db()), (1.0, 150.0));
    let error = run(&SAME.replace('N', "3"), Some(&SAME.replace('N', "2")), None, 1).unwrap_err();
    assert_eq!(error, "the model wants batches of 3, the reference of 2");
}

#[test]
fn what_makes_no_sense_is_told() {
    assert!(run(SAME, None, None, 2).unwrap_err().contains("no labels"));
    let error = run(SAME, None, Some(vec![0, 1, 2, 3]), 2).unwrap_err();
    assert_eq!(error, "sample 3 has label 3, but output `y` has 3 classes, 0 to 2");
    let sum = "g (float[N,3] x) => (float y) <int64[1] axes = {0}> { y = ReduceSum(x, axes) }";
    let error = run(sum, None, Some(vec![0; 4]), 2).unwrap_err();
    assert_eq!(error, "model: output `y` is float[1,3], expected scores, one row for each of 2 samples");
    let two = "g (float[N,3] x) => (float y) <int64[1] a = {1}> { y = ReduceSum(x, a) }";
    assert_eq!(run(SAME, Some(two), None, 2).unwrap_err(), "the model has 3 classes, the reference 1");
}

#[test]
fn the_middle_of_times() {
    assert_eq!((median(vec![]), median(vec![3.0, 1.0, 2.0]), median(vec![4.0, 1.0])), (0.0, 2.0, 2.5));
}
