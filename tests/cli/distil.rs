//! `distil` from the command line: what it says of a training, and what cannot be trained.

use insta::assert_snapshot;
use onnxpress::ir::Tensor;
use onnxpress::npz;
use onnxpress::ops::evaluate::Value;

use crate::workplace::{Workplace, opt};

const CALIB: [&str; 2] = ["--calib", "samples.npz"];

#[test]
fn a_training_that_cannot_be() {
    let place = Workplace::with_digits_and_samples();
    assert_snapshot!(place.refused(2, opt("distil{lr=fast}", &[])), @r"
    error: `distil`: option `lr` takes `auto`, number or percentage, found `fast`
     --> pipeline:1:11
      |
    1 | distil{lr=fast}
      |           ^^^^
    ");
    assert_snapshot!(place.refused(2, opt("differentiate{memory=0}", &[])), @r"
    error: `differentiate`: option `memory` takes a number in (0, 1], found `0`
     --> pipeline:1:22
      |
    1 | differentiate{memory=0}
      |                      ^
    ");
    // The options, which are many, stand before the reason.
    let reason = |pipeline: &str, more: &[&str]| {
        place.refused(1, opt(pipeline, more)).rsplit("}: ").next().unwrap().lines().next().unwrap().to_owned()
    };
    assert_snapshot!(reason("distil", &[]), @"distil needs data: give samples with --calib");
    assert_snapshot!(reason("distil{frozen=[*]}", &CALIB), @"the model has nothing to train");
    assert_snapshot!(reason("distil{lr=-1%}", &CALIB), @"`lr` is -1%, expected a number above 0");
    assert_snapshot!(
        reason("distil{lr=2%, optimizer=sgd}", &CALIB),
        @"`lr` is `2%`, which is for `adam`: expected a number for `sgd`"
    );
    assert_snapshot!(
        reason("distil{mode=block, state=kept}", &CALIB),
        @"`state` is given, which is for `mode=end-to-end`: blocks are trained anew"
    );
    place.write("kept", b"something else\n");
    assert_snapshot!(reason("distil{state=kept}", &CALIB), @"`state` `kept`: it is no state of a training");
    assert_snapshot!(reason("distil{alpha=2}", &CALIB), @"`alpha` is 2, expected 0 to 1");
    assert_snapshot!(reason("distil{held-out=1}", &CALIB), @"`held-out` is 1, expected between 0 and 1");
    assert_snapshot!(
        reason("prune-channels{criterion=taylor}", &[]),
        @"`criterion` needs data: give samples with --calib"
    );
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

/// Where the system says what a process holds, it is known within a fifth before the training begins.
#[test]
#[cfg(target_os = "linux")]
fn what_a_training_takes_is_said_before_it_begins() {
    let place = Workplace::with_digits_and_samples();
    for options in ["", ", memory=0.5", ", mode=block"] {
        let pipeline = format!("prune-channels{{ratio=0.5}},distil{{epochs=2, lr=1%, batch=64{options}}}");
        let ran = place.run(opt(&pipeline, &[&CALIB[..], &["--json", "--samples", "320"]].concat()));
        let notices = ran.assert_done().json()["notices"].to_string();
        let said = notices.split_once("memory of the process: about ").unwrap().1;
        let numbers: Vec<f64> = said.split(' ').filter_map(|word| word.parse().ok()).take(2).collect();
        let [foreseen, held] = numbers[..] else { panic!("{notices}") };
        assert!((foreseen / held - 1.0).abs() < 0.2, "{notices}");
    }
}

#[test]
fn a_training_that_is_kept_is_not_done_again() {
    let place = Workplace::with_digits_and_samples();
    let pipeline = "prune-channels{ratio=0.5},distil{epochs=2, lr=1%, batch=64, state=kept}";
    let more = [&CALIB[..], &["--samples", "320"]].concat();
    place.run(opt(pipeline, &more)).assert_done();
    let (first, kept) = (place.read("out.onnx"), place.read("kept"));
    place.run(opt(pipeline, &more)).assert_done();
    assert!(first == place.read("out.onnx") && kept == place.read("kept"));
    let other = place.refused(1, opt(&pipeline.replace("batch=64", "batch=32"), &more));
    assert!(other.contains("`state` `kept`: it is of another request: distil{"), "{other}");
}

#[test]
fn labels_count_where_they_are_wanted() {
    let place = Workplace::with_digits_and_samples();
    let pipeline =
        "prune-channels{ratio=0.7, compensate=false},distil{alpha=0, epochs=2, lr=1%, batch=64, loss=kl, augment=[]}";
    let ran = place.run(opt(pipeline, &[&CALIB[..], &["--json", "--samples", "320"]].concat()));
    let notices = ran.assert_done().json()["notices"].to_string();
    let losses = notices.split_once("(loss ").unwrap().1.split_once(';').unwrap().0;
    let (before, after) = losses.split_once(", then ").unwrap();
    let (before, after): (f64, f64) = (before.parse().unwrap(), after.parse().unwrap());
    assert!(after < before, "{notices}");
}

#[test]
fn a_recurrent_step_is_run_by_tract_as_by_the_interpreter() {
    let place = Workplace::new();
    let text = r#"<ir_version: 8, opset_import: ["" : 17]> g (float[5,2,4] x) => (float[5,1,2,3] y)
        <float[1,9,4] w = normal(seed=1), float[1,9,3] r = normal(seed=2), float[1,18] b = normal(seed=3), int32[2] l = {3, 5}>
        { y = GRU<hidden_size = 3>(x, w, r, b, l) }"#;
    std::fs::write(place.path("in.onnxtxt"), text).unwrap();
    place.run(["parse", "in.onnxtxt", "-o", "model.onnx"]).assert_done();
    place.run(opt("differentiate{loss=mse}", &[])).assert_done();
    let numbers = |dims: &[usize], by: f32| {
        let values = (0..dims.iter().product()).map(|at: usize| ((at as f32) * by).sin()).collect::<Vec<f32>>();
        Value::Tensor(Tensor::from_values(dims, values).unwrap())
    };
    let (x, wanted) = (numbers(&[5, 2, 4], 0.7), numbers(&[5, 1, 2, 3], 1.3));
    npz::write(&place.path("x.npz"), [("x".to_owned(), &x), ("teacher".to_owned(), &wanted)]).unwrap();
    let ran = |runner: &str| {
        place.run(["run", "out.onnx", "--inputs", "x.npz", "--runner", runner, "-o", "y.npz"]).assert_done();
        npz::read(&place.path("y.npz")).unwrap()
    };
    let (ours, oracle) = (ran("tract"), ran("interpreter"));
    assert_eq!(ours.len(), 4, "a loss and three gradients");
    for ((name, ours), (_, oracle)) in ours.iter().zip(&oracle) {
        let values = |tensor: &Tensor| tensor.to_f64s().unwrap();
        let (ours, oracle) = (values(ours), values(oracle));
        let peak = oracle.iter().fold(0.0f64, |peak, x| peak.max(x.abs()));
        assert!(peak > 0.0 && ours.iter().zip(&oracle).all(|(a, b)| (a - b).abs() < 1e-5 * peak), "{name}");
    }
}
