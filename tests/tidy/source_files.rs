//! How source files look.

use std::path::Path;

use crate::{files, text};

/// The most lines of a source file: beyond, it holds more than one idea.
const LINES: usize = 600;

/// Names that say nothing of what is in a room.
const NAMELESS: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "stuff", "shared", "general"];

fn sources() -> Vec<String> {
    let all = files(&["proto", "ir", "ops", "passes", "src", "tests", "benches", "examples", "fuzz"]);
    let rust = all.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| path.to_str().unwrap().to_owned()).collect()
}

/// Tests in a file of their own belong to the module that they test, which has said what it is for.
fn is_tests_of_a_module(path: &str) -> bool {
    Path::new(path).file_name().is_some_and(|name| name == "tests.rs")
}

#[test]
fn every_module_opens_with_what_it_is_for() {
    let silent: Vec<_> =
        sources().into_iter().filter(|path| !is_tests_of_a_module(path) && !text(path).starts_with("//! ")).collect();
    assert!(silent.is_empty(), "no `//!` at the top: {silent:#?}");
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> = sources().into_iter().filter(|path| text(path).lines().count() > LINES).collect();
    assert!(long.is_empty(), "more than {LINES} lines: {long:#?}");
}

#[test]
fn no_room_is_nameless() {
    let nameless = |path: &String| {
        Path::new(path).components().any(|part| {
            let part = part.as_os_str().to_string_lossy();
            NAMELESS.contains(&part.trim_end_matches(".rs"))
        })
    };
    let found: Vec<_> = sources().into_iter().filter(nameless).collect();
    assert!(found.is_empty(), "say what is in there: {found:#?}");
}

#[test]
fn nothing_is_left_for_later() {
    // In two parts, so that this file does not find itself.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
    let mut found = Vec::new();
    let papers = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
    for path in sources().into_iter().chain(papers.map(str::to_owned)) {
        for (number, line) in (1..).zip(text(&path).lines()) {
            let words = line.split(|letter: char| !letter.is_ascii_alphanumeric());
            if words.into_iter().any(|word| marks.contains(&word)) {
                found.push(format!("{path}:{number}: {line}"));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Snapshots are data, so whoever reads one should find it where the test is, and none should outlive its test.
#[test]
fn no_snapshot_waits_for_review() {
    let all = files(&["proto", "ir", "ops", "passes", "src", "tests"]);
    let waiting: Vec<_> = all.into_iter().filter(|path| path.to_string_lossy().ends_with(".snap.new")).collect();
    assert!(waiting.is_empty(), "{waiting:#?}");
}
