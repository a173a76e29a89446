#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use onnxpress_ir::{ConstantValue, Model, Tensor};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::interpret::{self, Limits};

use crate::evidence::testing::{AtHand, typed, value};
use crate::manager::{self, Report, RunOptions};
use crate::pass::Request;

/// Weights of every kind: convolutions with groups, products on both sides, a shared one, one in a branch, a recurrent layer.
const NET: &str = r#"
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N,4,6,5] x) => (float[N,5] y)
    <float[8,4,3,3] a = normal(seed=1, std=0.5), float[8,4,3,3] b = normal(seed=2, std=0.5), float[8] c = normal(seed=3, std=1.0),
     float[8,12] d = normal(seed=4, std=0.5), float[6,12] e = normal(seed=5, std=0.5), float[6] f = normal(seed=6, std=1.0),
     float[9,6] g = normal(seed=7, std=0.5), float[9,5] h = normal(seed=8, std=0.5), float[5] i = normal(seed=9, std=1.0),
     int64[2] k = {-1, 8}> {
        one = Conv<pads = [1, 0, 1, 2], strides = [2, 1], dilations = [1, 2]>(x, a)
        relu = Relu(one)
        two = Conv<group = 2, auto_pad = "SAME_UPPER">(relu, b, c)
        flat = GlobalAveragePool(two)
        rows = Reshape(flat, k)
        three = MatMul(rows, d)
        four = Gemm<transB = 1>(three, e, f)
        across = Transpose<perm = [1, 0]>(four)
        five = MatMul(g, across)
        back = Transpose<perm = [1, 0]>(five)
        six = MatMul(back, h)
        y = Add(six, i)
    }"#;

fn samples() -> AtHand {
    AtHand::new(60, &[4, 6, 5])
}

fn run(options: &str, text: &str, data: bool) -> (Model, Result<Report, String>) {
    let passes = crate::builtin().unwrap();
    let pipeline = passes.pipeline(&format!("sparsify{{{options}}}")).unwrap();
    let mut model = typed(text);
    let source = samples();
    let evidence = data.then_some(&source as &dyn crate::evidence::EvidenceSource);
    let request = Request { evidence, plans: true, ..Request::default() };
    let report =
        manager::run(&pipeline, &mut model, RunOptions { verify_each: true, request, ..RunOptions::default() });
    (model, report.map_err(|error| error.to_string()))
}

fn outputs(model: &Model) -> Vec<f64> {
    let batch: Vec<f32> = samples().samples[..6].concat();
    let input = Tensor::from_values(&[6, 4, 6, 5], batch).unwrap();
    let outputs = interpret::run(model, vec![Some(Value::Tensor(input))], Limits::default()).unwrap();
    let Value::Tensor(y) = &outputs[0] else { panic!("no tensor") };
    y.to_f64s().unwrap()
}

fn lost(model: &Model, from: &Model) -> f64 {
    outputs(from).iter().zip(outputs(model)).map(|(a, b)| (a - b).powi(2)).sum()
}

/// By name: the share of zeros of constants with more than one axis.
fn zeros(model: &Model) -> BTreeMap<String, f64> {
    let all = model.graph.constants().filter_map(|(id, constant)| {
        let tensor = constant.value.dense().filter(|tensor| tensor.rank() > 1)?;
        let values = tensor.to_f64s().unwrap();
        let zeros = values.iter().filter(|value| **value == 0.0).count() as f64 / values.len() as f64;
        Some((model.graph.label(id.port(0)), zeros))
    });
    all.collect()
}

#[test]
fn every_weight_has_the_share_that_was_asked_for() {
    for (criterion, data) in [("magnitude", false), ("random", false), ("wanda", true), ("obs", true), ("auto", true)] {
        let (model, report) = run(&format!("sparsity=0.5,criterion={criterion}"), NET, data);
        let report = report.unwrap();
        assert_eq!(report.passes[0].applied["sparsify"], 6, "{criterion}");
        for (name, share) in zeros(&model) {
            assert!((share - 0.5).abs() < 0.06, "{criterion}: {name} has {share}");
        }
        let point = &report.checkpoints[0];
        assert!(point.is_witness && lost(&model, &point.expected) < 1e-9);
    }
}

#[test]
fn samples_make_it_better_and_repairs_better_still() {
    let original = typed(NET);
    let lost = |options: &str| lost(&run(options, NET, true).0, &original);
    let (random, magnitude) = (lost("criterion=random"), lost("criterion=magnitude"));
    let (obs, slow) = (lost("criterion=obs"), lost("criterion=obs,steps=4"));
    assert!(magnitude < random && obs < 0.5 * magnitude, "{random} {magnitude} {obs}");
    assert!(slow < 1.5 * obs, "{slow} {obs}");
}

#[test]
fn patterns_hold_along_the_axis_that_is_summed_over() {
    for (criterion, data) in [("magnitude", false), ("obs", true)] {
        let (model, _) = run(&format!("pattern=2:4,criterion={criterion}"), NET, data);
        let of = |name: &str| model.graph.constant(value(&model, name)).unwrap().to_f64s().unwrap();
        let holds = |at: &mut dyn Iterator<Item = f64>| at.filter(|value| *value != 0.0).count() <= 2;
        // Input channels of a convolution at one place of the kernel, columns of a Gemm's transposed weight, rows of a MatMul's.
        let (a, e, d) = (of("a"), of("e"), of("d"));
        assert!((0..8).all(|o| (0..9).all(|k| holds(&mut (0..4).map(|c| a[(o * 4 + c) * 9 + k])))));
        assert!((0..6).all(|o| (0..3).all(|group| holds(&mut (0..4).map(|c| e[o * 12 + group * 4 + c])))));
        assert!((0..12).all(|o| (0..2).all(|group| holds(&mut (0..4).map(|c| d[(group * 4 + c) * 12 + o])))));
        // Nine columns are two groups and one that is left over, which keeps what it may.
        assert!(zeros(&model).values().all(|share| (0.3..=0.55).contains(share)), "{:?}", zeros(&model));
    }
}

#[test]
fn blocks_go_as_a_whole() {
    let (model, _) = run("block=4x1,criterion=obs", NET, true);
    let a = model.graph.constant(value(&model, "a")).unwrap().to_f64s().unwrap();
    let is_whole = |at: usize, band: usize| {
        let gone = (0..4).filter(|o| a[(band * 4 + o) * 36 + at] == 0.0).count();
        gone == 0 || gone == 4
    };
    assert!((0..36).all(|at| is_whole(at, 0) && is_whole(at, 1)));
    assert!((zeros(&model)["a"] - 0.5).abs() < 0.05);
}

#[test]
fn thresholds_and_scopes_say_how_many_go() {
    let shares = |options: &str, data: bool| zeros(&run(options, NET, data).0);
    assert!(shares("threshold=median", false).values().all(|share| (share - 0.5).abs() < 0.04));
    let below = shares("threshold=0.2", false);
    let original = typed(NET);
    let d = original.graph.constant(value(&original, "d")).unwrap().to_f64s().unwrap();
    assert_eq!(below["d"], d.iter().filter(|weight| weight.abs() < 0.2).count() as f64 / d.len() as f64);
    assert!(shares("alpha=0.3", false).values().all(|share| (0.05..0.7).contains(share)));
    for (options, data) in
        [("scope=global", false), ("scope=sensitivity", false), ("scope=sensitivity,criterion=obs", true)]
    {
        let found = shares(&format!("sparsity=0.6,{options}"), data);
        let size = |name: &str| original.graph.constant(value(&original, name)).unwrap().len() as f64;
        let (all, gone) =
            found.iter().fold((0.0, 0.0), |(all, gone), (name, share)| (all + size(name), gone + size(name) * share));
        assert!((gone / all - 0.6).abs() < 0.03, "{options}: {}", gone / all);
        let spread: Vec<f64> = found.into_values().collect();
        assert!(spread.iter().any(|share| (share - 0.6).abs() > 0.03), "{options}: {spread:?}");
    }
    let own = shares("sparsity=0.5,layers=[\"a=0.25\"]", false);
    assert_eq!((own["a"], own["b"]), (0.25, 0.5));
}

#[test]
fn files_get_smaller_and_compute_the_same() {
    for (options, sparsity) in [("store=sparse-initializer", 0.9), ("store=bitmask", 0.5), ("store=bitmask", 0.9)] {
        let (model, report) = run(&format!("sparsity={sparsity},{options}"), LARGE, false);
        let report = report.unwrap();
        assert_eq!(report.checkpoints[0].expected.graph.constants().count(), 3);
        let input =
            Tensor::from_values(&[3, 30], (0..90).map(|at| at as f32 / 45.0 - 1.0).collect::<Vec<f32>>()).unwrap();
        let of = |model: &Model| {
            let found = interpret::run(model, vec![Some(Value::Tensor(input.clone()))], Limits::default()).unwrap();
            let Value::Tensor(y) = &found[0] else { panic!("no tensor") };
            y.to_f64s().unwrap()
        };
        assert_eq!(of(&model), of(&report.checkpoints[0].expected), "{options}");
        let plan = report.passes[0].plan.as_ref().unwrap();
        let bytes = plan["layers"][0]["bytes"].as_array().unwrap();
        assert!(bytes[1].as_u64() < bytes[0].as_u64(), "{options}: {bytes:?}");
    }
    // Half of the elements with their places take more than all of them.
    let (model, _) = run("sparsity=0.5,store=sparse-initializer", LARGE, false);
    assert!(model.graph.constants().all(|(_, constant)| matches!(constant.value, ConstantValue::Dense(_))));
}

/// 30 by 41 elements fill no whole byte of bits.
const LARGE: &str = r#"
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N,30] x) => (float[N,41] y)
    <float[30,41] w = normal(seed=1, std=0.5), float[41,41] v = normal(seed=2, std=0.5), float[41] b = normal(seed=3, std=0.5)> {
        h = MatMul(x, w)
        r = Relu(h)
        y = Gemm(r, v, b)
    }"#;

#[test]
fn a_second_run_finds_the_zeros_there() {
    let (model, _) = run("sparsity=0.5,criterion=magnitude", NET, false);
    let mut again = model.clone();
    let pipeline = crate::builtin().unwrap().pipeline("sparsify{sparsity=0.5,criterion=magnitude}").unwrap();
    let report = manager::run(&pipeline, &mut again, RunOptions::default()).unwrap();
    assert!(!report.changed);
    assert!(report.passes[0].declined.iter().all(|decline| decline.reason == "it has these zeros already"));
}

#[test]
fn plans_say_what_was_done_and_why_not() {
    let text = r#"
        <ir_version: 8, opset_import: ["" : 17]>
        net (int64[N] i, float[N,4] x, bool c) => (y, z, s)
        <float[9,4] table = normal(seed=1, std=0.5), float[4,4] shared = normal(seed=2, std=0.5), float[4,4] kept = normal(seed=3, std=1.0)> {
            rows = Gather(table, i)
            once = MatMul(rows, shared)
            y = MatMul(once, shared)
            z = MatMul(x, kept)
            s = If(c) <then_branch = t () => (float[N,4] u) <float[4,4] inside = normal(seed=4, std=1.0)> { u = MatMul(x, inside) },
                       else_branch = e () => (float[N,4] v) { v = Identity(x) }>
        }"#;
    let passes = crate::builtin().unwrap();
    let mut model = typed(text);
    let pipeline = passes.pipeline("sparsify{sparsity=0.25,keep=[kept]}").unwrap();
    let request = Request { plans: true, ..Request::default() };
    let report =
        manager::run(&pipeline, &mut model, RunOptions { verify_each: true, request, ..RunOptions::default() });
    let plan = report.unwrap().passes[0].plan.clone().unwrap();
    let layers = plan["layers"].as_array().unwrap().iter();
    let said: Vec<String> = layers.map(|layer| format!("{}: {}", layer["tensor"], layer["zeros"])).collect();
    let left = plan["left"].as_array().unwrap().iter();
    let left: Vec<String> = left.map(|left| format!("{}: {}", left["tensor"], left["reason"])).collect();
    insta::assert_snapshot!([said, left].concat().join("\n"), @r#"
    "shared": [0.0,0.25]
    "inside": [0.0,0.25]
    "kept": "`keep` names it"
    "table": "rows are looked up in it: nothing is multiplied by its zeros"
    "#);
}

#[test]
fn bad_requests_are_refused() {
    let fault = |options: &str| run(options, NET, false).1.unwrap_err().split_once("}: ").unwrap().1.to_owned();
    insta::assert_snapshot!(fault("sparsity=0.5,pattern=2:4"), @"`sparsity`, `threshold`, `alpha` and `pattern` are four ways to say how many go: give one");
    insta::assert_snapshot!(fault("criterion=obs"), @"`criterion=obs` needs data: give samples with --calib");
    insta::assert_snapshot!(fault("scope=global,threshold=median"), @"`scope` shares out `sparsity`: it says nothing with `threshold`, `alpha` or `pattern`");
    insta::assert_snapshot!(fault("pattern=2:4,block=4x1"), @"`pattern` and `block` exclude each other");
    insta::assert_snapshot!(fault("steps=0"), @"`steps` is 0, expected 1 to 100");
    insta::assert_snapshot!(fault("only=[nobody*]"), @"the pattern `nobody*` matches no weight and no layer");
    insta::assert_snapshot!(fault("layers=[\"nobody*=0.5\"]"), @"the pattern `nobody*` matches no weight that can have zeros");
    let unread = |options: &str| {
        crate::builtin().unwrap().pipeline(&format!("sparsify{{{options}}}")).err().unwrap().to_string()
    };
    insta::assert_snapshot!(unread("pattern=3:2"), @"`sparsify`: option `pattern` takes a pattern `N:M`, N of M neighbours that stay, N less than M, or `none`, found `3:2` (at byte 17 of the pipeline)");
    insta::assert_snapshot!(unread("sparsity=1"), @"`sparsify`: option `sparsity` takes a number in [0, 1), or `none`, found `1` (at byte 18 of the pipeline)");
    insta::assert_snapshot!(unread("threshold=-1"), @"`sparsify`: option `threshold` takes a number above 0, or `median`, or `none`, found `-1` (at byte 19 of the pipeline)");
    insta::assert_snapshot!(unread("block=4"), @"`sparsify`: option `block` takes a block `OUTPUTSxINPUTS`, or `none`, found `4` (at byte 15 of the pipeline)");
}
