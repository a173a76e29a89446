//! Runs quantizing passes with samples at hand, and compares what models compute.

#![allow(clippy::unwrap_used, clippy::panic)]

use onnxpress_ir::{Model, Tensor};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::interpret::{self, Limits};

use crate::evidence::EvidenceSource;
use crate::evidence::testing::AtHand;
pub(super) use crate::evidence::testing::typed;
use crate::manager::{self, Report, RunOptions};
use crate::pass::{Files, Request};

/// Samples at hand.
const SAMPLES: usize = 40;

struct Only(String);

impl Files for Only {
    fn read(&self, _: &str) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

/// Runs a pipeline over a model with one input, with samples of these extents or without any.
pub(super) fn run(pipeline: &str, text: &str, data: Option<&[usize]>) -> (Model, Result<Report, String>) {
    with_file(pipeline, text, data, String::new())
}

fn with_file(pipeline: &str, text: &str, data: Option<&[usize]>, file: String) -> (Model, Result<Report, String>) {
    let passes = crate::builtin().unwrap();
    let pipeline = passes.pipeline(pipeline).unwrap();
    let mut model = typed(text);
    let source = data.map(|dims| AtHand::new(SAMPLES, dims));
    let evidence = source.as_ref().map(|source| source as &dyn EvidenceSource);
    let only = Only(file);
    let request = Request { plans: true, files: Some(&only), evidence, ..Request::default() };
    let report =
        manager::run(&pipeline, &mut model, RunOptions { verify_each: true, request, ..RunOptions::default() });
    (model, report.map_err(|error| error.to_string()))
}

/// Applies a plan.
pub(super) fn apply(plan: &serde_json::Value, text: &str, data: Option<&[usize]>) -> Result<Model, String> {
    let (model, report) = with_file("apply-plan{file=plan}", text, data, plan.to_string());
    report.map(|_| model)
}

/// What a model with one input gives out for samples that were not among those at hand.
fn outputs(model: &Model) -> Vec<f64> {
    let id = model.graph.inputs()[0];
    let shape = model.graph.ty(id.port(0)).shape().unwrap();
    let dims: Vec<usize> = shape.iter().skip(1).map(|dim| dim.as_const().unwrap() as usize).collect();
    let samples = AtHand::new(SAMPLES + 8, &dims).samples[SAMPLES..].concat();
    let input = Tensor::from_values(&[&[8], &dims[..]].concat(), samples).unwrap();
    let outputs = interpret::run(model, vec![Some(Value::Tensor(input))], Limits::default()).unwrap();
    let Value::Tensor(y) = &outputs[0] else { panic!("no tensor") };
    y.to_f64s().unwrap()
}

/// The root of the mean square of the difference, as a share of that of the first.
pub(super) fn error(a: &Model, b: &Model) -> f64 {
    let (a, b) = (outputs(a), outputs(b));
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let off = squares(&mut a.iter().zip(&b).map(|(a, b)| a - b));
    (off / squares(&mut a.iter().copied()).max(f64::MIN_POSITIVE)).sqrt()
}
