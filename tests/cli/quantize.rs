//! `quantize` and `sensitivity` on the digits network and its samples, and requests that cannot be met: nothing is written then.

use insta::assert_snapshot;
use onnxpress::ir::Tensor;
use onnxpress::npz;
use onnxpress::ops::evaluate::Value;

use crate::workplace::Workplace;

fn opt<'a>(pipeline: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["opt", "model.onnx", "-o", "q.onnx", "-p", pipeline, "--calib", "samples.npz", "--samples", "64"], more].concat()
}

#[test]
fn digits_are_still_named_in_eight_bits() {
    let place = Workplace::with_digits_and_samples();
    place.run(opt("simplify,quantize", &["--plan-out", "plan.json", "--check", "strict"])).assert_done();
    let found = place.run(["eval", "q.onnx", "--data", "samples.npz", "--ref", "model.onnx", "--json"]).json();
    assert!(found["top1_correct"].as_u64().unwrap() >= 350, "{found}");
    assert!(found["snr_db"].as_f64().unwrap() > 25.0, "{found}");
    // What is lost is measured on the samples, which are nothing like random inputs.
    let args = opt("simplify,quantize", &["--json"]);
    let check = place.run(args.clone()).json()["check"].clone();
    assert_eq!((&check["mode"], &check["inputs"], &check["agreement"]), (&"numeric".into(), &1.into(), &1.0.into()));
    assert!(check["snr_db"].as_f64().unwrap() > 25.0, "{check}");
    // The plan repeats it to the byte, for the model that it was made for.
    place.run(["opt", "model.onnx", "-o", "again.onnx", "-p", "simplify,apply-plan{file=plan.json}"]).assert_done();
    assert_eq!(std::fs::read(place.path("q.onnx")).unwrap(), std::fs::read(place.path("again.onnx")).unwrap());
    let refused = place.refused(1, ["opt", "model.onnx", "-o", "z.onnx", "-p", "apply-plan{file=plan.json}"]);
    assert!(refused.contains("it was made for another model"), "{refused}");
}

#[test]
fn layers_are_listed_worst_first() {
    let place = Workplace::with_digits_and_samples();
    let args =
        ["sensitivity", "model.onnx", "--calib", "samples.npz", "--data", "samples.npz", "--samples", "64", "--json"];
    let found = place.run(args).json();
    let layers = found["layers"].as_array().unwrap();
    let shares: Vec<f64> = layers.iter().map(|layer| layer["share"].as_f64().unwrap()).collect();
    assert!(layers.len() >= 2 && shares.is_sorted_by(|a, b| a >= b), "{found}");
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    assert!(
        layers.iter().all(|layer| layer["top1"].as_f64().unwrap() > 0.9 && layer["snr_db"].as_f64().unwrap() > 20.0)
    );
}

#[test]
fn groups_of_channels_are_pruned_one_by_one() {
    let place = Workplace::with_digits_and_samples();
    let args =
        ["sensitivity", "model.onnx", "--calib", "samples.npz", "--samples", "64", "--prune", "ratio=0.25", "--json"];
    let found = place.run(args).json();
    let layers = found["layers"].as_array().unwrap();
    assert!(
        !layers.is_empty() && layers.iter().all(|layer| layer["name"].as_str().unwrap().contains(" of ")),
        "{found}"
    );
    let refused = place.refused(2, ["sensitivity", "model.onnx", "--calib", "samples.npz", "--prune", "ratio=2"]);
    assert!(refused.contains("ratio"), "{refused}");
}

#[test]
fn biases_are_corrected_behind_other_passes() {
    let place = Workplace::with_digits_and_samples();
    // With samples it would keep the means itself.
    let lossy = "simplify,quantize-weights{bits=4, granularity=tensor, data=false}";
    let corrected = format!("{lossy},correct-bias");
    let snr = |pipeline: &str| {
        place.run(opt(pipeline, &["--check", "strict"])).assert_done();
        let found = place.run(["eval", "q.onnx", "--data", "samples.npz", "--ref", "model.onnx", "--json"]).json();
        found["snr_db"].as_f64().unwrap()
    };
    assert!(snr(&corrected) > snr(lossy));
    // Without samples there is nothing to measure means on.
    let refused = place.refused(1, ["opt", "model.onnx", "-o", "z.onnx", "-p", &corrected]);
    assert!(refused.contains("needs data: give samples with --calib"), "{refused}");
}

#[test]
fn operators_on_codes_are_proven() {
    let place = Workplace::with_digits_and_samples();
    place.run(opt("simplify,quantize{form=qoperator}", &["--check", "strict"])).assert_done();
    let counts = place.run(["inspect", "q.onnx", "--json"]).json()["op_counts"].clone();
    assert!(counts["QLinearConv"].as_u64().is_some_and(|count| count > 0), "{counts}");
    let again = place.refused(1, ["opt", "q.onnx", "-o", "z.onnx", "-p", "quantize", "--calib", "samples.npz"]);
    assert!(again.contains("the model is quantized already"), "{again}");
}

#[test]
fn requests_that_cannot_be_met() {
    let place = Workplace::with_digits_and_samples();
    let usage = |pipeline| place.refused(2, opt(pipeline, &[]));
    assert_snapshot!(usage("quantize{activations=int9}"), @r"
    error: `quantize`: option `activations` takes `uint8`, `int8`, `uint16` or `int16`, found `int9`
     --> pipeline:1:22
      |
    1 | quantize{activations=int9}
      |                      ^^^^
      |
      = help: did you mean `int8`?
    ");
    assert_snapshot!(usage("quantize{calibration=guess}"), @r"
    error: `quantize`: option `calibration` takes `minmax`, `percentile`, `entropy` or `mse`, found `guess`
     --> pipeline:1:22
      |
    1 | quantize{calibration=guess}
      |                      ^^^^^
    ");
    assert_snapshot!(usage("quantize-weights{bits=9}"), @r"
    error: `quantize-weights`: option `bits` takes `2`, `3`, `4`, `8` or `16`, found `9`
     --> pipeline:1:23
      |
    1 | quantize-weights{bits=9}
      |                       ^
    ");
    let unsuited =
        |more: &[&str]| place.refused(1, [&["opt", "model.onnx", "-o", "z.onnx", "-p", "quantize"], more].concat());
    let missing = unsuited(&["--calib", "nowhere.npz"]);
    assert!(missing.contains("nowhere.npz"), "{missing}");
    std::fs::write(place.path("other.npz"), b"no archive").unwrap();
    let other = unsuited(&["--calib", "other.npz"]);
    assert!(other.contains("other.npz"), "{other}");
    // What eval says of labelled samples, opt says of those that it measures ranges on.
    let given = |name: &str, values: Vec<f32>, dims: &[usize]| {
        let samples = Tensor::from_values(dims, values).unwrap();
        npz::write(&place.path("few.npz"), [(name.to_owned(), &Value::Tensor(samples))]).unwrap();
        let said = unsuited(&["--calib", "few.npz"]);
        said.split_once("}: ").map_or(said.clone(), |(_, reason)| reason.to_owned())
    };
    assert_snapshot!(given("image", vec![f32::NAN; 64], &[1, 1, 8, 8]), @"few.npz: `image` has a NaN in sample 0");
    assert_snapshot!(given("image", vec![0.0; 72], &[1, 1, 8, 9]), @"error: few.npz: `image` is float[1,1,8,9], but input `image` is float[N,1,8,8]; the model wants image: float[N,1,8,8]");
    let refused = |pipeline| {
        let said = place.refused(1, opt(pipeline, &[]));
        said.split_once("}: ").map_or(said.clone(), |(_, reason)| reason.to_owned())
    };
    assert_snapshot!(refused("quantize{keep=[nobody]}"), @"the pattern `nobody` matches no node and no constant");
    assert_snapshot!(refused("quantize{percentile=10, calibration=percentile}"), @"`percentile` is 10, expected more than 50 and at most 100");
    assert_snapshot!(refused("quantize{keep=[\"*\"]}"), @r"
    error: nothing in the model was changed
      help: -v says why each layer was left alone
    ");
}
