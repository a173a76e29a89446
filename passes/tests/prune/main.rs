//! `prune-channels` on graphs made for it: what is cut comes out as text, and must compute what the witness computes, which is
//! the model whose removed channels are zero.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod compensate;
mod coupling;
mod heads;
#[path = "../rules/numbers.rs"]
mod numbers;
mod random;
mod requests;

use onnxpress_ir::{Constant, Model, NodeId};
use onnxpress_passes::manager::{self, Report, RunOptions};

/// Runs a pipeline over a graph.
fn run(pipeline: &str, graph: &str) -> (Model, Result<Report, String>) {
    let passes = onnxpress_passes::builtin().unwrap();
    let pipeline = passes.pipeline(pipeline).unwrap();
    let mut model = Model::from_text(graph).unwrap();
    let options = RunOptions { verify_each: true, ..RunOptions::default() };
    let report = manager::run(&pipeline, &mut model, options).map_err(|error| error.to_string());
    (model, report)
}

/// Prunes and proves; answers the constants that are left, those of integers with what they hold, or why nothing went.
fn pruned(options: &str, graph: &str) -> String {
    let (model, report) = run(&format!("prune-channels{{{options}}}"), graph);
    let report = match report {
        Ok(report) => report,
        Err(error) => return error,
    };
    for point in &report.checkpoints {
        numbers::compare(&point.expected, &point.actual, options);
    }
    if !report.changed {
        let reasons = report.passes[0].declined.iter().map(|decline| format!("{}: {}", decline.site, decline.reason));
        return reasons.collect::<Vec<_>>().join("\n");
    }
    let graph = &model.graph;
    let told = |(id, constant): (NodeId, &Constant)| {
        let (name, ty) = (graph.label(id.port(0)), graph.ty(id.port(0)));
        match constant.value.dense().and_then(|tensor| tensor.values::<i64>().ok()) {
            Some(values) => format!("{name}: {ty} = {values:?}"),
            None => format!("{name}: {ty}"),
        }
    };
    graph.constants().map(told).collect::<Vec<_>>().join("\n")
}
