//! `factorize` and `sparsify` as whole processes, without the numeric check, beside a copy of the same file.
//!
//! ```text
//! cargo bench --bench compress -- [MODEL ...]
//! ```
//! Models are generated stacks of wide layers, whose time grows with the third power of their width, and those that are named: for the
//! figures of the papers VGG-19 and ResNet-50. Nothing here fails: figures are for people to read.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod generate;
mod process;

use std::fs;
use std::path::{Path, PathBuf};

use generate::{model, node};
use onnxpress::proto::schema::TensorProto;
use onnxpress::proto::write_atomically;
use process::{cp_synced, measure, opt};

/// Layers of a stack.
const LAYERS: usize = 4;
const FACTORIZE: &str = "factorize{target=params, remove=0.5}";
const SPARSIFY: &str = "sparsify{sparsity=0.5}";

/// A stack of layers of equal width, with weights that look random.
fn stack(path: &Path, width: usize) {
    let mut state = 1u64;
    let mut number = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) / (width as f32).sqrt()
    };
    let (mut nodes, mut weights) = (Vec::new(), Vec::new());
    for layer in 0..LAYERS {
        let name = format!("w{layer}");
        let bytes: Vec<u8> = (0..width * width).flat_map(|_| number().to_le_bytes()).collect();
        weights.push(TensorProto {
            name: Some(name.clone().into()),
            dims: vec![width as i64; 2],
            data_type: Some(1),
            raw_data: Some(bytes.into()),
            ..TensorProto::default()
        });
        nodes.push(node("MatMul", &[format!("v{layer}"), name], format!("v{}", layer + 1)));
    }
    write_atomically(path, &model(nodes, weights, width as i64, &format!("v{LAYERS}"))).unwrap();
}

/// Planning and doing it in one run each, once: these take seconds.
fn told(path: &Path, folder: &Path) -> f64 {
    let (out, copy, plan) = (folder.join("out.onnx"), folder.join("copy.onnx"), folder.join("plan.json"));
    let plan_out = plan.display().to_string();
    let plain = measure(&mut cp_synced(path, &copy)).seconds;
    let megabytes = fs::metadata(path).unwrap().len() as f64 / 1e6;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut seconds = 0.0;
    for pipeline in [FACTORIZE, SPARSIFY] {
        let made = measure(&mut opt(path, &out, &["-p", pipeline, "--check", "structure", "--plan-out", &plan_out]));
        let apply = format!("apply-plan{{file=\"{plan_out}\"}}");
        let applied = measure(&mut opt(path, &out, &["-p", &apply, "--check", "structure"])).seconds;
        println!(
            "{name} ({megabytes:.1} MB), {pipeline}: {:.1} s, {:.0} times cp and sync, {:.0} MB at most, of them {:.0} MB its own; the plan applied {applied:.1} s",
            made.seconds,
            made.seconds / plain,
            made.resident_kb as f64 / 1e3,
            made.anonymous_kb as f64 / 1e3,
        );
        seconds += made.seconds;
    }
    seconds
}

fn main() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compress");
    fs::create_dir_all(&folder).unwrap();
    let named: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    for path in &named {
        told(Path::new(path), &folder);
    }
    let mut before = None;
    for width in [256, 512, 1024] {
        let path = folder.join(format!("stack_{width}.onnx"));
        stack(&path, width);
        let seconds = told(&path, &folder);
        if let Some(before) = before {
            println!("  {:.1} times as long as half the width", seconds / before);
        }
        before = Some(seconds);
    }
}
