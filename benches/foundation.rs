//! Whole-process figures: opening, looking at, checking and writing models, beside `cp` and memcpy in the same run.
//!
//! Nothing here fails: figures are for people to read.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod generate;
mod medians;
mod pairs;
mod process;
mod weights;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use generate::{model, node};
use onnxpress::proto::write_atomically;
use pairs::paired;
use process::{cp_synced, opt, press};
use weights::{large, memcpy_seconds};

/// A chain of elementwise nodes, every fourth reading two values.
fn chain(path: &Path, nodes: usize) {
    let list = (0..nodes).map(|i| {
        let output = format!("v{}", i + 1);
        match i % 4 {
            3 => node("Add", &[format!("v{i}"), format!("v{}", i - 2)], output),
            1 => node("Sigmoid", &[format!("v{i}")], output),
            _ => node("Relu", &[format!("v{i}")], output),
        }
    });
    write_atomically(path, &model(list.collect(), Vec::new(), 8, &format!("v{nodes}"))).unwrap();
}

/// A plain copy.
fn cp(from: &Path, to: &Path) -> Command {
    let mut command = Command::new("cp");
    command.arg(from).arg(to);
    command
}

fn main() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("foundation");
    fs::create_dir_all(&folder).unwrap();
    let file = |name: &str| folder.join(name);

    let (big, out, copy) = (file("large.onnx"), file("large.out.onnx"), file("large.cp.onnx"));
    if !big.exists() {
        large(&big);
    }
    let bytes = fs::metadata(&big).unwrap().len();
    println!("a model of {:.2} GB, `opt -p \"\"`:", bytes as f64 / 1e9);
    let (own, plain) = paired(|| opt(&big, &out, &["-p", "", "--check", "structure"]), || cp(&big, &copy));
    println!("  {:.2} s, cp {plain:.2} s: {:.2} times cp", own.seconds, own.seconds / plain);
    println!("  {:.1} MB of anonymous memory", own.anonymous_kb as f64 / 1e3);
    let (own, synced) = paired(|| opt(&big, &out, &["-p", "", "--check", "structure"]), || cp_synced(&big, &copy));
    println!("  {:.2} s, cp and sync {synced:.2} s: {:.2} times cp and sync", own.seconds, own.seconds / synced);
    let once = memcpy_seconds(bytes as usize / 4) * 4.0;
    println!("  memcpy of as many bytes {once:.2} s: {:.1} times memcpy", own.seconds / once);
    let (look, plain) = paired(|| press(&["inspect", "-q"], &[&big]), || press(&["--version"], &[]));
    println!("inspect of it: {:.1} ms ({:.1} ms of them to start a process)", 1e3 * look.seconds, 1e3 * plain);
    for path in [&out, &copy] {
        let _ = fs::remove_file(path);
    }

    let (tiny, out) = (file("tiny.onnx"), file("tiny.out.onnx"));
    chain(&tiny, 2);
    let (own, plain) = paired(|| opt(&tiny, &out, &["--check", "strict"]), || cp(&tiny, &file("tiny.cp.onnx")));
    println!(
        "two nodes, `opt --check strict`: {:.1} ms, {:.1} MB at most; cp {:.1} ms",
        1e3 * own.seconds,
        own.resident_kb as f64 / 1e3,
        1e3 * plain
    );

    let mut before = None;
    for nodes in [50_000, 100_000, 200_000] {
        let (many, out) = (file("chain.onnx"), file("chain.out.onnx"));
        chain(&many, nodes);
        let (own, plain) = paired(
            || opt(&many, &out, &["-p", "infer-shapes", "--check", "structure"]),
            || cp(&many, &file("chain.cp.onnx")),
        );
        let growth = before
            .map_or(String::new(), |before| format!(", {:.2} times as long as half of them", own.seconds / before));
        println!(
            "{nodes} nodes read, verified, inferred, written: {:.2} s{growth} (cp {:.1} ms)",
            own.seconds,
            1e3 * plain
        );
        before = Some(own.seconds);
    }
}
