//! Quantizing passes on graphs made for it: what they make of it comes out as text, and must compute what the witness computes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod blocks;
mod dequantize;
mod dynamic;
#[path = "../rules/numbers.rs"]
mod numbers;
mod weights;

use std::fmt::Write;

use onnxpress_ir::Model;
use onnxpress_ir::text::{Form, print_model};
use onnxpress_passes::manager::{self, Report, RunOptions};
use onnxpress_passes::pass::{Files, Request};

/// A file that passes may read, whatever they call it.
struct Only(String);

impl Files for Only {
    fn read(&self, _: &str) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

/// Runs a pipeline over a graph; `file` is what passes may read.
fn run(pipeline: &str, graph: &str, file: &str) -> (Model, Result<Report, String>) {
    let passes = onnxpress_passes::builtin().unwrap();
    let pipeline = passes.pipeline(pipeline).unwrap();
    let mut model = Model::from_text(graph).unwrap();
    let only = Only(file.to_owned());
    let request = Request { plans: true, files: Some(&only), ..Request::default() };
    let options = RunOptions { verify_each: true, request, ..RunOptions::default() };
    let report = manager::run(&pipeline, &mut model, options).map_err(|error| error.to_string());
    (model, report)
}

/// Runs a pipeline and proves the result; answers the model, what was left alone, and what the user is told.
fn proven(pipeline: &str, graph: &str) -> String {
    let (model, report) = run(pipeline, graph, "");
    let report = match report {
        Ok(report) => report,
        // The pipeline with all its options says nothing here.
        Err(error) => return error.split_once("}: ").map_or(error.clone(), |(_, error)| error.to_owned()),
    };
    for point in &report.checkpoints {
        match point.tolerance {
            None => numbers::compare(&point.expected, &point.actual, pipeline),
            Some(tolerance) => numbers::compare_within(&point.expected, &point.actual, pipeline, tolerance),
        }
    }
    let mut text = match report.changed {
        true => print_model(&model, &Form { types: false, ..Form::brief() }),
        false => "unchanged\n".to_owned(),
    };
    for decline in report.passes.iter().flat_map(|pass| &pass.declined) {
        writeln!(text, "left: {}: {}", decline.site, decline.reason).unwrap();
    }
    report.notices.iter().for_each(|notice| writeln!(text, "notice: {notice}").unwrap());
    text
}
