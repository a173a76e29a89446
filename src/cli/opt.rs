//! `opt`: a pipeline over a model, checked and written.

use std::path::PathBuf;

use super::Global;
use super::failure::Failure;
use super::model;
use crate::onnx::{self, DataPlacement, OpenOptions};
use crate::passes::manager::{self, RunOptions};

/// Run a pipeline of passes over a model, check the result, and write it.
#[derive(clap::Args)]
pub(super) struct Opt {
    /// Model to read; `-` reads standard input.
    input: PathBuf,
    /// Model to write; `-` writes to standard output. It may be the input.
    #[arg(short, long)]
    output: PathBuf,
    /// Passes in order, as in `simplify,infer-shapes`; empty for none.
    #[arg(short, long, default_value = "simplify")]
    pipeline: String,
    /// How the result is checked against what it ought to compute.
    #[arg(long, default_value = "auto")]
    check: String,
    /// Take initializers that are also inputs for constants, whatever the format's version says.
    #[arg(long)]
    initializers_as_constants: bool,
}

impl Opt {
    pub(super) fn run(self, _global: &Global) -> Result<(), Failure> {
        let options = OpenOptions { initializers_as_constants: self.initializers_as_constants };
        let mut file = model::open(&self.input, options)?;
        let passes = crate::passes::builtin()?;
        let pipeline = passes.pipeline(&self.pipeline).map_err(Failure::usage)?;
        manager::run(&pipeline, &mut file.model, RunOptions::default())?;
        let message = onnx::to_message(&file.model, file.is_untouched())?;
        file.check_unchanged()?;
        onnx::save(&self.output, message, &DataPlacement::AsBefore)?;
        Ok(())
    }
}
