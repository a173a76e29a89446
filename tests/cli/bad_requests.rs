//! Command lines that make no sense: exit code 2, before any file is read.

use insta::assert_snapshot;

use crate::workplace::Workplace;

fn usage(args: &[&str]) -> String {
    Workplace::with_digits().refused(2, args)
}

#[test]
fn a_pipeline_with_a_typo() {
    let typo = |pipeline| usage(&["opt", "model.onnx", "-o", "out.onnx", "-p", pipeline]);
    assert_snapshot!(typo("simplfy"), @"
    error: unknown pass `simplfy`
     --> pipeline:1:1
      |
    1 | simplfy
      | ^^^^^^^
      |
      = help: did you mean `simplify`?
    ");
    assert_snapshot!(typo("infer-shapes,,simplify"), @"
    error: expected a pass name, found `,`
     --> pipeline:1:14
      |
    1 | infer-shapes,,simplify
      |              ^
    ");
    assert_snapshot!(typo("fixpoint(infer-shapes"), @"
    error: this parenthesis is never closed
     --> pipeline:1:9
      |
    1 | fixpoint(infer-shapes
      |         ^
    ");
    assert_snapshot!(typo("infer-shapes{strict=perhaps}"), @"
    error: `infer-shapes`: unknown option `strict`
     --> pipeline:1:14
      |
    1 | infer-shapes{strict=perhaps}
      |              ^^^^^^
      |
      = help: it has no options
    ");
    assert_snapshot!(typo("simplify{depth=2}"), @"
    error: preset `simplify` takes no options
     --> pipeline:1:10
      |
    1 | simplify{depth=2}
      |          ^^^^^
      |
      = help: it stands for `fixpoint(inline-functions{when=no-larger},canonicalize,dedupe-initializers,eliminate-common-subexpressions,eliminate-dead)`, whose options can be set where they are written out
    ");
}

#[test]
fn a_typo_is_found_before_the_model_is_opened() {
    Workplace::new().refused(2, ["opt", "none.onnx", "-o", "out.onnx", "-p", "simplfy"]);
}

#[test]
fn names_that_nothing_has() {
    let opt = |args: &[&str]| usage(&[&["opt", "model.onnx", "-o", "out.onnx"], args].concat());
    assert_snapshot!(opt(&["--preset", "smaller"]), @"
    error: there is no preset `smaller`
      help: `onnxpress passes` lists them
    ");
    assert_snapshot!(opt(&["-p", "", "--stop-after", "infer-shape"]), @"
    error: there is no pass `infer-shape`
      help: `onnxpress passes` lists them
    ");
    assert_snapshot!(usage(&["passes", "infer-shape"]), @"
    error: there is no pass or preset `infer-shape`
      help: did you mean `infer-shapes`?
    ");
}

#[test]
fn arguments_that_do_not_fit() {
    usage(&["opt", "model.onnx"]);
    usage(&["opt", "-o", "out.onnx"]);
    usage(&["opt", "model.onnx", "-o", "out.onnx", "-p", "", "--preset", "simplify"]);
    usage(&["opt", "model.onnx", "-o", "out.onnx", "--embed", "--external-data", "w.bin"]);
    usage(&["opt", "model.onnx", "-o", "out.onnx", "-q", "-v"]);
    usage(&["opt", "model.onnx", "-o", "out.onnx", "--threads", "1000000"]);
    usage(&["opt", "model.onnx", "-o", "out.onnx", "--check", "hopefully"]);
    assert_snapshot!(usage(&["opt", "model.onnx", "-o", "-", "-p", "", "--external-data", "w.bin"]), @"
    error: standard output has no folder for a data file
      help: give -o a file
    ");
    assert_snapshot!(usage(&["inspect", "model.onnx", "--graph", "graph.png"]), @"
    error: a graph is drawn as .svg or .dot
      help: --graph model.svg
    ");
    assert_snapshot!(usage(&["squeeze", "model.onnx"]), @"
    error: unrecognized subcommand 'squeeze'

    Usage: onnxpress [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn help_and_version_are_no_errors() {
    for args in [&["--help"][..], &["--version"], &["opt", "--help"], &["inspect", "--help"], &["help", "run"]] {
        let outcome = Workplace::new().run(args);
        outcome.assert_done();
        assert!(outcome.stderr.is_empty() && !outcome.stdout.is_empty());
    }
    for command in ["opt", "inspect", "run", "compare", "eval", "dump", "parse", "passes", "completions"] {
        let help = Workplace::new().run([command, "--help"]).stdout;
        assert!(String::from_utf8_lossy(&help).contains("Example"), "{command} --help shows no example");
    }
}
