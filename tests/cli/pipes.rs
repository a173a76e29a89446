//! `-` for files, readers that hang up, and OUT that is IN.

use std::io::Read as _;
use std::process::Stdio;

use crate::workplace::{Workplace, digits};

#[test]
fn dash_reads_and_writes_the_standard_streams() {
    let place = Workplace::new();
    let outcome = place.run_with_stdin(["opt", "-", "-o", "-", "-p", ""], &digits());
    outcome.assert_done();
    assert!(outcome.stdout == digits(), "an empty pipeline changed the model");
    assert!(place.files().is_empty());
    let json = place.run_with_stdin(["inspect", "-", "--json"], &digits()).json();
    assert_eq!(json["opset"], 17);
}

#[test]
fn words_do_not_mix_with_a_model_on_standard_output() {
    let place = Workplace::with_digits();
    let outcome = place.run(["opt", "model.onnx", "-o", "-", "-p", "", "-v", "--json"]);
    outcome.assert_done();
    assert!(outcome.stdout == digits());
}

#[test]
fn out_may_be_in() {
    let place = Workplace::with_digits();
    place.run(["opt", "model.onnx", "-o", "other.onnx"]).assert_done();
    place.run(["opt", "model.onnx", "-o", "model.onnx"]).assert_done();
    assert!(place.read("model.onnx") == place.read("other.onnx"));
    assert_eq!(place.files().len(), 2);
}

#[test]
#[cfg(unix)]
fn a_link_as_output_keeps_what_it_is() {
    let place = Workplace::with_digits();
    std::os::unix::fs::symlink("model.onnx", place.path("link.onnx")).unwrap();
    place.run(["opt", "model.onnx", "-o", "link.onnx", "-p", ""]).assert_done();
    assert!(place.path("link.onnx").is_symlink());
}

#[test]
fn a_reader_that_hangs_up_is_no_error() {
    let place = Workplace::with_digits();
    let several: &[&[&str]] = &[
        &["opt", "model.onnx", "-o", "-", "-p", ""],
        &["inspect", "model.onnx"],
        &["inspect", "model.onnx", "--json"],
        &["completions", "bash"],
        &["passes"],
    ];
    for args in several {
        let mut child = place.command(*args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{args:?}: {said}");
        assert!(!said.contains("error") && !said.contains("panicked"), "{args:?}: {said}");
    }
}

#[test]
fn words_that_nobody_reads_are_not_missed() {
    let place = Workplace::with_digits();
    let several: &[(&[&str], i32)] = &[
        (&["opt", "model.onnx", "-o", "out.onnx", "-p", "simplify", "-v"], 0),
        (&["opt", "model.onnx", "-o", "out.onnx", "-p", "simplify", "--print-after", "*"], 0),
        (&["opt", "missing.onnx", "-o", "out.onnx", "-p", "simplify"], 1),
        (&["opt", "model.onnx", "-o", "out.onnx", "-p", "simplify{"], 2),
    ];
    for (args, code) in several {
        let mut child = place.command(*args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stderr.take());
        assert_eq!(child.wait().unwrap().code(), Some(*code), "{args:?}");
    }
}
