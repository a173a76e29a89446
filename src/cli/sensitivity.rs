//! `sensitivity`: which layers bear to be quantized, and which do not.

use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::calibration::{Calibration, bar, unsuited};
use super::check::Running;
use super::failure::Failure;
use super::{Global, model, output};
use crate::data::{DataOptions, Samples};
use crate::eval::{self, EvalOptions};
use crate::inspect::SCHEMA;
use crate::onnx::OpenOptions;
use crate::passes::evidence::EvidenceSource as _;
use crate::passes::options::Options as _;
use crate::passes::pass::{PassCx, Request};
use crate::passes::pipeline::text::{self, Item};
use crate::passes::quantize::Quantize;
use crate::passes::quantize::calibrated::sensitivity::{Trial, faked};

/// Quantize each layer alone and see what that does to the outputs, worst first.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Sensitivity {
    /// Model to measure; `-` reads standard input. It should be simplified already.
    model: PathBuf,
    /// How layers are quantized: options of the pass `quantize`, as in `calibration=minmax, activations=int8`.
    #[arg(long, value_name = "OPTIONS", default_value = "")]
    quantize: String,
    #[command(flatten)]
    calibration: Calibration,
    /// Labelled samples, prepared as those of --calib, on which the accuracy with each layer quantized is measured too.
    #[arg(long, value_name = "FILE|FOLDER")]
    data: Option<PathBuf>,
    #[command(flatten)]
    running: Running,
}

const AFTER_HELP: &str = "\
The signal-to-noise ratio is that of all outputs on up to 32 of the samples; the bar shows the share of the loss that all layers
have together, each taken alone.

With --json, one object: schema, model, samples (what they are), top1 (of the model as it is) and layers, worst first: name,
snr_db, share (of the sum of all losses) and top1. top1 is from 0 to 1, and null without --data.

Examples:
  onnxpress sensitivity model.onnx --calib train.npz --samples 100
  onnxpress sensitivity model.onnx --calib train.npz --data test.npz --quantize calibration=minmax --json";

#[derive(Serialize)]
struct Found {
    schema: u32,
    model: String,
    samples: String,
    top1: Option<f64>,
    layers: Vec<Layer>,
}

#[derive(Serialize)]
struct Layer {
    name: String,
    snr_db: f64,
    share: f64,
    top1: Option<f64>,
}

/// What a loss of nothing at all is held to, in dB.
const CEILING: f64 = 150.0;
/// Characters of the longest bar.
const BAR: f64 = 30.0;

/// The pass as its options say.
fn pass(options: &str) -> Result<Quantize, Failure> {
    let text = format!("quantize{{{options}}}");
    let usage = |error: crate::passes::pipeline::PipelineError| {
        Failure::usage(error.render(&text, false).trim_end().to_owned())
    };
    let parsed = text::parse(&text).map_err(usage)?;
    match parsed.items.first().map(|item| &item.it) {
        Some(Item::Pass(call)) if parsed.items.len() == 1 => Quantize::from_options(&call.options).map_err(usage),
        _ => Err(Failure::usage(format!("`{options}` is more than the options of a pass"))),
    }
}

impl Sensitivity {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let pass = pass(&self.quantize)?;
        let mut file = model::open(&self.model, OpenOptions::default())?;
        model::prepare(&self.model, &mut file)?;
        let progress_bar = bar(global, 0);
        let progress = |what: &str, done: usize, total: usize| {
            progress_bar.set_message(what.to_owned());
            progress_bar.set_length(total as u64);
            progress_bar.set_position(done as u64);
        };
        let samples = self.calibration.open(&file.model, &self.running, &progress)?;
        let source = &samples;
        let mut cx = PassCx::new(Request { evidence: Some(source), ..Request::default() });
        let planned = pass.plan(&file.model, &mut cx).map_err(Failure::request)?;
        let Some((prepared, plan)) = planned else {
            let reasons = cx.declines().iter().map(|decline| format!("{}: {}", decline.site, decline.reason));
            let reasons: Vec<String> = reasons.take(3).collect();
            return Err(Failure::request(format!("no layer can be quantized: {}", reasons.join("; "))));
        };
        let trial = Trial::of(&prepared, source).map_err(Failure::request)?;
        let losses = trial.losses(&plan).map_err(Failure::request)?;
        let sum: f64 = losses.iter().sum();
        let top1 = self.top1(&prepared)?;
        let mut layers = Vec::new();
        for (number, (layer, &loss)) in plan.layers.iter().zip(&losses).enumerate() {
            let snr_db = (-10.0 * loss.log10()).min(CEILING);
            let share = if sum > 0.0 { loss / sum } else { 0.0 };
            let top1 = match top1 {
                Some(_) => self.top1(&faked(&plan.alone(number), &prepared).map_err(Failure::request)?)?,
                None => None,
            };
            layers.push(Layer { name: layer.name.clone(), snr_db, share, top1 });
        }
        layers.sort_by(|a, b| b.share.total_cmp(&a.share));
        progress_bar.finish_and_clear();
        file.check_unchanged()?;
        let model = self.model.display().to_string();
        let found = Found { schema: SCHEMA, model, samples: source.describe(), top1, layers };
        output::notices(global, samples.save()?.iter());
        say(global, found)
    }

    /// The accuracy of a model on the labelled samples, where there are any.
    fn top1(&self, model: &crate::ir::Model) -> Result<Option<f64>, Failure> {
        let Some(path) = &self.data else { return Ok(None) };
        let preprocess = self.calibration.options()?.preprocess;
        let samples = Samples::open(path, model, &DataOptions { preprocess, samples: None });
        let samples = samples.map_err(|error| unsuited(&error))?;
        let options = EvalOptions::new(self.running.choice()?);
        let found = eval::evaluate(samples, model, None, &options, &|_| ()).map_err(Failure::request)?;
        Ok(found.model.right.map(|right| right.top1 as f64 / right.samples.max(1) as f64))
    }
}

fn say(global: &Global, found: Found) -> Result<(), Failure> {
    if global.json {
        return output::json(&found);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let widest = found.layers.first().map_or(1.0, |layer| layer.share).max(f64::MIN_POSITIVE);
    let mut header = vec!["layer", "signal-to-noise", "of the loss", ""];
    if found.top1.is_some() {
        header.insert(2, "top-1");
    }
    table.set_header(header);
    for layer in &found.layers {
        let bar = "#".repeat((BAR * layer.share / widest).round() as usize);
        let mut row =
            vec![layer.name.clone(), format!("{:.1} dB", layer.snr_db), format!("{:.1} %", 100.0 * layer.share), bar];
        if let Some(top1) = layer.top1 {
            row.insert(2, format!("{:.2} %", 100.0 * top1));
        }
        table.add_row(row);
    }
    for column in 1..=2 + usize::from(found.top1.is_some()) {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = format!("{}\n{table}", found.samples);
    if let Some(top1) = found.top1 {
        text.push_str(&format!("\nas it is, top-1 {:.2} %", 100.0 * top1));
    }
    output::text(&text)
}
