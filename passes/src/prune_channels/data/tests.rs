#![allow(clippy::unwrap_used, clippy::panic)]

use onnxpress_ir::{Model, Tensor};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::interpret::{self, Limits};

use crate::evidence::EvidenceSource;
use crate::evidence::testing::{AtHand, typed};
use crate::manager::{self, Report, RunOptions};
use crate::pass::Request;

/// A residual stream, a block inside it, a depthwise layer, and layers that read what is left.
const NET: &str = r#"
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N,2,6,5] x) => (float[N,5] y)
    <float[8,2,3,3] a = normal(seed=1, std=0.5), float[12,8,3,3] b = normal(seed=2, std=0.3), float[12] c = normal(seed=3, std=1.0),
     float[12,1,3,3] d = normal(seed=4, std=0.5), float[8,12,1,1] e = normal(seed=5, std=0.4), float[10,8] f = normal(seed=6, std=0.5),
     float[10] g = normal(seed=7, std=1.0), float[10,5] h = normal(seed=8, std=0.5), float[5] i = normal(seed=9, std=1.0)> {
        stem = Conv<pads = [1, 1, 1, 1]>(x, a)
        relu = Relu(stem)
        one = Conv<pads = [1, 1, 1, 1]>(relu, b, c)
        two = Relu(one)
        three = Conv<group = 12, pads = [1, 1, 1, 1]>(two, d)
        four = Relu(three)
        five = Conv(four, e)
        sum = Add(five, relu)
        pooled = GlobalAveragePool(sum)
        flat = Flatten(pooled)
        hidden = Gemm<transB = 1>(flat, f, g)
        active = Relu(hidden)
        product = MatMul(active, h)
        y = Add(product, i)
    }"#;

fn samples() -> AtHand {
    AtHand::new(60, &[2, 6, 5])
}

fn run(options: &str, data: bool) -> (Model, Result<Report, String>) {
    run_on(NET, options, data)
}

fn run_on(text: &str, options: &str, data: bool) -> (Model, Result<Report, String>) {
    let passes = crate::builtin().unwrap();
    let pipeline = passes.pipeline(&format!("prune-channels{{{options}}}")).unwrap();
    let mut model = typed(text);
    let source = samples();
    let evidence = data.then_some(&source as &dyn EvidenceSource);
    let request = Request { evidence, ..Request::default() };
    let report =
        manager::run(&pipeline, &mut model, RunOptions { verify_each: true, request, ..RunOptions::default() });
    (model, report.map_err(|error| error.to_string()))
}

fn outputs(model: &Model) -> Vec<f64> {
    let input = Tensor::from_values(&[60, 2, 6, 5], samples().samples.concat()).unwrap();
    let outputs = interpret::run(model, vec![Some(Value::Tensor(input))], Limits::default()).unwrap();
    let Value::Tensor(y) = &outputs[0] else { panic!("no tensor") };
    y.to_f64s().unwrap()
}

fn loss(model: &Model) -> f64 {
    let (a, b) = (outputs(&typed(NET)), outputs(model));
    a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.iter().map(|a| a * a).sum::<f64>()
}

#[test]
fn the_result_is_the_witness() {
    for options in [
        "criterion=hessian,ratio=0.5",
        "criterion=hessian,target=macs,remove=0.3",
        "criterion=hessian,ratio=0.4,compensate=false",
        "criterion=activation,ratio=0.5",
        "criterion=l2,ratio=0.5,compensate=least-squares",
        "criterion=hessian,scope=global,ratio=0.3",
        "criterion=hessian,target=macs,remove=0.4,steps=2",
        "criterion=taylor,ratio=0.5,compensate=false",
        "criterion=fisher,scope=global,normalize=false,ratio=0.4,steps=2",
    ] {
        let (model, report) = run(options, true);
        let report = report.unwrap();
        let point = &report.checkpoints[0];
        assert!(point.is_witness, "{options}");
        let (a, b) = (outputs(&point.expected), outputs(&model));
        let peak = a.iter().fold(0.0f64, |peak, value| peak.max(value.abs()));
        let error = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / peak;
        assert!(error < 1e-5, "{options}: {error}");
    }
}

#[test]
fn samples_tell_better_what_goes_and_fitting_makes_up_for_it() {
    let of = |options: &str| loss(&run(options, true).0);
    let fitted = of("criterion=hessian,ratio=0.5");
    let alone = of("criterion=hessian,ratio=0.5,compensate=false");
    let blind = of("criterion=l2,ratio=0.5,compensate=false");
    let blind_fitted = of("criterion=l2,ratio=0.5,compensate=least-squares");
    assert!(fitted < 0.5 * alone, "{fitted} {alone}");
    assert!(fitted < blind_fitted && blind_fitted < blind, "{fitted} {blind_fitted} {blind}");
}

/// Nobody but the state itself reads its first number, and all of the state hangs on it.
const RECURRENT: &str = r#"
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N,2,6,5] x) => (float[N,3] y)
    <float[1,4,10] w = normal(seed=1, std=0.3),
     float[1,4,4] r = {0.1, 0, 0, 0, 1.5, 0.1, 0, 0, 2, 0, 0.1, 0, 1, 0, 0, 0.1},
     float[4,3] h = {0, 0, 0, 1, 2, 1, 1, 1, 2, 2, 1, 1}, int64[3] k = {6, -1, 10}, int64[2] l = {-1, 4}> {
        rows = Reshape(x, k)
        all, last = RNN<hidden_size = 4>(rows, w, r)
        state = Reshape(last, l)
        y = MatMul(state, h)
    }"#;

#[test]
fn a_recurrence_is_a_reader() {
    let (_, report) = run_on(RECURRENT, "criterion=hessian,ratio=0.25", true);
    let plan = report.unwrap().passes[0].plan.clone().unwrap();
    let kept: Vec<u64> = plan["groups"][0]["kept"].as_array().unwrap().iter().filter_map(|at| at.as_u64()).collect();
    assert!(kept.len() == 3 && kept[0] == 0, "{plan}");
}

#[test]
fn gradients_tell_better_what_goes() {
    let of = |options: &str| loss(&run(&format!("ratio=0.5,compensate=false,criterion={options}"), true).0);
    let (drawn, taylor, fisher) = (of("random"), of("taylor"), of("fisher"));
    assert!(taylor < 0.8 * drawn && fisher < 0.8 * drawn, "{taylor} {fisher} {drawn}");
}

#[test]
fn a_share_of_the_work_is_met() {
    let (_, report) = run("criterion=hessian,target=macs,remove=0.4", true);
    let plan = report.unwrap().passes[0].plan.clone().unwrap();
    let macs = |when: usize| plan["total"]["macs"][when].as_f64().unwrap();
    let removed = 1.0 - macs(1) / macs(0);
    assert!((0.3..0.5).contains(&removed), "{removed}: channels are few");
    assert_eq!(plan["fitted_on"], "60 samples at hand");
}

#[test]
fn without_data_it_is_refused() {
    for options in [
        "criterion=hessian",
        "criterion=activation",
        "criterion=taylor",
        "criterion=fisher",
        "compensate=least-squares",
    ] {
        let error = run(options, false).1.unwrap_err();
        assert!(error.ends_with("needs data: give samples with --calib"), "{error}");
    }
}
