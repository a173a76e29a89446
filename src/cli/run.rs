//! `run`: one run of a model.

use std::path::PathBuf;

use serde::Serialize;

use super::check::Running;
use super::failure::Failure;
use super::{Global, model, output};
use crate::inspect::{Interface, SCHEMA};
use crate::onnx::OpenOptions;

/// Run a model once and write its outputs.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  onnxpress run model.onnx --inputs x.npz -o y.npz --runner interpreter")]
pub(super) struct Run {
    /// Model to run; `-` reads standard input.
    model: PathBuf,
    /// Arrays for the inputs: `.npz` by name, or a single `.npy`.
    #[arg(long, value_name = "FILE")]
    inputs: PathBuf,
    /// Where to write the outputs, as `.npz`.
    #[arg(short, long)]
    output: PathBuf,
    #[command(flatten)]
    running: Running,
}

#[derive(Serialize)]
struct Ran {
    schema: u32,
    runner: &'static str,
    outputs: Vec<Interface>,
    seconds: f64,
}

impl Run {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let mut file = model::open(&self.model, OpenOptions::default())?;
        let notices = model::prepare(&self.model, &mut file)?;
        output::notices(global, notices.iter().filter(|_| global.verbose));
        let given = crate::inputs::bind(&file.model, crate::npz::read(&self.inputs)?)?;
        for name in &given.unused {
            output::say(global, &format!("notice: array `{name}` is no input of the model"));
        }
        let clock = std::time::Instant::now();
        let ran = crate::runner::run(&self.running.choice()?, &file.model, &given.values)?;
        let seconds = clock.elapsed().as_secs_f64();
        file.check_unchanged()?;
        let graph = &file.model.graph;
        let names: Vec<String> = graph.outputs().iter().map(|&id| graph.output(id).name.to_string()).collect();
        crate::npz::write(&self.output, names.iter().cloned().zip(&ran.outputs))?;
        if global.json {
            let outputs = names
                .into_iter()
                .zip(&ran.outputs)
                .map(|(name, value)| Interface { name, ty: crate::inputs::type_of(value).to_string() });
            return output::json(&Ran { schema: SCHEMA, runner: ran.runner, outputs: outputs.collect(), seconds });
        }
        Ok(())
    }
}
