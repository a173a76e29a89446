//! The samples that passes calibrate on, as the command line names them.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use super::Global;
use super::check::Running;
use super::failure::Failure;
use super::progress::patient;
use crate::data::{DataError, DataOptions, Preprocess};
use crate::evidence::{Given, Made, Progress, Samples};
use crate::ir::Model;

/// Inputs that are made up where no samples are given.
const MADE: usize = 8;

/// What of the samples is wanted, and how.
#[derive(clap::Args, Debug, Clone)]
pub(super) struct Sampling {
    /// How pictures are prepared, as in `imagenet,resize=256,crop=224`; `onnxpress eval --help` lists what there is.
    #[arg(long, value_name = "TEXT")]
    preprocess: Option<String>,
    /// Use the first so many samples.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    samples: Option<u64>,
}

impl Sampling {
    /// As the samples' reader has it.
    pub(super) fn options(&self) -> Result<DataOptions, Failure> {
        let samples = self.samples.map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        let Some(text) = &self.preprocess else { return Ok(DataOptions { preprocess: None, samples }) };
        let rendered = |error: crate::data::preprocess::PreprocessError| error.render(text);
        let parsed: Result<Preprocess, String> = text.parse().map_err(rendered);
        let preprocess =
            parsed.map_err(|error| Failure::usage(error.trim_start_matches("error: ").trim_end().to_owned()))?;
        Ok(DataOptions { preprocess: Some(preprocess), samples })
    }
}

/// The samples that passes calibrate on.
#[derive(clap::Args, Debug, Clone)]
pub(super) struct Calibration {
    /// Samples for passes that learn from data: `.npz` or `.npy` whose arrays carry the names of the inputs, or `images` for the
    /// only one; or a folder of PNG and JPEG files. Without it such passes take random inputs, or say that they need data.
    #[arg(long, value_name = "FILE|FOLDER")]
    calib: Option<PathBuf>,
    #[command(flatten)]
    sampling: Sampling,
}

impl Calibration {
    /// How samples are prepared, and how many are wanted.
    pub(super) fn options(&self) -> Result<DataOptions, Failure> {
        self.sampling.options()
    }

    /// Opens the samples for a model whose types are inferred.
    pub(super) fn open<'a>(
        &self,
        model: &Model,
        running: &Running,
        progress: Progress<'a>,
    ) -> Result<Samples<'a>, Failure> {
        let runner = running.choice()?;
        let options = self.sampling.options()?;
        let Some(path) = &self.calib else {
            if options.preprocess.is_some() {
                return Err(Failure::usage("--preprocess, and no samples").with_help("name them with --calib"));
            }
            return Ok(Samples::Made(
                Made::new(options.samples.unwrap_or(MADE), Vec::new(), runner).with_progress(progress),
            ));
        };
        let given = Given::open(path.clone(), options, runner, model).map_err(|error| unsuited(&error))?;
        Ok(Samples::Given(given.with_progress(progress)))
    }
}

/// Samples that do not suit a model, with what can be done about it.
pub(super) fn unsuited(error: &DataError) -> Failure {
    let failure = Failure::request(error);
    match error.advice() {
        Some(advice) => failure.with_help(advice),
        None => failure,
    }
}

/// A bar of samples that appears once it takes long.
pub(super) fn bar(global: &Global, samples: usize) -> ProgressBar {
    let bar = ProgressBar::new(samples as u64);
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos} of {len} samples, {eta} left");
    patient(
        global,
        match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        },
    )
}
