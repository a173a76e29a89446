//! Quantization as whole processes: time beside what the same bytes cost to copy, and memory beside the model's.
//!
//! ```text
//! cargo bench --bench quantize -- [MODEL DATA [PREPROCESSING]]
//! ```
//! `quantize-weights` over a model of 1.9 GB has to read every weight, so it is held against memcpy of as many bytes and a copy, brought
//! to the disk, of what it writes. Static quantization of the digits network is run with few samples and with many: memory must not
//! grow with them. A model that is named with samples is quantized with 100 of them by each calibration. Nothing here fails: figures
//! are for people to read.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod generate;
mod medians;
mod pairs;
mod process;
mod weights;

use std::fs;
use std::path::{Path, PathBuf};

use pairs::paired;
use process::{cp_synced, measure, opt};
use weights::{large, memcpy_seconds};

fn weights_only(folder: &Path) {
    let (big, out, copy) = (folder.join("large.onnx"), folder.join("out.onnx"), folder.join("copy.onnx"));
    if !big.exists() {
        large(&big);
    }
    let bytes = fs::metadata(&big).unwrap().len() as usize;
    for pipeline in ["quantize-weights", "quantize-weights{rounding=mse}", "quantize-weights{bits=4, block=32}"] {
        let run = || opt(&big, &out, &["-p", pipeline, "--check", "structure"]);
        measure(&mut run());
        let (own, written) = paired(run, || cp_synced(&out, &copy));
        // In parts: two buffers of the whole size would be more than many machines have.
        let copied = memcpy_seconds(bytes / 8) * 8.0;
        println!(
            "{pipeline} of {:.2} GB: {:.2} s, writing alone {written:.2} s, memcpy {copied:.2} s: {:.1} times memcpy and the writing; {:.1} MB of anonymous memory, {:.0} % of what it writes",
            bytes as f64 / 1e9,
            own.seconds,
            (own.seconds - written) / copied,
            own.anonymous_kb as f64 / 1e3,
            100.0 * own.anonymous_kb as f64 * 1e3 / fs::metadata(&out).unwrap().len() as f64,
        );
    }
    for path in [&out, &copy] {
        let _ = fs::remove_file(path);
    }
}

/// One run over so many samples.
fn calibrated(model: &Path, data: &Path, samples: usize, pipeline: &str, preprocess: Option<&str>, out: &Path) {
    let (data, samples) = (data.display().to_string(), samples.to_string());
    let mut command =
        opt(model, out, &["-p", pipeline, "--calib", &data, "--samples", &samples, "--check", "structure"]);
    if let Some(how) = preprocess {
        command.args(["--preprocess", how]);
    }
    let found = measure(&mut command);
    let beyond = found.anonymous_kb as f64 / 1e3 - fs::metadata(model).unwrap().len() as f64 / 1e6;
    println!(
        "{}: {pipeline} on {samples} samples: {:.2} s, {:.0} MB of anonymous memory, {beyond:.0} MB beyond the model",
        model.file_stem().unwrap().to_string_lossy(),
        found.seconds,
        found.anonymous_kb as f64 / 1e3,
    );
}

fn main() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("quantize");
    fs::create_dir_all(&folder).unwrap();
    let out = folder.join("static.onnx");
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/digits");
    for samples in [20, 80, 320] {
        calibrated(&digits.join("digits.onnx"), &digits.join("samples.npz"), samples, "simplify,quantize", None, &out);
    }
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if let [model, data, how @ ..] = &named[..] {
        for calibration in ["minmax", "percentile", "entropy", "mse"] {
            let pipeline = format!("simplify,quantize{{calibration={calibration}}}");
            let how = how.first().map(String::as_str);
            calibrated(Path::new(model), Path::new(data), 100, &pipeline, how, &out);
        }
    }
    weights_only(&folder);
    let _ = fs::remove_file(&out);
}
