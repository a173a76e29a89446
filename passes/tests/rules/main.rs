//! Every rule and exact pass on graphs made for it: text in, text out, as `fixtures/rules/*.onnxtxt` have it.
//!
//! A file is a list of cases. A case begins with its title; then come the pipeline, the graph, and, as comments, what the
//! pipeline makes of it and what it declines. The graph is run before and after, and must compute the same numbers; the
//! result must be valid, and the same pipeline must find nothing more to do in it.
//!
//! With `ONNXPRESS_BLESS=1` the comments are written anew; what changed is for the reader of the diff to judge.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod case;
mod numbers;

use std::path::Path;

use case::File;

#[test]
fn every_case_comes_out_as_its_file_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/rules");
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "onnxtxt"));
    paths.sort();
    assert!(!paths.is_empty(), "no cases in {}", folder.display());
    let bless = std::env::var_os("ONNXPRESS_BLESS").is_some();
    let mut stale = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let file = File::parse(&text);
        let fresh = file.render(&path.file_name().unwrap().to_string_lossy());
        if fresh == text {
            continue;
        }
        if bless {
            std::fs::write(&path, &fresh).unwrap();
            continue;
        }
        let (line, (found, expected)) =
            (1..).zip(fresh.lines().chain([""]).zip(text.lines().chain([""]))).find(|(_, (a, b))| a != b).unwrap();
        stale.push(format!("{}:{line}\n  file:  {expected}\n  found: {found}", path.display()));
    }
    assert!(stale.is_empty(), "{}\nONNXPRESS_BLESS=1 writes what was found", stale.join("\n"));
}

/// A rule that nobody shows at work could do anything.
#[test]
fn every_rule_and_exact_pass_has_a_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/rules");
    for pass in onnxpress_passes::builtin().unwrap().passes().filter(|pass| !pass.lossy) {
        let rules = pass.rules.iter().map(|rule| rule.name);
        let names: Vec<_> = if pass.rules.is_empty() { vec![pass.name] } else { rules.collect() };
        // These have tests beside them: the same cannot be asked of their results again.
        let apart = ["infer-shapes", "set-dim", "set-input", "initializers-as-constants", "smooth-quant"];
        for name in names.into_iter().filter(|name| !apart.contains(name)) {
            let path = folder.join(format!("{}.onnxtxt", name.replace('-', "_")));
            assert!(path.exists(), "`{name}` has no cases in {}", path.display());
        }
    }
}

#[test]
fn every_rule_has_a_contract() {
    for pass in onnxpress_passes::builtin().unwrap().passes() {
        for rule in &pass.rules {
            assert!(rule.contract.contains("Exact:"), "`{}` does not say why it is exact", rule.name);
            assert!(rule.contract.contains("Ends:"), "`{}` does not say why it ends", rule.name);
        }
    }
}
