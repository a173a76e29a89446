//! `factorize` and `sparsify` from the command line: what is reported, what a plan repeats, and what cannot be asked for.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use onnxpress::ir::Tensor;
use onnxpress::npz;
use onnxpress::ops::evaluate::Value;

use crate::workplace::{Workplace, opt};

#[test]
fn what_cannot_be_asked_for() {
    let place = Workplace::with_digits_and_samples();
    let usage = |pipeline: &str| place.refused(2, opt(pipeline, &[]));
    assert_snapshot!(usage("factorize{energy=2}"), @r"
    error: `factorize`: option `energy` takes a number in (0, 1], or `none`, found `2`
     --> pipeline:1:18
      |
    1 | factorize{energy=2}
      |                  ^
    ");
    assert_snapshot!(usage("sparsify{pattern=3:2}"), @r"
    error: `sparsify`: option `pattern` takes a pattern `N:M`, N of M neighbours that stay, N less than M, or `none`, found `3:2`
     --> pipeline:1:18
      |
    1 | sparsify{pattern=3:2}
      |                  ^^^
    ");
    assert_snapshot!(usage("sparsify{block=4}"), @r"
    error: `sparsify`: option `block` takes a block `OUTPUTSxINPUTS`, or `none`, found `4`
     --> pipeline:1:16
      |
    1 | sparsify{block=4}
      |                ^
    ");
    assert_snapshot!(usage("sparsify{criterion=obd}"), @r"
    error: `sparsify`: option `criterion` takes `auto`, `magnitude`, `random`, `wanda` or `obs`, found `obd`
     --> pipeline:1:20
      |
    1 | sparsify{criterion=obd}
      |                    ^^^
      |
      = help: did you mean `obs`?
    ");
    // The options, which are many, stand before the reason.
    let request = |pipeline: &str| place.refused(1, opt(pipeline, &[])).rsplit("}: ").next().unwrap().to_owned();
    assert_snapshot!(request("factorize{rank=0}"), @"`rank` is 0, expected at least 1");
    assert_snapshot!(request("factorize{only=[nobody]}"), @"`nobody` matches no layer");
    assert_snapshot!(request("factorize{target=params}"), @"`target` needs `remove`, the share to remove");
    assert_snapshot!(request("sparsify{only=[nobody]}"), @"the pattern `nobody` matches no weight and no layer");
    assert_snapshot!(request("sparsify{criterion=wanda}"), @"`criterion=wanda` needs data: give samples with --calib");
    assert_snapshot!(request("sparsify{sparsity=0.5, threshold=median}"), @"`sparsity`, `threshold`, `alpha` and `pattern` are four ways to say how many go: give one");
}

#[test]
fn samples_that_do_not_fit() {
    let place = Workplace::with_digits_and_samples();
    let wide = Tensor::from_values(&[3, 1, 8, 9], vec![0f32; 3 * 72]).unwrap();
    npz::write(&place.path("wide.npz"), [("image".to_owned(), &Value::Tensor(wide))]).unwrap();
    for pipeline in ["factorize{energy=0.8}", "sparsify{sparsity=0.5}"] {
        let said = place.refused(1, opt(pipeline, &["--calib", "wide.npz"]));
        assert!(said.contains("wide.npz: `image` is float[3,1,8,9], but input `image` is float[N,1,8,8]"), "{said}");
    }
}

#[test]
fn plans_repeat_what_was_done() {
    for pipeline in
        ["sparsify{sparsity=0.5}", "sparsify{pattern=2:4, criterion=wanda}", "sparsify{sparsity=0.9, store=bitmask}"]
    {
        let place = Workplace::with_digits_and_samples();
        let calib = ["--calib", "samples.npz", "--samples", "40"];
        place.run(opt(pipeline, &[&calib[..], &["--plan-out", "plan.json"]].concat())).assert_done();
        let made = place.read("out.onnx");
        place.run(opt("apply-plan{file=plan.json}", &calib)).assert_done();
        assert_eq!(made, place.read("out.onnx"), "{pipeline}");
        std::fs::remove_file(place.path("out.onnx")).unwrap();
        let said = place.refused(1, opt("apply-plan{file=plan.json}", &[]));
        assert!(said.contains("found no data; give --calib"), "{said}");
    }
}

#[test]
fn zeros_are_listed_and_what_they_save_is_told() {
    let place = Workplace::with_digits_and_samples();
    let report = place.run(opt("sparsify{sparsity=0.75, store=sparse-initializer}", &["--json"])).json();
    let notices: Vec<&str> =
        report["notices"].as_array().unwrap().iter().filter_map(|notice| notice.as_str()).collect();
    let told = notices.iter().find(|notice| notice.contains("after zstd")).unwrap();
    assert!(told.contains("75.0 % of them zero"), "{told}");
    assert!(report["output"]["bytes"].as_u64() < report["input"]["bytes"].as_u64());
    let listed = place.run(["inspect", "out.onnx", "--zeros", "--json"]).json();
    // One is transposed by a node, and was left as it is.
    for weight in listed["weights"].as_array().unwrap().iter().filter(|weight| weight["name"] != "fc1.weight.t") {
        assert!((weight["share"].as_f64().unwrap() - 0.75).abs() < 0.02, "{weight}");
    }
    // A bit for each element, and nodes that put weights together, say the same.
    place.run(opt("sparsify{sparsity=0.75, store=bitmask}", &[])).assert_done();
    let decoded = place.run(["inspect", "out.onnx", "--zeros", "--json"]).json();
    let zeros = |listed: &serde_json::Value| -> BTreeMap<String, u64> {
        let weights = listed["weights"].as_array().unwrap().iter();
        weights.map(|weight| (weight["name"].to_string(), weight["zeros"].as_u64().unwrap())).collect()
    };
    assert_eq!(zeros(&decoded), zeros(&listed));
    place.run(opt("sparsify{pattern=2:4}", &[])).assert_done();
    let outcome = place.run(["inspect", "out.onnx", "--zeros"]);
    outcome.assert_done();
    assert_snapshot!(String::from_utf8(outcome.stdout).unwrap(), @r"
      zeros       of       weight
      0.0 %      216       stem.weight
     50.0 %   5.18 k  2:4  down.weight
     50.0 %      240  2:4  auxiliary.weight
     50.0 %   5.18 k  2:4  block.1.weight
     50.0 %   5.18 k  2:4  block.2.weight
     50.0 %      320  2:4  fc2.weight
      0.0 %  12.29 k       fc1.weight.t

    28.2 % of 28.62 k weights of 7 layers are zero
    ");
}
