//! `--evidence`: what was measured serves again, for the same model and the same samples.

use insta::assert_snapshot;

use crate::workplace::Workplace;

/// A folder with the digits network, its samples, and evidence of them that `simplify,quantize` made.
fn place() -> Workplace {
    let place = Workplace::with_digits_and_samples();
    let said = place.run(opt("q.onnx", "simplify,quantize", &["--calib", "samples.npz", "--samples", "64", "--json"]));
    let notices = said.json()["notices"].to_string();
    assert!(notices.contains("evidence of 64 samples of samples.npz: 0 statistic(s) found in e.npz, "), "{notices}");
    place
}

fn opt<'a>(out: &'a str, pipeline: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["opt", "model.onnx", "-o", out, "-p", pipeline, "--evidence", "e.npz"], more].concat()
}

#[test]
fn the_samples_can_be_left_out() {
    let place = place();
    let said = place.run(opt("again.onnx", "simplify,quantize", &["--json"])).json();
    assert_eq!(std::fs::read(place.path("q.onnx")).unwrap(), std::fs::read(place.path("again.onnx")).unwrap());
    let notices = said["notices"].to_string();
    assert!(notices.contains(" found in e.npz, 0 added") && !notices.contains("no data given"), "{notices}");
    // Another calibration wants to know the same.
    place.run(opt("entropy.onnx", "simplify,quantize{calibration=entropy}", &[])).assert_done();
    // Another pass wants to know something else of the model that came in: it is added, and found from then on.
    let pruning = "prune-channels{ratio=0.25, criterion=activation, compensate=false}";
    place.run(opt("p.onnx", pruning, &["--calib", "samples.npz", "--samples", "64"])).assert_done();
    place.run(opt("p2.onnx", pruning, &[])).assert_done();
    assert_eq!(std::fs::read(place.path("p.onnx")).unwrap(), std::fs::read(place.path("p2.onnx")).unwrap());
    place.run(opt("q.onnx", "simplify,quantize", &[])).assert_done();
}

#[test]
fn what_is_not_there_and_what_is_of_something_else_is_told() {
    let place = place();
    let reason = |said: String| said.split_once("}: ").map_or(said.clone(), |(_, reason)| reason.to_owned());
    let missing = place.refused(1, opt("z.onnx", "simplify,prune-channels{ratio=0.25, criterion=activation}", &[]));
    assert_snapshot!(reason(missing), @"e.npz: it does not hold what is wanted of the model as it is here, and there are no samples to run; give 64 samples of samples.npz with --calib");
    assert_snapshot!(place.refused(1, opt("z.onnx", "quantize", &["--calib", "samples.npz", "--samples", "63"])), @"
    error: e.npz: it holds evidence of 64 samples of samples.npz, but given are 63 samples of samples.npz
      help: take another file for these samples, or remove this one
    ");
    assert_snapshot!(place.refused(1, opt("z.onnx", "quantize", &["--samples", "63"])), @"
    error: e.npz: it holds evidence of 64 samples of samples.npz
      help: leave --samples out, or give the samples with --calib
    ");
    let other = ["opt", "q.onnx", "-o", "z.onnx", "-p", "equalize", "--evidence", "e.npz"];
    let said = place.refused(1, other);
    assert!(said.starts_with("error: e.npz: it holds evidence of another model (digest "), "{said}");
    let other = ["opt", "model.onnx", "-o", "z.onnx", "-p", "quantize", "--evidence", "samples.npz"];
    assert_snapshot!(place.refused(1, other), @"error: samples.npz: no file of evidence: it has no array `about`");
    assert_snapshot!(place.refused(2, ["opt", "model.onnx", "-o", "e.npz", "-p", "quantize", "--evidence", "e.npz"]), @"error: --evidence and --output name the same file");
    assert_snapshot!(place.refused(1, ["opt", "model.onnx", "-o", "z.onnx", "-p", "quantize", "--evidence", "none/e.npz"]), @"error: none/e.npz: the folder does not exist; make it first");
}

#[test]
fn a_run_that_fails_keeps_nothing() {
    let place = place();
    let before = std::fs::read(place.path("e.npz")).unwrap();
    let more = ["--calib", "samples.npz", "--samples", "64"];
    place.refused(1, opt("z.onnx", "quantize{calibration=minmax, only=[nobody]}", &more));
    place.refused(1, opt("z.onnx", "quantize,prune-channels{include=[nobody]}", &more));
    assert_eq!(before, std::fs::read(place.path("e.npz")).unwrap());
}

#[test]
fn pictures_are_made_up_only_where_the_model_says_what_it_saw() {
    let place = place();
    let synthetic = ["opt", "q.onnx", "-o", "z.onnx", "-p", "quantize", "--calib", "synthetic"];
    assert_snapshot!(place.refused(1, synthetic), @"
    error: --calib synthetic: the model has no pictures for input and BatchNormalization nodes that say what they saw
      help: without --calib, passes take random inputs
    ");
    let prepared = [&synthetic[..], &["--preprocess", "mnist"]].concat();
    assert_snapshot!(place.refused(2, prepared), @"error: --preprocess, and samples that are made up");
}
