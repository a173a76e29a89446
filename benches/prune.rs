//! `prune-channels` and `apply-plan` as whole processes, without the numeric check, beside a copy of the same file.
//!
//! ```text
//! cargo bench --bench prune -- [MODEL ...]
//! ```
//! Models are the digits network, generated residual networks of several lengths, whose time must grow with their length, and
//! those that are named. Nothing here fails: figures are for people to read.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod generate;
mod medians;
mod pairs;
mod process;

use std::fs;
use std::path::{Path, PathBuf};

use generate::{model, node};
use medians::{RUNS, median};
use onnxpress::proto::schema::TensorProto;
use onnxpress::proto::write_atomically;
use pairs::paired;
use process::{cp_synced, opt};

/// Width of the residual stream, and of what hangs on it.
const WIDTH: usize = 8;
/// Nodes of a block.
const BLOCK: usize = 4;

fn weight(name: &str, rows: usize, columns: usize) -> TensorProto {
    let bytes: Vec<u8> = (0..rows * columns).flat_map(|at| ((at % 7) as f32 - 3.0).to_le_bytes()).collect();
    TensorProto {
        name: Some(name.to_owned().into()),
        dims: vec![rows as i64, columns as i64],
        data_type: Some(1),
        raw_data: Some(bytes.into()),
        ..TensorProto::default()
    }
}

/// A residual stream through blocks of two layers.
fn stream(path: &Path, nodes: usize) {
    let (mut list, mut weights) = (Vec::new(), vec![weight("first", WIDTH, WIDTH), weight("last", WIDTH, WIDTH)]);
    list.push(node("MatMul", &["v0".to_owned(), "first".to_owned()], "s0".to_owned()));
    for block in 0..nodes / BLOCK {
        let name = |what: &str| format!("{what}{block}");
        weights.extend([weight(&name("w"), WIDTH, 2 * WIDTH), weight(&name("u"), 2 * WIDTH, WIDTH)]);
        list.push(node("MatMul", &[name("s"), name("w")], name("a")));
        list.push(node("Relu", &[name("a")], name("r")));
        list.push(node("MatMul", &[name("r"), name("u")], name("b")));
        list.push(node("Add", &[name("b"), name("s")], format!("s{}", block + 1)));
    }
    let end = [format!("s{}", nodes / BLOCK), "last".to_owned()];
    list.push(node("MatMul", &end, "y".to_owned()));
    write_atomically(path, &model(list, weights, WIDTH as i64, "y")).unwrap();
}

/// Seconds of planning and cutting.
fn told(path: &Path, folder: &Path) -> f64 {
    let (out, copy, plan) = (folder.join("out.onnx"), folder.join("copy.onnx"), folder.join("plan.json"));
    let plan_out = plan.display().to_string();
    let pipeline = "prune-channels{ratio=0.5}";
    let arguments = ["-p", pipeline, "--check", "structure", "--plan-out", &plan_out];
    let (planned, plain) = paired(|| opt(path, &out, &arguments), || cp_synced(path, &copy));
    let apply = format!("apply-plan{{file=\"{plan_out}\"}}");
    let applied: Vec<f64> = (0..RUNS)
        .map(|_| process::measure(&mut opt(path, &out, &["-p", &apply, "--check", "structure"])).seconds)
        .collect();
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    println!(
        "{name} ({:.1} MB): plan and cut {:.2} s, {:.1} times cp and sync, {:.0} MB at most; the plan applied {:.2} s",
        fs::metadata(path).unwrap().len() as f64 / 1e6,
        planned.seconds,
        planned.seconds / plain,
        planned.resident_kb as f64 / 1e3,
        median(applied),
    );
    planned.seconds
}

fn main() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("prune");
    fs::create_dir_all(&folder).unwrap();
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/digits/digits.onnx");
    told(&digits, &folder);
    let named = std::env::args().skip(1).filter(|word| word != "--bench");
    for path in named {
        told(Path::new(&path), &folder);
    }
    let mut before = None;
    for nodes in [5_000, 10_000, 20_000] {
        let path = folder.join(format!("stream_{nodes}.onnx"));
        stream(&path, nodes);
        let seconds = told(&path, &folder);
        if let Some(before) = before {
            println!("  {:.2} times as long as half of them", seconds / before);
        }
        before = Some(seconds);
    }
}
