//! Pipelines over random models: what comes out is valid, and computes the same.

use onnxpress::check::{CheckRequest, Mode, check_models};
use onnxpress::ir::Model;
use onnxpress::passes::manager::{self, Report, RunOptions};
use onnxpress::runner::{RunnerChoice, RunnerKind};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::random_models::{any_model, read, reordered, with_open_batch};

/// Runs a pipeline, verified after every pass.
fn run(pipeline: &str, model: &mut Model) -> Report {
    let pipeline = onnxpress::passes::builtin().unwrap().pipeline(pipeline).unwrap();
    let options = RunOptions { verify_each: true, ..RunOptions::default() };
    manager::run(&pipeline, model, options).unwrap_or_else(|error| panic!("{error}\n{}", model.to_text()))
}

/// Fails unless both compute the same, by the interpreter.
fn assert_same(before: &Model, after: &Model) {
    let runner = RunnerChoice { kind: RunnerKind::Interpreter, ..RunnerChoice::default() };
    let request = CheckRequest { mode: Mode::Strict, runner, seeds: 1, ..CheckRequest::default() };
    let checked = check_models(before, after, None, &request);
    checked.unwrap_or_else(|error| panic!("{error}\n{}\nbecame\n{}", before.to_text(), after.to_text()));
}

/// Passes that need no model of their own kind, in any order and number, now and then in a group that runs until it settles.
fn any_pipeline() -> impl Strategy<Value = String> {
    (proptest::collection::vec(any::<Index>(), 0..5), any::<bool>()).prop_map(|(chosen, settles)| {
        let passes = onnxpress::passes::builtin().unwrap();
        let names: Vec<_> = passes.passes().filter(|pass| !pass.lossy).map(|pass| pass.name).collect();
        let text = chosen.iter().map(|index| *index.get(&names)).collect::<Vec<_>>().join(",");
        if settles && !text.is_empty() { format!("fixpoint({text})") } else { text }
    })
}

proptest! {
    #![proptest_config(crate::config(64))]

    /// Whatever `simplify` does: the model stays valid and computes the same, has no more nodes, and nothing is left to do.
    #[test]
    fn simplify_is_sound_and_final((text, open) in (any_model(14), any::<bool>())) {
        let text = if open { with_open_batch(&text) } else { text };
        let before = read(&text);
        let mut once = before.clone();
        run("simplify", &mut once);
        assert_same(&before, &once);
        prop_assert!(once.node_count() <= before.node_count(), "{}\nbecame\n{}", text, once.to_text());
        let mut twice = once.clone();
        let again = run("simplify", &mut twice);
        prop_assert!(!again.changed, "{}\nstill became\n{}", once.to_text(), twice.to_text());
    }

    /// It does not matter in which order the file lists the nodes: the same operators are left.
    #[test]
    fn simplify_asks_for_no_order((text, seed) in (any_model(14), any::<usize>())) {
        let left = |text: &str| {
            let mut model = read(text);
            run("simplify", &mut model);
            let mut operators: Vec<String> = model.graph.nodes().map(|(_, node)| node.op_type.to_string()).collect();
            operators.sort();
            operators
        };
        prop_assert_eq!(left(&text), left(&reordered(&text, seed)), "{}", text);
    }

    /// The same of passes in any order.
    #[test]
    fn passes_are_sound_in_any_order((text, pipeline) in (any_model(10), any_pipeline())) {
        let before = read(&text);
        let mut after = before.clone();
        run(&pipeline, &mut after);
        assert_same(&before, &after);
    }

    /// The same model and pipeline give the same text.
    #[test]
    fn runs_repeat((text, pipeline) in (any_model(10), any_pipeline())) {
        let made = || {
            let mut model = read(&text);
            run(&pipeline, &mut model);
            model.to_text()
        };
        prop_assert_eq!(made(), made());
    }
}
