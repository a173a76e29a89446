//! A library use: read a model, run a pipeline over it, check the result, write it.
//!
//! ```text
//! cargo run --release --example optimize -- fixtures/digits/digits.onnx target/digits.onnx
//! ```

#![allow(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;
use std::path::{Path, PathBuf};

use onnxpress::check::{CheckRequest, check_models};
use onnxpress::onnx::{self, DataPlacement, OpenOptions};
use onnxpress::passes::manager::{self, RunOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(input), Some(output)) = (paths.next(), paths.next()) else {
        return Err("usage: optimize IN OUT".into());
    };
    optimize(&input, &output)
}

fn optimize(input: &Path, output: &Path) -> Result<(), Box<dyn Error>> {
    // The file stays mapped as long as `file` lives; no weight is copied.
    let mut file = onnx::open(input, OpenOptions::default())?;
    let original = file.model.clone();

    let pipeline = onnxpress::passes::builtin()?.pipeline("simplify,infer-shapes")?;
    let report = manager::run(&pipeline, &mut file.model, RunOptions::default())?;
    println!("{}", report.pipeline);
    for pass in &report.passes {
        println!("  {}: {} -> {} nodes", pass.name, pass.nodes.0, pass.nodes.1);
    }

    let check = check_models(&original, &file.model, None, &CheckRequest::default())?;
    match check.max_error {
        Some(error) => println!("largest error: {error:.1e} of the peak, on {} sets of inputs", check.inputs),
        None => println!("checked: {}", check.done.name()),
    }

    // Weights are read from the file to the last moment, so it must still be what was opened when all is written.
    let unchanged = || file.check_unchanged();
    let saved = onnx::save(output, file.outgoing()?, &DataPlacement::AsBefore, &unchanged)?;
    println!("{} -> {} bytes", file.bytes, saved.bytes);
    Ok(())
}

#[test]
fn the_digits_network_gets_smaller() -> Result<(), Box<dyn Error>> {
    let input = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/digits/digits.onnx");
    let output = tempfile::NamedTempFile::new()?;
    optimize(&input, output.path())?;
    assert!(output.path().metadata()?.len() < input.metadata()?.len());
    Ok(())
}
