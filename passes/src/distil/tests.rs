#![allow(clippy::unwrap_used, clippy::panic)]

use std::cell::Cell;

use onnxpress_ir::{Model, Tensor};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::interpret::{self, Limits};

use super::state::testing::OneFile;
use super::{Distil, LearningRate};
use crate::evidence::testing::{AtHand, typed, value};
use crate::evidence::{EvidenceError, EvidenceSource, Execute, Feed};
use crate::manager::{self, Report, RunOptions};
use crate::pass::{Pass as _, PassCx, Request};

/// A perceptron whose first layer is twice as wide as it need be.
const NET: &str = r#"
    <ir_version: 8, opset_import: ["" : 13]>
    net (float[N,4] x) => (float[N,3] y)
    <float[4,12] a = normal(seed=1, std=0.7), float[12] b = splat(0), float[12,3] c = normal(seed=2, std=0.7)> {
        one = MatMul(x, a)
        two = Add(one, b)
        three = Relu(two)
        y = MatMul(three, c)
    }"#;

fn run(pipeline: &str, data: bool) -> (Model, Result<Report, String>) {
    run_on(NET, pipeline, data)
}

fn run_on(net: &str, pipeline: &str, data: bool) -> (Model, Result<Report, String>) {
    let passes = crate::builtin().unwrap();
    let pipeline = passes.pipeline(pipeline).unwrap();
    let mut model = typed(net);
    let source = AtHand::new(160, &[4]);
    let evidence = data.then_some(&source as &dyn crate::evidence::EvidenceSource);
    let request = Request { evidence, ..Request::default() };
    let options = RunOptions { verify_each: true, request, ..RunOptions::default() };
    let report = manager::run(&pipeline, &mut model, options);
    (model, report.map_err(|error| error.to_string()))
}

/// The mean square of the differences from the original's outputs, on samples that nobody was shown.
fn distance(model: &Model) -> f64 {
    distance_to(NET, model)
}

fn distance_to(net: &str, model: &Model) -> f64 {
    let samples = AtHand::new(64, &[4]).samples.concat().iter().map(|x| 0.9 * x + 0.05).collect::<Vec<f32>>();
    let x = Tensor::from_values(&[64, 4], samples).unwrap();
    let outputs = |model: &Model| {
        let given = vec![Some(Value::Tensor(x.clone()))];
        interpret::run(model, given, Limits::default()).unwrap()[0].as_tensor().unwrap().to_f64s().unwrap()
    };
    let (ours, theirs) = (outputs(model), outputs(&typed(net)));
    ours.iter().zip(&theirs).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / ours.len() as f64
}

fn zeros(model: &Model) -> usize {
    let tensor = model.graph.constant(value(model, "a")).unwrap();
    tensor.to_f32s().unwrap().iter().filter(|x| **x == 0.0).count()
}

#[test]
fn what_pruning_lost_is_won_back() {
    let pruned = "prune-channels{ratio=0.3, compensate=false}";
    let (before, _) = run(pruned, true);
    let (after, report) = run(&format!("{pruned},distil{{loss=mse}}"), true);
    let report = report.unwrap();
    assert!(distance(&after) < 0.3 * distance(&before), "{} of {}", distance(&after), distance(&before));
    assert!(
        report.notices.iter().any(|notice| notice.starts_with("agreement with the teacher on 32 samples held out: "))
    );
    let again = run(&format!("{pruned},distil{{loss=mse}}"), true).0;
    assert_eq!(again.to_text(), after.to_text(), "the same request gives the same weights");
}

#[test]
fn values_inside_win_back_what_pruning_lost_all_at_once_and_block_by_block() {
    let pruned = "prune-channels{ratio=0.3, compensate=false}";
    let before = distance(&run(pruned, true).0);
    for options in ["", "mode=block"] {
        let (after, report) = run(&format!("{pruned},distil{{{options}}}"), true);
        let notices = report.unwrap().notices;
        assert!(notices.contains(&"compared inside: `two`".to_owned()), "{notices:?}");
        assert!(distance(&after) < 0.5 * before, "{options}: {} of {before}", distance(&after));
    }
}

#[test]
fn zeros_stay_zero() {
    let (sparse, _) = run("sparsify{sparsity=0.5}", true);
    let (trained, _) = run("sparsify{sparsity=0.5},distil{epochs=10, lr=0.002, loss=mse}", true);
    assert!(zeros(&sparse) > 10 && zeros(&trained) == zeros(&sparse));
}

#[test]
fn codes_stay_codes_and_are_better_ones() {
    let (rounded, _) = run("quantize-weights{bits=4}", true);
    let (trained, report) = run("quantize-weights{bits=4},distil{loss=mse}", true);
    report.unwrap();
    assert!(distance(&trained) < 0.9 * distance(&rounded), "{} of {}", distance(&trained), distance(&rounded));
    let constants = |model: &Model| {
        let types = model.graph.constants().filter_map(|(id, _)| Some(model.graph.constant(id.port(0))?.dtype()));
        types.collect::<Vec<_>>()
    };
    assert_eq!(constants(&trained), constants(&rounded));
    assert!(constants(&trained).iter().any(|dtype| !dtype.is_float()));
}

#[test]
fn tables_move_unless_places_may() {
    let wide = NET.replace("12", "96");
    let of = |options: &str| run_on(&wide, &format!("palettize{{bits=3, data=false}}{options}"), true).0;
    let distance = |model: &Model| distance_to(&wide, model);
    let (plain, trained, reassigned) = (of(""), of(",distil{loss=mse}"), of(",distil{loss=mse, reassign=true}"));
    let distances = [&plain, &trained, &reassigned].map(distance);
    assert!(distances[1] < distances[0] && distances[2] < distances[0], "{distances:?}");
    let constants = |model: &Model, floats: bool| {
        let all = model.graph.constants().filter_map(|(id, _)| model.graph.constant(id.port(0)));
        let some = all.filter(|tensor| tensor.dtype().is_float() == floats && tensor.len() > 1);
        some.map(|tensor| tensor.to_f64s().unwrap()).collect::<Vec<_>>()
    };
    assert!(constants(&trained, false) == constants(&plain, false));
    let tables =
        |model: &Model| constants(model, true).into_iter().filter(|table| table.len() == 8).collect::<Vec<_>>();
    assert_ne!(tables(&trained), tables(&plain));
    assert_eq!(tables(&reassigned), tables(&plain));
}

#[test]
fn a_student_as_good_as_its_teacher_stays() {
    for options in ["epochs=2", "epochs=2, loss=mse", "epochs=2, lr=0.0001", "epochs=2, lr=0.0001, loss=mse"] {
        let (model, report) = run(&format!("distil{{{options}}}"), true);
        assert!(!report.unwrap().changed, "{options}");
        assert_eq!(model.to_text(), typed(NET).to_text());
    }
}

#[test]
fn requests_that_cannot_be_met_say_why() {
    let refused = |options: &str, data: bool| run(&format!("distil{{{options}}}"), data).1.unwrap_err();
    assert!(refused("", false).ends_with("distil needs data: give samples with --calib"));
    let renamed = "prune-channels{ratio=0.3},distil{mode=block, frozen=[\"a\", \"b\", \"c\"]}";
    assert!(run(renamed, true).1.unwrap_err().ends_with("the model has nothing to train"));
    assert!(refused("alpha=1.5", true).ends_with("`alpha` is 1.5, expected 0 to 1"));
    assert!(refused("alpha=0.5", true).ends_with("`alpha` is 0.5, which needs labels: the samples have none"));
    assert!(
        refused("alpha=0.5, augment=[mix]", true)
            .ends_with("`augment` has `mix`, of which no label holds: expected other ways, or an `alpha` of 1")
    );
    assert!(refused("temperature=0", true).ends_with("`temperature` is 0, expected a number above 0"));
    assert!(refused("lr=0", true).ends_with("`lr` is 0, expected a number above 0"));
    assert!(
        refused("optimizer=sgd", true).ends_with("`lr` is `auto`, which is for `adam`: expected a number for `sgd`")
    );
    assert!(refused("epochs=0", true).ends_with("`epochs` is 0, expected at least 1"));
    assert!(refused("batch=100, held-out=0.9", true).contains("160 samples are too few to hold out 160"));
    assert!(refused("frozen=[\"*\"]", true).ends_with("the model has nothing to train"));
    let pruned = "prune-channels{ratio=0.3},distil{lr=1e6, optimizer=sgd, loss=mse}";
    assert!(run(pruned, true).1.unwrap_err().contains("the training diverged: a loss of "));
}

#[test]
fn a_loss_that_is_no_number_ends_the_search_for_a_rate() {
    // Of a negative input the root is no number, at whatever rate.
    let net = NET.replace("y = MatMul(three, c)", "four = MatMul(three, c)\n        y = Sqrt(four)");
    let error = run_on(&net, "prune-channels{ratio=0.3, compensate=false},distil", true).1.unwrap_err();
    assert!(error.contains("the training diverged: a loss of NaN"), "{error}");
}

/// Samples that somebody wants no more of after a while, and a file.
struct Leaving<'s> {
    samples: &'s AtHand,
    /// How often it may be asked whether to go on.
    patience: Cell<usize>,
}

impl EvidenceSource for Leaving<'_> {
    fn describe(&self) -> String {
        self.samples.describe()
    }
    fn samples(&self) -> usize {
        self.samples.samples()
    }
    fn is_synthetic(&self) -> bool {
        false
    }
    fn feed(
        &self,
        model: &Model,
        batch: usize,
        each: &mut dyn FnMut(Feed<'_>) -> Result<(), EvidenceError>,
    ) -> Result<(), EvidenceError> {
        self.samples.feed(model, batch, each)
    }
    fn load<'m>(&self, model: &'m Model) -> Result<Box<dyn Execute + 'm>, EvidenceError> {
        self.samples.load(model)
    }
    fn interrupted(&self) -> bool {
        let left = self.patience.get();
        self.patience.set(left.saturating_sub(1));
        left == 0
    }
}

/// A training that goes on in a file as long as `patience` lasts.
fn attempt(pipeline: &str, file: &OneFile, patience: usize) -> (Model, Result<Report, String>) {
    let mut model = typed(NET);
    let pipeline = crate::builtin().unwrap().pipeline(pipeline).unwrap();
    let samples = AtHand::new(160, &[4]);
    let source = Leaving { samples: &samples, patience: Cell::new(patience) };
    let request = Request { evidence: Some(&source), files: Some(file), ..Request::default() };
    let report = manager::run(&pipeline, &mut model, RunOptions { request, ..RunOptions::default() });
    (model, report.map_err(|error| error.to_string()))
}

#[test]
fn a_training_goes_on_where_it_was_left() {
    let pipeline = "prune-channels{ratio=0.3, compensate=false},distil{epochs=4, state=kept, augment=[noise]}";
    let (whole, _) = attempt(pipeline, &OneFile::default(), usize::MAX);
    let file = OneFile::default();
    let interrupted = |report: Result<Report, String>| {
        report.unwrap().notices.contains(&"interrupted: the best so far is kept".to_owned())
    };
    assert!(interrupted(attempt(pipeline, &file, 3).1), "while rates are tried");
    assert!(!file.is_written());
    let tried = crate::distil::rate::spent(4 * 4);
    assert!(interrupted(attempt(pipeline, &file, tried + 7).1), "in the second epoch");
    assert!(file.is_written());
    let (resumed, report) = attempt(pipeline, &file, 4 * 3);
    assert!(!interrupted(report));
    assert_eq!(resumed.to_text(), whole.to_text());
    let (again, report) = attempt(pipeline, &file, 0);
    assert!(!interrupted(report), "nothing is left to do");
    assert_eq!(again.to_text(), whole.to_text());
    let other = attempt(&pipeline.replace("epochs=4", "epochs=5"), &file, usize::MAX).1.unwrap_err();
    assert!(other.contains("`state` `kept`: it is of another request: distil{teacher=original"), "{other}");
    let other = attempt(&pipeline.replace("ratio=0.3", "ratio=0.5"), &file, usize::MAX).1.unwrap_err();
    assert!(other.ends_with("`state` `kept`: it is of another student"), "{other}");
    let block = attempt(&pipeline.replace("epochs=4", "mode=block"), &file, usize::MAX).1.unwrap_err();
    assert!(block.ends_with("`state` is given, which is for `mode=end-to-end`: blocks are trained anew"), "{block}");
}

/// Two layers, of which a pass scales the channels between to the benefit of one.
#[test]
fn values_that_are_scaled_otherwise_are_not_compared() {
    let teacher = typed(NET);
    let mut student = teacher.clone();
    for name in ["a", "b"] {
        let id = value(&student, name);
        let tensor = student.graph.constant(id).unwrap().clone();
        let values: Vec<f32> =
            tensor.to_f32s().unwrap().iter().enumerate().map(|(at, x)| x * (1 + at % 3) as f32).collect();
        student.graph.set_constant(id.node, Tensor::from_values(tensor.dims(), values).unwrap());
    }
    let source = AtHand::new(160, &[4]);
    let mut cx = PassCx::new(Request { evidence: Some(&source), before_loss: Some(&teacher), ..Request::default() });
    let distil = Distil { epochs: 1, lr: LearningRate::Percent(0.1), ..Distil::default() };
    distil.run(&mut student, &mut cx).unwrap();
    let [decline] = cx.declines() else { panic!("{:?}", cx.declines()) };
    assert_eq!(decline.site, "two");
    assert_eq!(decline.reason, "its channels are scaled otherwise than the teacher's");
}
