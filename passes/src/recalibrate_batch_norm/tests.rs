#![allow(clippy::unwrap_used, clippy::panic)]

use onnxpress_ir::Model;

use crate::evidence::testing::{AtHand, typed, value};
use crate::manager::{self, Report, RunOptions};
use crate::pass::Request;

/// The statistics of both nodes are those of nothing.
const NET: &str = r#"
    <ir_version: 8, opset_import: ["" : 13]>
    net (float[N,2,3,3] x) => (float[N,4,3,3] y)
    <float[4,2,1,1] a = normal(seed=1, std=0.7), float[4] s = {2, 1, 1, 1}, float[4] b = {1, 0, 0, 0},
     float[4] m = splat(0), float[4] v = splat(1), float[4] t = splat(1), float[4] c = splat(0),
     float[4] n = splat(5), float[4] w = splat(9)> {
        one = Conv(x, a)
        two = BatchNormalization(one, s, b, m, v)
        y = BatchNormalization(two, t, c, n, w)
    }"#;

fn run(text: &str, pipeline: &str) -> (Model, Result<Report, String>) {
    let passes = crate::builtin().unwrap();
    let pipeline = passes.pipeline(pipeline).unwrap();
    let mut model = typed(text);
    let source = AtHand::new(64, &[2, 3, 3]);
    let request = Request { evidence: Some(&source), ..Request::default() };
    let options = RunOptions { verify_each: true, request, ..RunOptions::default() };
    let report = manager::run(&pipeline, &mut model, options);
    (model, report.map_err(|error| error.to_string()))
}

fn numbers(model: &Model, name: &str) -> Vec<f64> {
    model.graph.constant(value(model, name)).unwrap().to_f64s().unwrap()
}

#[test]
fn nodes_behind_others_see_what_those_will_give_them() {
    let (model, report) = run(NET, "recalibrate-batch-norm");
    report.unwrap();
    let near = |name: &str, wanted: [f64; 4]| {
        let found = numbers(&model, name);
        assert!(found.iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 0.05), "{name}: {found:?}");
    };
    // What the first gives has the mean of its bias and the deviation of its scale.
    near("n", [1.0, 0.0, 0.0, 0.0]);
    near("w", [4.0, 1.0, 1.0, 1.0]);
    assert!(numbers(&model, "v").iter().all(|variance| *variance > 0.01 && *variance != 1.0));
    let (again, _) = run(&model.to_text(), "recalibrate-batch-norm");
    let moved = numbers(&again, "v").iter().zip(numbers(&model, "v")).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(moved, "a second estimate is the same");
}

#[test]
fn channels_that_say_nothing_keep_their_statistics() {
    let dead = NET.replace("float[4,2,1,1] a = normal(seed=1, std=0.7)", "float[4,2,1,1] a = splat(0)");
    let (model, report) = run(&dead, "recalibrate-batch-norm");
    assert!(!report.unwrap().changed);
    assert_eq!(numbers(&model, "v"), [1.0; 4]);
}

#[test]
fn a_batch_of_few_is_refused() {
    let error = run(NET, "recalibrate-batch-norm{batch=2}").1.unwrap_err();
    assert!(error.ends_with("`batch` is 2, expected at least 8: of fewer, statistics say little"), "{error}");
}

#[test]
fn nodes_that_normalize_otherwise_keep_what_they_have() {
    let reason = |text: &str| {
        let (model, report) = run(text, "recalibrate-batch-norm");
        let report = report.unwrap();
        assert!(!report.changed);
        assert_eq!(model.to_text(), typed(text).to_text());
        report.passes[0].declined.iter().map(|declined| declined.reason.clone()).collect::<Vec<_>>().join(", ")
    };
    let of = |opset: i64, extents: &str, ports: &str, attrs: &str| {
        reason(&format!(
            "<ir_version: 6, opset_import: [\"\" : {opset}]> net (float[N,2,3,3] x) => (float[N,2,3,3] y) \
            <float[{extents}] s = splat(1), float[{extents}] b = splat(0)> \
            {{ {ports} = BatchNormalization{attrs}(x, s, b, b, s) }}"
        ))
    };
    assert_eq!(of(7, "2,3,3", "y", "<spatial = 0>"), "it normalizes each element by itself, not each channel");
    assert_eq!(of(12, "2", "y, m, v", ""), "it normalizes by what it sees");
    assert_eq!(of(6, "2", "y", "<is_test = 1>"), "its opset is older than 7");
}
