//! `distil` from the command line: what it says of a training, and what cannot be trained.

use insta::assert_snapshot;

use crate::workplace::{Workplace, opt};

const CALIB: [&str; 2] = ["--calib", "samples.npz"];

#[test]
fn a_training_that_cannot_be() {
    let place = Workplace::with_digits_and_samples();
    assert_snapshot!(place.refused(2, opt("distil{lr=fast}", &[])), @r"
    error: `distil`: option `lr` takes `auto` or number, found `fast`
     --> pipeline:1:11
      |
    1 | distil{lr=fast}
      |           ^^^^
    ");
    // The options, which are many, stand before the reason.
    let reason = |pipeline: &str, more: &[&str]| {
        place.refused(1, opt(pipeline, more)).rsplit("}: ").next().unwrap().lines().next().unwrap().to_owned()
    };
    assert_snapshot!(reason("distil", &[]), @"distil needs data: give samples with --calib");
    assert_snapshot!(reason("distil{frozen=[*]}", &CALIB), @"the model has nothing to train");
    let missing = reason("distil{teacher=nobody.onnx}", &CALIB);
    assert!(missing.starts_with("teacher `nobody.onnx`: "), "{missing}");
    let diverged = reason("prune-channels{ratio=0.5},distil{lr=1e30, optimizer=sgd}", &CALIB);
    assert!(diverged.starts_with("the training diverged: a loss of "), "{diverged}");
    assert!(diverged.ends_with("; try a smaller `lr` than 1000000000000000000000000000000"), "{diverged}");
}

#[test]
fn a_teacher_with_other_outputs() {
    let place = Workplace::with_digits_and_samples();
    let text = "h (float[N,1,8,8] image) => (float[N,1,8,8] other) { other = Neg(image) }";
    std::fs::write(place.path("other.onnxtxt"), text).unwrap();
    place.run(["parse", "other.onnxtxt", "-o", "other.onnx"]).assert_done();
    let said = place.refused(1, opt("distil{teacher=other.onnx}", &CALIB));
    assert!(said.contains("the teacher gives float[N,1,8,8] for `"), "{said}");
}

#[test]
fn a_training_shows_its_curve() {
    let place = Workplace::with_digits_and_samples();
    let pipeline = "prune-channels{ratio=0.5},distil{epochs=2, lr=0.001, batch=64}";
    let ran = place.run(opt(pipeline, &[&CALIB[..], &["--json", "--samples", "320"]].concat()));
    let said = ran.assert_done().json()["notices"].to_string();
    assert!(said.contains("agreement with the teacher on 64 samples held out: "), "{said}");
}
