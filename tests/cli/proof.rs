//! Results are run beside what came in; what does not agree is not written.

use insta::assert_snapshot;
use onnxpress::proto::Message as _;

use crate::small_models::{add, graph, model, node, relu, weight};
use crate::workplace::Workplace;

#[test]
fn a_result_is_run_beside_what_came_in() {
    let place = Workplace::with_digits();
    let report = place.run(["opt", "model.onnx", "-o", "out.onnx", "-p", "fuse-conv-bn", "--json"]).json();
    assert_eq!(report["check"]["mode"], "numeric");
    assert_eq!(report["check"]["inputs"], 2);
    let error = report["check"]["max_error"].as_f64().unwrap();
    assert!(error > 0.0 && error < 1e-5, "rounding is expected, and no more: {error}");
}

/// No rounding allowed makes any fusion a failure.
#[test]
fn what_does_not_agree_is_not_written_and_can_be_seen_again() {
    let place = Workplace::with_digits();
    let before = place.read("model.onnx");
    let outcome = place.run(["opt", "model.onnx", "-o", "out.onnx", "-p", "fuse-conv-bn", "--tolerance", "0"]);
    outcome.assert_refused(3);
    assert!(outcome.stderr.starts_with("error: fuse-conv-bn: output `logits`: largest error "), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("out.reproducer"), "{}", outcome.stderr);
    assert!(!place.path("out.onnx").exists());
    assert!(place.read("model.onnx") == before && place.read("out.reproducer/model.onnx") == before);
    let command = String::from_utf8(place.read("out.reproducer/command.txt")).unwrap();
    assert!(command.contains("-p 'fuse-conv-bn'"), "{command}");
}

#[test]
fn the_pass_at_fault_is_named() {
    let place = Workplace::with_digits();
    let pipeline = "eliminate-dead,fuse-conv-bn,eliminate-identity";
    let args = ["opt", "model.onnx", "-o", "out.onnx", "-p", pipeline, "--check-each", "--tolerance", "0"];
    let outcome = place.run(args);
    assert!(outcome.assert_refused(3).stderr.starts_with("error: fuse-conv-bn: "), "{}", outcome.stderr);
}

#[test]
fn models_are_compared() {
    let place = Workplace::with_model(&add(weight("w", &[3], &[1.0, 2.0, 3.0])));
    place.write("same.onnx", &add(weight("w", &[1, 3], &[1.0, 2.0, 3.0])).encode_to_vec());
    place.write("other.onnx", &add(weight("w", &[3], &[1.0, 2.0, 4.0])).encode_to_vec());
    let same = place.run(["compare", "model.onnx", "same.onnx", "--json"]).json();
    assert_eq!(same["same"], true);
    assert_eq!(same["outputs"][0]["max_error"], 0.0);
    let outcome = place.run(["compare", "model.onnx", "other.onnx", "--json"]);
    assert_eq!(outcome.code, Some(3));
    let other: serde_json::Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert_eq!(other["same"], false);
    assert!(other["outputs"][0]["max_error"].as_f64().unwrap() > 0.1);
}

#[test]
fn a_request_to_run_names_what_is_there() {
    let place = Workplace::with_model(&relu());
    let strict = ["opt", "model.onnx", "-o", "out.onnx", "-p", "infer-shapes", "--check", "strict"];
    place.run(strict).assert_done();
    assert_snapshot!(place.refused(2, ["compare", "model.onnx", "model.onnx", "--runner", "abacus"]), @"
    error: invalid value 'abacus' for '--runner <RUNNER>'
      [possible values: auto, tract, ort, interpreter]

    For more information, try '--help'.
    ");
    assert_snapshot!(place.refused(1, ["run", "model.onnx", "--inputs", "none.npz", "-o", "y.npz"]), @"error: none.npz: No such file or directory (os error 2)");
}

/// What nobody can run is checked for structure, and said so; who insists on numbers gets none.
#[test]
fn a_model_that_nobody_can_run_is_checked_for_structure() {
    let nodes = vec![node("Identity", &["x"], &["a"]), node("Frobnicate", &["a"], &["y"])];
    let place = Workplace::with_model(&model(graph(nodes, Vec::new())));
    let args = ["opt", "model.onnx", "-o", "out.onnx", "-p", "eliminate-identity"];
    assert_snapshot!(place.refused(1, [&args[..], &["--check", "strict"]].concat()), @"error: the result cannot be checked: no runner can run this model: interpreter: Frobnicate `y`: operator Frobnicate is not supported by the interpreter; tract: Frobnicate `y`: no such operator");
    let report = place.run([&args[..], &["--json"]].concat()).json();
    assert_eq!(report["check"]["mode"], "structure");
    let notices = report["notices"].as_array().unwrap().iter().filter_map(|notice| notice.as_str());
    assert!(notices.into_iter().any(|notice| notice.starts_with("only the structure was checked: ")), "{report}");
}
