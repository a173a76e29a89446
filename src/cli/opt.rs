//! `opt`: a pipeline over a model, checked and written.

mod channels;
mod codes;
mod first;
mod html;
mod plans;
mod report;
mod watch;

use std::path::{Path, PathBuf};

use super::calibration::Calibration;
use super::failure::Failure;
use super::{Global, model, output};
use crate::inspect;
use crate::onnx::{self, DataPlacement, OnnxFile, OpenOptions};
use crate::passes::manager::{self, RunOptions};
use crate::passes::pass::Request;
use first::{Files, First};
use plans::FromDisk;
use report::{Made, OptReport};
use watch::Watch;

/// Run a pipeline of passes over a model, check the result, and write it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  onnxpress opt model.onnx -o smaller.onnx
  onnxpress opt model.onnx -o model.onnx -p 'simplify,infer-shapes' --check strict
  cat model.onnx | onnxpress opt - -o - > smaller.onnx")]
pub(super) struct Opt {
    /// Model to read; `-` reads standard input.
    input: PathBuf,
    /// Model to write; `-` writes to standard output. It may be the input.
    #[arg(short, long)]
    output: PathBuf,
    /// Passes in order, as in `simplify,infer-shapes`; empty for none. `onnxpress passes` lists them.
    #[arg(short, long, default_value = "simplify", conflicts_with = "preset")]
    pipeline: String,
    /// A pipeline that has a name.
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Verify the model after every pass.
    #[arg(long)]
    verify_each: bool,
    /// Print the model as text on standard error after every pass that changed it, or after the ones named.
    #[arg(long, value_name = "PASS", num_args = 0..=1, default_missing_value = "*")]
    print_after: Option<String>,
    /// Stop after the pass of this name.
    #[arg(long, value_name = "PASS")]
    stop_after: Option<String>,
    /// Write weights into a data file of this name beside the model.
    #[arg(long, value_name = "NAME", conflicts_with = "embed")]
    external_data: Option<String>,
    /// Write all weights into the model.
    #[arg(long)]
    embed: bool,
    #[command(flatten)]
    first: First,
    /// Exit with 0 even if a lossy pass found nothing to change.
    #[arg(long)]
    allow_unchanged: bool,
    /// Write what the passes decided, which channels go and why others stay, into this file; `apply-plan` repeats it.
    #[arg(long, value_name = "FILE")]
    plan_out: Option<PathBuf>,
    /// Write the report of the run into this file: a page if it is called `.html`, JSON otherwise.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    calibration: Calibration,
    #[command(flatten)]
    check: super::check::Check,
}

impl Opt {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let passes = crate::passes::builtin()?;
        let text = self.preset.as_deref().unwrap_or(&self.pipeline);
        if let Some(name) = self.preset.as_deref().filter(|name| passes.preset(name).is_none()) {
            return Err(
                Failure::usage(format!("there is no preset `{name}`")).with_help("`onnxpress passes` lists them")
            );
        }
        let pipeline = self.first.and_then(&passes, text)?;
        for name in [&self.stop_after, &self.print_after].into_iter().flatten().filter(|name| *name != "*") {
            if passes.pass(name).is_none() {
                return Err(
                    Failure::usage(format!("there is no pass `{name}`")).with_help("`onnxpress passes` lists them")
                );
            }
        }

        if self.calibration.evidence().is_some_and(|path| path == self.output) {
            return Err(Failure::usage("--evidence and --output name the same file"));
        }

        let mut file = model::open(&self.input, OpenOptions::default())?;
        let mut notices: Vec<String> = file.notices.iter().map(|notice| notice.0.clone()).collect();
        notices.extend(self.overridable(&file.model).filter(|_| !pipeline.steps.is_empty()));
        let watch = Watch::new(global, self.print_after.as_deref());
        // Sizes are counted of typed models, and the types of this one are inferred by the run.
        let original = file.model.clone();
        let typed_original = typed(original.clone());
        let progress = |what: &str, done: usize, total: usize| watch.measuring(what, done, total);
        let samples = self.calibration.open(&typed_original, &self.check.running, &progress)?;
        let ran = manager::run(
            &pipeline,
            &mut file.model,
            RunOptions {
                verify_each: self.verify_each || self.check.each(),
                check_each: self.check.each(),
                stop_after: self.stop_after.as_deref(),
                observer: Some(&watch),
                request: Request {
                    arrays: Some(&Files),
                    files: Some(&FromDisk),
                    evidence: Some(&samples),
                    plans: self.plan_out.is_some(),
                    codes: global.json || global.verbose || self.report.is_some(),
                    ..Request::default()
                },
            },
        );
        watch.done();
        let text = &pipeline.to_string();
        let mut run = ran
            .map_err(|error| self.reproduce(&file, &original, text, model::run_failure(&self.input, &file, &error)))?;
        notices.append(&mut run.notices);
        let before = inspect::size(&typed_original);
        if !run.changed && pipeline_is_lossy(&run, &passes) && !self.allow_unchanged {
            output::notices(global, &notices);
            if global.verbose {
                report::reasons(global, &run);
            }
            let failure =
                Failure::request("nothing in the model was changed").with_help("-v says why each layer was left alone");
            return Err(failure);
        }

        let on = self.check.inputs(samples.given(), &typed_original, &run)?;
        let checked = self.check.prove(&original, &file.model, &run, on);
        let proof = checked.map_err(|failure| self.reproduce(&file, &original, text, failure))?;
        notices.extend(proof.notices.iter().cloned());

        let mut message = file.outgoing()?;
        let mut after = inspect::size(&file.model);
        let (came, made) = (file.bytes + file.external_bytes, message.byte_len());
        if run.changed && !run.may_grow && made > came {
            notices
                .push(format!("the result would be {} bytes larger, so the model is written as it came", made - came));
            message = onnx::Outgoing::of(&original, true)?;
            after = before;
        }
        let saved = self.save(&file, message)?;
        if let Some(path) = &self.plan_out {
            plans::write(path, &run)?;
        }
        notices.extend(samples.save()?);
        notices.extend(saved.notices.iter().map(|notice| notice.0.clone()));

        let report = OptReport::new(
            Made { path: &self.input, bytes: file.bytes + file.external_bytes, size: before },
            Made { path: &self.output, bytes: saved.bytes + saved.external_bytes, size: after },
            &run,
            proof,
            notices,
        );
        if let Some(path) = &self.report {
            report.write(path)?;
        }
        if global.json && self.output != Path::new("-") {
            return output::json(&report);
        }
        report.say(global);
        Ok(())
    }

    /// What the user should know of initializers that callers may override.
    fn overridable(&self, model: &crate::ir::Model) -> Option<String> {
        let graph = &model.graph;
        let count = graph.inputs().iter().filter(|&&id| graph.input(id).default.is_some()).count();
        (count > 0 && !self.first.takes_constants()).then(|| {
            format!(
                "{count} initializer(s) are also inputs, which callers may override, and are left alone; \
                 --initializers-as-constants takes them for constants"
            )
        })
    }

    fn save(&self, file: &OnnxFile, message: onnx::Outgoing) -> Result<onnx::Saved, Failure> {
        let placement = match (&self.external_data, self.embed) {
            (Some(name), _) => DataPlacement::External(name.clone()),
            (None, true) => DataPlacement::Embed,
            (None, false) => DataPlacement::AsBefore,
        };
        if self.output == Path::new("-") {
            if self.external_data.is_some() {
                return Err(Failure::usage("standard output has no folder for a data file").with_help("give -o a file"));
            }
            file.check_unchanged()?;
            return match onnx::save_stdout(message) {
                Err(error) if error.is_hang_up() => Ok(onnx::Saved::default()),
                saved => Ok(saved?),
            };
        }
        Ok(onnx::save(&self.output, message, &placement, &|| file.check_unchanged())?)
    }

    /// Keeps what is needed to see a failure again, beside the output that was not written.
    fn reproduce(&self, file: &OnnxFile, original: &crate::ir::Model, pipeline: &str, failure: Failure) -> Failure {
        if !failure.is_defect() || self.output == Path::new("-") {
            return failure;
        }
        let folder = self.output.with_extension("reproducer");
        let kept = onnx::to_message(original, true).map_err(Failure::from).and_then(|message| {
            std::fs::create_dir_all(&folder)
                .map_err(|error| Failure::request(format!("{}: {error}", folder.display())))?;
            onnx::save(&folder.join("model.onnx"), message, &DataPlacement::AsBefore, &|| file.check_unchanged())?;
            let command = format!("onnxpress opt model.onnx -o out.onnx -p '{pipeline}'\n");
            std::fs::write(folder.join("command.txt"), command).map_err(Failure::request)?;
            std::fs::write(folder.join("error.txt"), failure.message()).map_err(Failure::request)
        });
        match kept {
            Ok(()) => failure.with_help(format!("`{}` holds the model and the command that fail", folder.display())),
            Err(_) => failure,
        }
    }
}

fn typed(mut model: crate::ir::Model) -> crate::ir::Model {
    crate::ops::infer::model(&mut model);
    model
}

fn pipeline_is_lossy(run: &manager::Report, passes: &crate::passes::pass::Passes) -> bool {
    run.passes.iter().any(|record| passes.pass(record.name).is_some_and(|spec| spec.lossy))
}
