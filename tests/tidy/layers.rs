//! Dependencies point one way: `ir <- ops <- passes <- src`, and `proto <- src`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::root;

fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(args).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The crates that each crate of the workspace names in its manifest, those for tests aside.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let text = cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let metadata: serde_json::Value = serde_json::from_str(&text).unwrap();
    let string = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let of = |package: &serde_json::Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|one| one["kind"] != "dev").map(|one| string(&one["name"])).collect()
    };
    packages.map(|package| (string(&package["name"]), of(package))).collect()
}

#[test]
fn crates_know_only_the_crates_below_them() {
    let below: &[(&str, &[&str])] = &[
        ("onnxpress-proto", &[]),
        ("onnxpress-ir", &[]),
        ("onnxpress-ops", &["onnxpress-ir"]),
        ("onnxpress-passes", &["onnxpress-ir", "onnxpress-ops"]),
        ("onnxpress", &["onnxpress-ir", "onnxpress-ops", "onnxpress-passes", "onnxpress-proto"]),
    ];
    let dependencies = dependencies();
    assert_eq!(dependencies.len(), below.len(), "a crate without a place in the layers: {:?}", dependencies.keys());
    for (name, allowed) in below {
        let own: Vec<_> = dependencies[*name].iter().filter(|other| other.starts_with("onnxpress")).collect();
        assert_eq!(own, *allowed, "dependencies of {name}");
    }
}

/// The graph knows no file and no message, the operators and passes neither a runtime nor a command line.
#[test]
fn crates_bring_nothing_that_their_readers_do_not_want() {
    let kept_out: &[(&[&str], &[&str])] = &[
        (&["-p", "onnxpress-ir"], &["prost", "memmap2", "tract-onnx", "clap", "serde_json"]),
        (&["-p", "onnxpress-ops"], &["prost", "memmap2", "tract-onnx", "clap"]),
        (&["-p", "onnxpress-passes"], &["prost", "memmap2", "tract-onnx", "clap", "ort"]),
        (&["-p", "onnxpress", "--no-default-features"], &["tract-onnx", "clap", "ort", "indicatif"]),
    ];
    for (package, names) in kept_out {
        let args = [&["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none"], *package].concat();
        let tree = cargo(&args);
        for name in *names {
            let found = tree.lines().any(|line| line.split(' ').next() == Some(name));
            assert!(!found, "{package:?} brings {name}");
        }
    }
}

#[test]
fn there_is_one_prost_and_one_ndarray() {
    let lock = crate::text("Cargo.lock");
    for name in ["prost", "ndarray", "petgraph", "half"] {
        let found = lock.matches(&format!("\nname = \"{name}\"\n")).count();
        assert_eq!(found, 1, "versions of {name} in Cargo.lock");
    }
}

/// What belongs to one crate in the design belongs to it in the code.
#[test]
fn the_passes_open_no_file_and_the_graph_names_no_operator() {
    for path in crate::files(&["ir/src", "ops/src", "passes/src"]) {
        let text = crate::text(path.to_str().unwrap());
        let code = text.split("#[cfg(test)]").next().unwrap();
        for forbidden in ["std::fs", "std::io::stdin", "std::net", "std::env"] {
            assert!(!code.contains(forbidden), "{}: {forbidden}", path.display());
        }
    }
    let operators: BTreeSet<_> = onnxpress::ops::schema::operators("").collect();
    for path in crate::files(&["ir/src/graph", "ir/src/dim", "ir/src/tensor"]) {
        let text = crate::text(path.to_str().unwrap());
        let code = text.split("#[cfg(test)]").next().unwrap();
        let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for word in code.split('"').skip(1).step_by(2) {
            assert!(!operators.contains(word), "{}: the graph knows the operator {word}", path.display());
        }
    }
}
