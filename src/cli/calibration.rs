//! The samples that passes calibrate on, as the command line names them.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use super::Global;
use super::check::Running;
use super::failure::Failure;
use super::progress::patient;
use crate::data::{DataError, DataOptions, Preprocess};
use crate::evidence::{EvidenceFile, Given, Made, Origin, Progress, Recorded, Samples};
use crate::ir::Model;
use crate::passes::evidence::EvidenceSource as _;

/// What --calib is called where samples are to be made up that meet the model's statistics.
const SYNTHETIC: &str = "synthetic";
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
    /// only one; or a folder of PNG and JPEG files. `synthetic` makes pictures up that meet the statistics of the model's
    /// `BatchNormalization` nodes. Without it such passes take random inputs, or say that they need data.
    #[arg(long, value_name = "FILE|FOLDER|synthetic")]
    calib: Option<PathBuf>,
    /// Keep what is measured on the samples in this file, and take from it what was measured before: for another run over the same
    /// model, whose passes want to know the same, --calib can be left out then. docs/evidence.md describes the file.
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
    #[command(flatten)]
    sampling: Sampling,
}

impl Calibration {
    /// How samples are prepared, and how many are wanted.
    pub(super) fn options(&self) -> Result<DataOptions, Failure> {
        self.sampling.options()
    }

    /// The file that evidence is kept in.
    pub(super) fn evidence(&self) -> Option<&Path> {
        self.evidence.as_deref()
    }

    /// Opens the samples for a model whose types are inferred.
    pub(super) fn open<'a>(
        &self,
        model: &Model,
        running: &Running,
        progress: Progress<'a>,
    ) -> Result<Samples<'a>, Failure> {
        let options = self.sampling.options()?;
        let preprocess = options.preprocess.as_ref().map(ToString::to_string);
        let kept = match &self.evidence {
            Some(path) => EvidenceFile::open(path, model)?,
            None => None,
        };
        let samples = match (&self.calib, &kept) {
            (Some(path), _) if path.as_os_str() == SYNTHETIC => {
                if preprocess.is_some() {
                    return Err(Failure::usage("--preprocess, and samples that are made up"));
                }
                let count = options.samples.unwrap_or(MADE);
                let made = Made::new(count, Vec::new(), running.choice()?).with_progress(progress);
                let none = "--calib synthetic: the model has no pictures for input and BatchNormalization nodes that say what they saw";
                let advice = "without --calib, passes take random inputs";
                Samples::from(made.fit(model)?.ok_or_else(|| Failure::request(none).with_help(advice))?)
            }
            (Some(path), _) => {
                let given = Given::open(path.clone(), options, running.choice()?, model);
                Samples::from(given.map_err(|error| unsuited(&error))?.with_progress(progress))
            }
            (None, _) if preprocess.is_some() => {
                return Err(Failure::usage("--preprocess, and no samples").with_help("name them with --calib"));
            }
            (None, Some(file)) if !file.origin().synthetic => {
                if options.samples.is_some_and(|asked| asked != file.origin().samples) {
                    let text = format!("{}: it holds evidence of {}", file.path().display(), file.origin());
                    return Err(
                        Failure::request(text).with_help("leave --samples out, or give the samples with --calib")
                    );
                }
                Samples::from(Recorded::new(file.path().to_owned(), file.origin().clone()))
            }
            (None, _) => {
                let count = options.samples.unwrap_or(MADE);
                Samples::from(Made::new(count, Vec::new(), running.choice()?).with_progress(progress))
            }
        };
        let samples = samples.with_interruption(super::interrupt::asked);
        let Some(path) = &self.evidence else { return Ok(samples) };
        let (source, count, synthetic) = (samples.describe(), samples.samples(), samples.is_synthetic());
        let origin = Origin { source, samples: count, synthetic, preprocess };
        let file = match kept {
            // Nobody gave samples that could be others.
            Some(file) if self.calib.is_none() && !synthetic => file,
            Some(file) => {
                let others = "take another file for these samples, or remove this one";
                file.check(&origin).map_err(|error| Failure::request(error).with_help(others))?;
                file
            }
            None => EvidenceFile::new(path, model, origin)?,
        };
        Ok(samples.with_file(file))
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
