//! What a run says: JSON for scripts, words for people, colours for terminals alone.

use serde_json::Value;

use crate::workplace::Workplace;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn assert_has(value: &Value, wanted: &[&str]) {
    for key in wanted {
        assert!(value.get(key).is_some(), "no `{key}` in {value}");
    }
}

#[test]
fn opt_reports_in_json() {
    let place = Workplace::with_digits();
    let report = place.run(["opt", "model.onnx", "-o", "out.onnx", "--json"]).json();
    assert_has(&report, &["schema", "input", "output", "pipeline", "passes", "check", "notices"]);
    for file in [&report["input"], &report["output"]] {
        assert_has(file, &["path", "bytes", "nodes", "initializers", "parameters", "macs"]);
    }
    assert_eq!(report["input"]["path"], "model.onnx");
    assert_eq!(report["input"]["bytes"], place.read("model.onnx").len());
    assert_eq!(report["output"]["bytes"], place.read("out.onnx").len());
    for pass in report["passes"].as_array().unwrap() {
        assert_has(pass, &["name", "applied", "declined", "seconds"]);
    }
    assert_has(&report["check"], &["mode", "runner", "inputs", "max_error", "witness_error", "snr_db"]);
}

#[test]
fn the_report_also_goes_to_a_file() {
    let place = Workplace::with_digits();
    let printed = place.run(["opt", "model.onnx", "-o", "out.onnx", "--json", "--report", "report.json"]).json();
    let written: Value = serde_json::from_slice(&place.read("report.json")).unwrap();
    assert_eq!(keys(&printed), keys(&written));
}

#[test]
fn inspect_reports_in_json() {
    let summary = Workplace::with_digits().run(["inspect", "model.onnx", "--json"]).json();
    let wanted =
        ["ir_version", "opset", "producer", "bytes", "nodes", "op_counts", "initializers", "parameters", "macs"];
    assert_has(&summary, &wanted);
    assert_eq!((&summary["schema"], &summary["opset"], &summary["nodes"]), (&1.into(), &17.into(), &36.into()));
    assert_eq!(summary["inputs"][0]["name"], "image");
    assert_eq!(summary["inputs"][0]["type"], "float[N,1,8,8]");
    assert_eq!(summary["op_counts"]["Conv"], 4);
    // By hand: 9*24*64 + 3 * 9*24*24*16 in convolutions, 24*10 + 384*32 + 32*10 in linear layers.
    assert_eq!(summary["macs"], 13_824 + 248_832 + 240 + 12_288 + 320);
}

#[test]
fn passes_lists_in_json() {
    let place = Workplace::new();
    let listed = place.run(["passes", "--json"]).json();
    assert_has(&listed, &["schema", "passes", "presets"]);
    for pass in listed["passes"].as_array().unwrap() {
        assert_has(pass, &["name", "summary", "lossy", "options", "doc"]);
        let one = place.run(["passes", pass["name"].as_str().unwrap(), "--json"]).json();
        assert_eq!(&one["name"], &pass["name"]);
    }
}

#[test]
fn quiet_says_nothing_and_verbose_more() {
    let place = Workplace::with_digits();
    let said = |flags: &[&str]| {
        let outcome = place.run([&["opt", "model.onnx", "-o", "out.onnx"], flags].concat());
        outcome.assert_done();
        assert!(outcome.stdout.is_empty());
        outcome.stderr
    };
    assert_eq!(said(&["-q"]), "");
    assert!(said(&[]).contains("pipeline: "));
    // Lines, since milliseconds take more letters on a busy machine.
    assert!(said(&["-v"]).lines().count() >= said(&[]).lines().count());
    // Quiet about what went well, never about what did not.
    assert!(!place.refused(1, ["opt", "none.onnx", "-o", "out.onnx", "-p", "", "-q"]).is_empty());
}

#[test]
fn the_report_opens_with_the_pipeline_spelled_out() {
    let outcome = Workplace::with_digits().run(["opt", "model.onnx", "-o", "out.onnx"]);
    let first = outcome.assert_done().stderr.lines().find(|line| !line.starts_with("notice:")).unwrap();
    assert!(first.starts_with("pipeline: fixpoint("), "{first}");
    let again = first.trim_start_matches("pipeline: ");
    Workplace::with_digits().run(["opt", "model.onnx", "-o", "out.onnx", "-p", again]).assert_done();
}

#[test]
fn no_colours_where_there_is_no_terminal() {
    let place = Workplace::with_digits();
    for args in [
        &["opt", "model.onnx", "-o", "out.onnx"][..],
        &["opt", "model.onnx", "-o", "out.onnx", "-p", "oops"],
        &["--help"],
        &["inspect", "model.onnx"],
    ] {
        for value in [None, Some("1")] {
            let mut command = place.command(args);
            value.map(|value| command.env("NO_COLOR", value));
            let output = command.output().unwrap();
            assert!(!output.stderr.contains(&0x1b) && !output.stdout.contains(&0x1b), "{args:?}");
        }
    }
}

#[test]
fn the_same_run_gives_the_same_bytes_on_any_number_of_threads() {
    let place = Workplace::with_digits();
    let made = |threads: &str| {
        place.run(["opt", "model.onnx", "-o", "out.onnx", "--threads", threads]).assert_done();
        place.read("out.onnx")
    };
    let one = made("1");
    assert!(one == made("1") && one == made("2") && one == made("7"));
}

#[test]
fn the_report_can_be_a_page() {
    let place = Workplace::with_digits();
    place.run(["opt", "model.onnx", "-o", "out<b>.onnx", "--report", "report.html"]).assert_done();
    let page = String::from_utf8(place.read("report.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("eliminate-dead"), "{page}");
    assert!(page.contains("out&lt;b&gt;.onnx") && !page.contains("out<b>"), "{page}");
}
