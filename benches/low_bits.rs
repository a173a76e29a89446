//! Weights in few bits: a layer of 4096 by 4096 chosen column by column, tables for it, and a model of 1.9 GB in four bits.
//!
//! Nothing here fails: figures are for people to read.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod generate;
mod medians;
mod process;
mod weights;

use std::fs;
use std::path::{Path, PathBuf};

use medians::{RUNS, median};
use process::{cp_synced, measure, opt};
use weights::{large, memcpy_seconds, noise, products};

/// Rows and columns of the layer.
const SIDE: usize = 4096;
/// Samples for the layer.
const SAMPLES: usize = 512;

/// Samples as an `.npy`.
fn samples(path: &Path) {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({SAMPLES}, {SIDE}), }}");
    // Magic, version and length take ten bytes; a line ends at a multiple of 64.
    let filled = (10 + header.len() + 1).next_multiple_of(64) - 10 - 1;
    header.extend(std::iter::repeat_n(' ', filled - header.len()));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(&noise(SAMPLES * SIDE)[..]);
    fs::write(path, bytes).unwrap();
}

fn main() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("low_bits");
    fs::create_dir_all(&folder).unwrap();
    let (layer, data, out) = (folder.join("layer.onnx"), folder.join("data.npy"), folder.join("out.onnx"));
    products(&layer, 1, SIDE);
    samples(&data);
    let calib = data.display().to_string();
    println!("a layer of {SIDE} by {SIDE}, {SAMPLES} samples, the whole command:");
    for (pipeline, seen) in [
        ("quantize-weights{bits=4, block=128, rounding=gptq}", true),
        ("quantize-weights{bits=4, block=128, rounding=mse}", false),
        ("palettize{bits=4, data=false}", false),
        ("palettize{bits=8, data=false}", false),
        ("palettize{bits=4}", true),
    ] {
        let samples = if seen { &["--calib", &calib][..] } else { &[] };
        let figure = measure(&mut opt(&layer, &out, &[&["-p", pipeline, "--check", "off"], samples].concat()));
        let (own, all) = (figure.anonymous_kb / 1024, figure.resident_kb / 1024);
        println!("  {pipeline:52} {:6.2} s, {own:5} MB, with mapped files {all:5} MB", figure.seconds);
    }
    let whole = folder.join("large.onnx");
    large(&whole);
    let bytes = fs::metadata(&whole).unwrap().len() as usize;
    // A second or less, beside what the system writes of files before: of several runs the one in the middle.
    let mut runs: Vec<_> = (0..RUNS)
        .map(|_| measure(&mut opt(&whole, &out, &["-p", "quantize-weights{bits=4, block=128}", "--check", "off"])))
        .collect();
    runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let made = runs.swap_remove(RUNS / 2);
    let written = fs::metadata(&out).unwrap().len();
    let write = median((0..RUNS).map(|_| measure(&mut cp_synced(&out, &folder.join("copy.onnx"))).seconds).collect());
    let copy = memcpy_seconds(bytes);
    println!("nearest, {bytes} bytes to {written}: {:.2} s, {} MB", made.seconds, made.anonymous_kb / 1024);
    println!("  memcpy {copy:.2} s, writing {write:.2} s: {:.1} times memcpy", (made.seconds - write) / copy);
    fs::remove_dir_all(&folder).unwrap();
}
