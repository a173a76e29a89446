//! `opt` with its default pipeline as a whole process, its file on the disk before it ends, beside other simplifiers.
//!
//! ```text
//! cargo bench --bench simplify -- [--peers PYTHON] [MODEL ...]
//! ```
//! PYTHON is an interpreter that has onnxsim and OnnxSlim; without it the ratios are to `cp` and sync. Models are the digits
//! network, generated graphs, and those that are named. Nothing here fails: figures are for people to read.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod generate;
mod medians;
mod pairs;
mod process;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use generate::{model, node};
use medians::median;
use onnxpress::proto::Bytes;
use onnxpress::proto::schema::TensorProto;
use onnxpress::proto::write_atomically;
use pairs::paired;
use process::{Figure, cp_synced, measure, opt};

/// Runs of a peer, which take their time.
const PEER_RUNS: usize = 3;
/// Nodes of a block of the generated graph.
const BLOCK: usize = 10;

struct Asked {
    peers: Option<PathBuf>,
    models: Vec<PathBuf>,
}

/// What the command line says, but for what `cargo bench` adds to it.
fn asked() -> Asked {
    let mut asked = Asked { peers: None, models: Vec::new() };
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        if word == "--peers" {
            asked.peers = words.next().map(PathBuf::from);
        } else {
            asked.models.push(PathBuf::from(word));
        }
    }
    asked
}

fn ints(name: &str, values: &[i64], scalar: bool) -> TensorProto {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    TensorProto {
        name: Some(name.to_owned().into()),
        dims: if scalar { Vec::new() } else { vec![values.len() as i64] },
        data_type: Some(7),
        raw_data: Some(bytes.into()),
        ..TensorProto::default()
    }
}

fn floats(name: &str, values: &[f32]) -> TensorProto {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    TensorProto {
        data_type: Some(1),
        raw_data: Some(bytes.into()),
        dims: vec![values.len() as i64],
        ..ints(name, &[], false)
    }
}

/// Blocks as exporters write them: a shape computed to say what it was, a value handed on, axes swapped there and back, a
/// bias, an activation.
fn blocks(path: &Path, nodes: usize) {
    let width = 8;
    let constants = vec![
        ints("first", &[0], true),
        ints("axis", &[0], false),
        ints("rest", &[-1], false),
        floats("bias", &[0.5; 8]),
    ];
    let mut list = Vec::with_capacity(nodes);
    for block in 0..nodes / BLOCK {
        let name = |what: &str| format!("{what}{block}");
        let x = format!("v{block}");
        let constant = |name: &str| name.to_owned();
        list.push(node("Shape", std::slice::from_ref(&x), name("shape")));
        list.push(node("Gather", &[name("shape"), constant("first")], name("batch")));
        list.push(node("Unsqueeze", &[name("batch"), constant("axis")], name("one")));
        let mut joined = node("Concat", &[name("one"), constant("rest")], name("target"));
        joined.attribute.push(attribute("axis", 0));
        list.push(joined);
        list.push(node("Reshape", &[x, name("target")], name("same")));
        list.push(node("Identity", &[name("same")], name("handed")));
        list.push(node("Transpose", &[name("handed")], name("there")));
        list.push(node("Transpose", &[name("there")], name("back")));
        list.push(node("Add", &[name("back"), constant("bias")], name("moved")));
        list.push(node("Relu", &[name("moved")], format!("v{}", block + 1)));
    }
    let last = format!("v{}", nodes / BLOCK);
    write_atomically(path, &model(list, constants, width, &last)).unwrap();
}

fn attribute(name: &'static str, value: i64) -> onnxpress::proto::schema::AttributeProto {
    onnxpress::proto::schema::AttributeProto {
        name: Some(Bytes::from_static(name.as_bytes())),
        r#type: Some(2),
        i: Some(value),
        ..Default::default()
    }
}

fn peer(python: &Path, module: &str, from: &Path, to: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", module]).arg(from).arg(to);
    command
}

fn several(mut command: impl FnMut() -> Command) -> Option<Figure> {
    // What does not run is no peer here.
    command()
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .ok()
        .filter(|it| it.success())?;
    let figures: Vec<Figure> = (0..PEER_RUNS).map(|_| measure(&mut command())).collect();
    let most = |of: fn(&Figure) -> u64| figures.iter().map(of).max().unwrap();
    let (anonymous_kb, resident_kb) = (most(|it| it.anonymous_kb), most(|it| it.resident_kb));
    Some(Figure { seconds: median(figures.iter().map(|it| it.seconds).collect()), anonymous_kb, resident_kb })
}

fn told(path: &Path, folder: &Path, peers: Option<&Path>) {
    let (out, copy) = (folder.join("out.onnx"), folder.join("copy.onnx"));
    let megabytes = fs::metadata(path).unwrap().len() as f64 / 1e6;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let (own, plain) = paired(|| opt(path, &out, &["--check", "structure"]), || cp_synced(path, &copy));
    println!(
        "{name} ({megabytes:.1} MB): {:.1} ms, {:.1} MB at most; {:.1} times cp and sync",
        1e3 * own.seconds,
        own.resident_kb as f64 / 1e3,
        own.seconds / plain
    );
    // Once: a build without tract checks on the interpreter, which takes its time.
    let checked = measure(&mut opt(path, &out, &[]));
    println!("  with the numeric check {:.1} ms", 1e3 * checked.seconds);
    for module in ["onnxsim", "onnxslim"] {
        let Some(python) = peers else { continue };
        match several(|| peer(python, module, path, &out)) {
            Some(figure) => println!(
                "  {module}: {:.2} s, {:.0} MB: {:.1} times as long, {:.1} times the memory; {:.1} times as long as with the check",
                figure.seconds,
                figure.resident_kb as f64 / 1e3,
                figure.seconds / own.seconds,
                figure.resident_kb as f64 / own.resident_kb as f64,
                figure.seconds / checked.seconds
            ),
            None => println!("  {module}: does not run"),
        }
    }
    for path in [out, copy] {
        let _ = fs::remove_file(path);
    }
}

fn main() {
    let Asked { peers, models } = asked();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("simplify");
    fs::create_dir_all(&folder).unwrap();
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/digits/digits.onnx");
    for path in std::iter::once(&digits).chain(&models) {
        told(path, &folder, peers.as_deref());
    }
    let mut before = None;
    for nodes in [50_000, 100_000, 200_000] {
        let (many, out) = (folder.join("blocks.onnx"), folder.join("blocks.out.onnx"));
        blocks(&many, nodes);
        let (own, plain) =
            paired(|| opt(&many, &out, &["--check", "structure"]), || cp_synced(&many, &folder.join("blocks.cp.onnx")));
        let growth = before
            .map_or(String::new(), |before| format!(", {:.2} times as long as half of them", own.seconds / before));
        let megabytes = own.resident_kb as f64 / 1e3;
        println!("{nodes} nodes: {:.2} s, {megabytes:.0} MB{growth} (cp and sync {:.1} ms)", own.seconds, 1e3 * plain);
        before = Some(own.seconds);
    }
}
