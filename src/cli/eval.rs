//! `eval`: what a model is worth on samples.

use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::calibration::{Sampling, bar, unsuited};
use super::check::Running;
use super::failure::Failure;
use super::{Global, model, output};
use crate::data::{Preprocess, Samples};
use crate::eval::{self, EvalError, EvalOptions, Evaluation, Worth};
use crate::inspect::SCHEMA;
use crate::onnx::OpenOptions;

/// Measure a model on samples: accuracy, agreement with a reference, milliseconds.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Eval {
    /// Model to measure; `-` reads standard input.
    model: PathBuf,
    /// Samples: `.npz` or `.npy` whose arrays carry the names of the inputs, or `images` for the only one, with `labels`; or a
    /// folder of PNG and JPEG files, with `labels.csv` (columns `file,label`).
    #[arg(long, value_name = "FILE|FOLDER")]
    data: PathBuf,
    /// Model to agree with: its best class, and its scores.
    #[arg(long = "ref", value_name = "MODEL")]
    reference: Option<PathBuf>,
    #[command(flatten)]
    sampling: Sampling,
    /// Samples at a time, where the model leaves it open.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=65536))]
    batch: u64,
    /// The output that has the scores; without it the first.
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// What is added to each label to make it the number of a class, as 1 where the model has a class for the background before all
    /// others.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    label_offset: i64,
    #[command(flatten)]
    running: Running,
}

const AFTER_HELP: &str = "\
One output, the first without --output, is taken for scores: one row a sample, one number a class.

Preprocessing, in this order whatever the text's:
  resize=N     the shorter side gets N pixels, the other in proportion
  crop=N       a square of N by N pixels from the middle
  bgr          three channels the other way around
  scale=1/255  what values are multiplied by
  mean=[a,b,c] what is then subtracted, for all channels or each
  std=[a,b,c]  what it is then divided by
  layout=nhwc  channels last; nchw if nothing is said
Presets, to be changed by what follows them: mnist (scale), cifar10 and imagenet (scale, mean, std).

With --json, one object: schema, model, data, preprocess, output, label_offset, samples, batch, runner, classes, top1_correct, top1, top5_correct,
top5, ms_per_sample, agreement, snr_db, and reference: the same of the other model (runner, classes, top1_correct, top1,
top5_correct, top5, ms_per_sample). What is not known is null: top1 without labels, top5 up to five classes, the rest without
--ref. Shares are from 0 to 1, snr_db is the mean over samples, each held to 150; ms_per_sample is a median on this machine.

Examples:
  onnxpress eval model.onnx --data samples.npz
  onnxpress eval model.onnx --data photos/ --preprocess imagenet,resize=256,crop=224 --samples 500
  onnxpress eval small.onnx --data samples.npz --ref model.onnx --json";

#[derive(Serialize)]
struct Measured {
    schema: u32,
    model: String,
    data: String,
    preprocess: Option<String>,
    output: Option<String>,
    label_offset: i64,
    samples: usize,
    batch: usize,
    #[serde(flatten)]
    worth: Figures,
    agreement: Option<f64>,
    snr_db: Option<f64>,
    reference: Option<Figures>,
}

/// What is known of one model.
#[derive(Serialize)]
struct Figures {
    runner: &'static str,
    classes: usize,
    top1_correct: Option<usize>,
    top1: Option<f64>,
    top5_correct: Option<usize>,
    top5: Option<f64>,
    ms_per_sample: f64,
}

impl Figures {
    fn of(worth: &Worth) -> Self {
        let right = worth.right;
        let share = |count: usize| right.map(|right| count as f64 / right.samples.max(1) as f64);
        let (top1, top5) = (right.map(|right| right.top1), right.and_then(|right| right.top5));
        Self {
            runner: worth.runner,
            classes: worth.classes,
            top1_correct: top1,
            top1: top1.and_then(share),
            top5_correct: top5,
            top5: top5.and_then(share),
            ms_per_sample: worth.ms_per_sample,
        }
    }
}

impl Eval {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let wanted = self.sampling.options()?;
        let choice = self.running.choice()?;
        let mut file = model::open(&self.model, OpenOptions::default())?;
        let notices = model::prepare(&self.model, &mut file)?;
        output::notices(global, notices.iter().filter(|_| global.verbose));
        let mut reference = match &self.reference {
            Some(path) => Some(model::open(path, OpenOptions::default())?),
            None => None,
        };
        if let (Some(path), Some(reference)) = (&self.reference, &mut reference) {
            model::prepare(path, reference)?;
        }
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let samples = Samples::open(&self.data, &file.model, &wanted).map_err(|error| unsuited(&error))?;
        if let Some(asked) = wanted.samples.filter(|asked| *asked > samples.count()) {
            output::say(global, &format!("notice: {} samples, fewer than the {asked} asked for", samples.count()));
        }
        let bar = bar(global, samples.count());
        let (output, label_offset) = (self.output.clone(), self.label_offset);
        let options = EvalOptions { runner: choice, batch: count(self.batch), output, label_offset };
        let other = reference.as_ref().map(|reference| &reference.model);
        let evaluated = eval::evaluate(samples, &file.model, other, &options, &|done| bar.set_position(done as u64));
        bar.finish_and_clear();
        file.check_unchanged()?;
        if let Some(reference) = &reference {
            reference.check_unchanged()?;
        }
        let found = evaluated.map_err(|error| match &error {
            EvalError::Data(error) => unsuited(error),
            EvalError::NothingToHoldAgainst => Failure::request(format!("{}: {error}", self.data.display()))
                .with_help("put an array `labels` beside the inputs, or name a model with `--ref`"),
            EvalError::Label { .. } => Failure::request(&error).with_help(
                "`--label-offset N` adds a number to each label, `--output NAME` takes the scores of another output",
            ),
            EvalError::Output { .. } => Failure::request(&error).with_help("`--output NAME` takes another output"),
            error => Failure::request(error),
        })?;
        self.say(global, wanted.preprocess.as_ref(), &found)
    }

    fn say(&self, global: &Global, preprocess: Option<&Preprocess>, found: &Evaluation) -> Result<(), Failure> {
        let worth = Figures::of(&found.model);
        let reference = found.reference.as_ref().map(|(worth, _)| Figures::of(worth));
        let likeness = found.reference.as_ref().map(|(_, likeness)| likeness);
        let (agreement, snr_db) = (likeness.map(|it| it.agreement()), likeness.map(|it| it.snr_db()));
        if global.json {
            return output::json(&Measured {
                schema: SCHEMA,
                model: self.model.display().to_string(),
                data: self.data.display().to_string(),
                preprocess: preprocess.map(Preprocess::to_string),
                output: self.output.clone(),
                label_offset: self.label_offset,
                samples: found.samples,
                batch: found.batch,
                worth,
                agreement,
                snr_db,
                reference,
            });
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let columns = std::iter::once(&worth).chain(&reference);
        let row = |name: &str, cell: &dyn Fn(&Figures) -> String| -> Vec<String> {
            std::iter::once(name.to_owned()).chain(columns.clone().map(cell)).collect()
        };
        let right = |part: Option<f64>, count: Option<usize>| match (part, count) {
            (Some(part), Some(count)) => format!("{:.2} % ({count} of {})", 100.0 * part, found.samples),
            _ => "-".to_owned(),
        };
        if reference.is_some() {
            table.set_header(["", "model", "reference"]);
        }
        if worth.top1.is_some() {
            table.add_row(row("top-1", &|one| right(one.top1, one.top1_correct)));
        }
        if worth.top5.is_some() {
            table.add_row(row("top-5", &|one| right(one.top5, one.top5_correct)));
        }
        table.add_row(row("a sample", &|one| format!("{:.3} ms in {}", one.ms_per_sample, one.runner)));
        for column in 1..=1 + usize::from(reference.is_some()) {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text = format!("{} samples, {} at a time\n{table}", found.samples, found.batch);
        if let (Some(agreement), Some(snr)) = (agreement, snr_db) {
            text.push_str(&format!("\nsame best class {:.2} %, signal-to-noise {snr:.1} dB", 100.0 * agreement));
        }
        output::text(&text)
    }
}
