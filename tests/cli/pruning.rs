//! `prune-channels` from the command line: what is listed, what is reported, what a plan repeats, and what cannot be asked for.

use insta::assert_snapshot;

use crate::workplace::Workplace;

const HALVED: &str = "prune-channels{ratio=0.5}";

fn opt<'a>(pipeline: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["opt", "model.onnx", "-o", "out.onnx", "-p", pipeline, "--check", "structure"], more].concat()
}

#[test]
fn groups_are_listed_with_what_stays_and_why() {
    let place = Workplace::with_digits();
    let outcome = place.run(["inspect", "model.onnx", "--channels"]);
    outcome.assert_done();
    assert_snapshot!(String::from_utf8(outcome.stdout).unwrap(), @"
     channels  parameters      MACs  weights  group
           24      5.50 k   96.77 k        6  stem.weight
           24     28.27 k  261.36 k       13  down.weight
           10         250       240        2  auxiliary.weight
           24     10.46 k  165.89 k        6  block.1.weight
           32     12.64 k   12.61 k        3  fc1.weight
            4     12.29 k  261.12 k        1  fc1.weight        stays: Conv `/down.conv/Conv`: the operator makes the axis
            4     12.29 k  261.12 k        1  fc1.weight        stays: Conv `/down.conv/Conv`: the operator makes the axis
           10         330       320        2  fc2.weight        stays: output `logits` of the graph

    5 groups with 114 channels can be pruned, 3 stay as they are
    ");
    let listed = place.run(["inspect", "model.onnx", "--channels", "--json"]).json();
    let groups = listed["groups"].as_array().unwrap();
    assert!(groups.iter().any(|group| group["pinned"].is_null()));
    assert!(groups.iter().any(|group| group["pinned"].is_string()));
    place.run(["inspect", "model.onnx", "--channels", "--graph", "groups.svg", "-q"]).assert_done();
    let drawing = String::from_utf8(place.read("groups.svg")).unwrap();
    assert!(drawing.contains("one set a colour") && drawing.contains("class=\"set0\""));
}

#[test]
fn what_was_cut_is_reported_group_by_group() {
    let place = Workplace::with_digits();
    let report = place.run(opt(HALVED, &["--json", "--report", "report.html"])).json();
    let cuts = &report["passes"][0]["channels"];
    let of = |what: &str| {
        let pair = cuts["total"][what].as_array().unwrap();
        (pair[0].as_u64().unwrap(), pair[1].as_u64().unwrap())
    };
    assert_eq!(of("parameters").0, report["input"]["parameters"].as_u64().unwrap());
    assert!(of("parameters").1 < of("parameters").0 && of("macs").1 < of("macs").0);
    for group in cuts["groups"].as_array().unwrap() {
        assert!(group["channels"][1].as_u64() < group["channels"][0].as_u64(), "{group}");
    }
    assert!(String::from_utf8(place.read("report.html")).unwrap().contains("<h2>Channels</h2>"));
    // A log has no bars.
    assert!(!place.run(opt(HALVED, &[])).stderr.contains('█'));
    assert!(place.run(opt(HALVED, &["-v"])).stderr.contains('█'));
}

#[test]
fn a_plan_repeats_the_result_and_is_for_one_model() {
    let place = Workplace::with_digits();
    place.run(opt(HALVED, &["--plan-out", "plan.json"])).assert_done();
    let once = place.read("out.onnx");
    place.run(opt("apply-plan{file=plan.json}", &[])).assert_done();
    assert!(place.read("out.onnx") == once, "the plan gives another model");
    place.write("model.onnx", &once);
    assert_snapshot!(place.refused(1, opt("apply-plan{file=plan.json}", &[])).replace(char::is_numeric, "_"), @"error: apply-plan{file=plan.json}: plan `plan.json`: it was made for another model (digest a_______a__fe_f_f_ad____b_e___b_adcabcdbfdf_____d__d_____ad_aa__, found ead__b_a______c___a_a_a____c_acf_____d_cda__________c___e____caa)");
}

#[test]
fn a_plan_of_fitted_layers_repeats_them_or_is_refused() {
    let place = Workplace::with_digits_and_samples();
    let calib = ["--calib", "samples.npz", "--samples", "40"];
    let pipeline = "prune-channels{criterion=hessian, ratio=0.5}";
    place.run(opt(pipeline, &[&calib[..], &["--plan-out", "plan.json"]].concat())).assert_done();
    let once = place.read("out.onnx");
    place.run(opt("apply-plan{file=plan.json}", &calib)).assert_done();
    assert!(place.read("out.onnx") == once, "the plan gives another model");
    std::fs::remove_file(place.path("out.onnx")).unwrap();
    assert_snapshot!(place.refused(1, opt("apply-plan{file=plan.json}", &[])), @"error: apply-plan{file=plan.json}: plan `plan.json`: it was made with 40 samples of samples.npz, found no data; give --calib");
    let plan: serde_json::Value = serde_json::from_slice(&place.read("plan.json")).unwrap();
    let write = |edit: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>)| {
        let mut edited = plan.clone();
        edit(edited.as_object_mut().unwrap());
        place.write("edited.json", edited.to_string().as_bytes());
    };
    // As if another version of the program had fitted them.
    write(&|plan| drop(plan.insert("fitted".to_owned(), "0123".into())));
    assert_snapshot!(place.refused(1, opt("apply-plan{file=edited.json}", &calib)), @"error: apply-plan{file=edited.json}: plan `edited.json`: its layers come out otherwise when they are fitted again: another version of the program made it, another machine, or other samples; leave `tensors` out to take them as they come, or make the plan anew");
    write(&|plan| drop(plan.remove("fitted")));
    assert!(place.refused(1, opt("apply-plan{file=edited.json}", &calib)).contains("come out otherwise"));
    // Who edits takes what comes.
    write(&|plan| {
        drop(plan.remove("tensors"));
        let kept = plan["groups"][0]["kept"].as_array_mut().unwrap();
        drop(kept.pop());
    });
    place.run(opt("apply-plan{file=edited.json}", &calib)).assert_done();
}

#[test]
fn bad_requests() {
    let place = Workplace::with_digits();
    let usage = |pipeline: &str| place.refused(2, opt(pipeline, &[]));
    assert_snapshot!(usage("prune-channels{ratio=1.5}"), @"
    error: `prune-channels`: option `ratio` takes a number in [0, 1), found `1.5`
     --> pipeline:1:22
      |
    1 | prune-channels{ratio=1.5}
      |                      ^^^
    ");
    assert_snapshot!(usage("prune-channels{criterion=hessain}"), @"
    error: `prune-channels`: option `criterion` takes `l1`, `l2`, `random`, `bn-scale`, `fpgm`, `activation`, `hessian`, `taylor` or `fisher`, found `hessain`
     --> pipeline:1:26
      |
    1 | prune-channels{criterion=hessain}
      |                          ^^^^^^^
      |
      = help: did you mean `hessian`?
    ");
    assert_snapshot!(usage("prune-channels{layers=[\"conv\"]}"), @r#"
    error: `prune-channels`: option `layers` takes a string `PATTERN=VALUE`, the value a number in [0, 1), found `"conv"`
     --> pipeline:1:24
      |
    1 | prune-channels{layers=["conv"]}
      |                        ^^^^^^
    "#);
    let said = |pipeline: &str| usage(pipeline).lines().next().unwrap().to_owned();
    assert_snapshot!(said("prune-channels{target=flops, remove=0.3}"), @"error: `prune-channels`: option `target` takes `params`, `macs` or `bytes`, or `none`, found `flops`");
    assert_snapshot!(said("prune-channels{keep=[conv]}"), @"error: `prune-channels`: unknown option `keep`");
    // The options, which are many, stand before the reason.
    let request = |pipeline: &str| place.refused(1, opt(pipeline, &[])).rsplit("}: ").next().unwrap().to_owned();
    assert_snapshot!(request("prune-channels{include=[nobody]}"), @"the pattern `nobody` matches no constant and no node with weights");
    assert_snapshot!(request("prune-channels{exclude=[nobody]}"), @"the pattern `nobody` matches no constant and no node with weights");
    assert_snapshot!(request("prune-channels{layers=[\"nobody=0.5\"]}"), @"the pattern `nobody` matches no constant and no node with weights");
    assert_snapshot!(request("prune-channels{remove=0.5}"), @"`remove` needs `target`, what it is a share of");
    assert_snapshot!(request("prune-channels{ratio=0.001}"), @"
    error: nothing in the model was changed
      help: -v says why each layer was left alone
    ");
    assert_snapshot!(request("prune-channels{target=params, remove=0.9, max-ratio=0.2}"), @"at most 30.9 % of the params can be removed within the limits, 90.0 % are asked for");
    assert_snapshot!(request("prune-channels{steps=0}"), @"`steps` is 0, expected 1 to 1000");
    assert_snapshot!(request("prune-channels{criterion=hessian}"), @"`criterion` needs data: give samples with --calib");
    assert_snapshot!(request("prune-channels{compensate=least-squares}"), @"`compensate=least-squares` needs data: give samples with --calib");
    assert_snapshot!(request("apply-plan"), @"`file` is missing, the plan to apply");
    assert_snapshot!(request("apply-plan{file=none.json}"), @"plan `none.json`: No such file or directory (os error 2)");
}

/// All channels of a single layer are the interface's.
#[test]
fn nothing_to_prune_writes_nothing() {
    let place = Workplace::new();
    let text = "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,4] x) => (float[N,2] y) <float[4,2] w = iota> { y = MatMul(x, w) }";
    place.write("model.txt", text.as_bytes());
    place.run(["parse", "model.txt", "-o", "model.onnx"]).assert_done();
    assert_snapshot!(place.refused(1, opt(HALVED, &["--plan-out", "plan.json"])), @"
    error: nothing in the model was changed
      help: -v says why each layer was left alone
    ");
    let told = place.run(opt(HALVED, &["-v"])).stderr;
    assert!(told.contains("input `x` of the graph") && told.contains("output `y` of the graph"), "{told}");
}

#[test]
fn bad_plans() {
    let place = Workplace::with_digits();
    place.run(opt(HALVED, &["--plan-out", "plan.json"])).assert_done();
    std::fs::remove_file(place.path("out.onnx")).unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&place.read("plan.json")).unwrap();
    let with = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut edited = plan.clone();
        edit(&mut edited);
        place.write("edited.json", edited.to_string().as_bytes());
        place.refused(1, opt("apply-plan{file=edited.json}", &[]))
    };
    assert_snapshot!(with(&|plan| plan["groups"][0]["kept"] = serde_json::json!([0, 999])), @"error: apply-plan{file=edited.json}: plan `edited.json`: group 4 `stem.weight`: index 999 of 24 channels");
    assert_snapshot!(with(&|plan| plan["groups"][0]["kept"] = serde_json::json!([1, 0])), @"error: apply-plan{file=edited.json}: plan `edited.json`: group 4 `stem.weight`: the kept indices are not ascending");
    assert_snapshot!(with(&|plan| plan["groups"][0]["kept"] = serde_json::json!([])), @"error: apply-plan{file=edited.json}: plan `edited.json`: group 4 `stem.weight`: none of its channels stays");
    assert_snapshot!(with(&|plan| plan["groups"][0]["id"] = serde_json::json!(12345)), @"error: apply-plan{file=edited.json}: plan `edited.json`: group 12345 is none of the model's");
    assert_snapshot!(with(&|plan| plan["tensors"] = serde_json::json!({"x": {"0": [1]}})), @"error: apply-plan{file=edited.json}: plan `edited.json`: `tensors` and `groups` disagree about `auxiliary.bias`; edit `kept` of the group and leave `tensors` out");
    assert_snapshot!(with(&|plan| plan["schema"] = serde_json::json!(99)), @"error: apply-plan{file=edited.json}: plan `edited.json`: it is of format 99, expected 1");
    let extra = with(&|plan| plan["extra"] = serde_json::json!(1));
    assert!(extra.contains("unknown field `extra`"), "{extra}");
    place.write("edited.json", b"{");
    assert_snapshot!(place.refused(1, opt("apply-plan{file=edited.json}", &[])), @"error: apply-plan{file=edited.json}: plan `edited.json`: EOF while parsing an object at line 1 column 1");
}
