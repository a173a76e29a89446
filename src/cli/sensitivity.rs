//! `sensitivity`: which layers bear to be quantized, or which groups of channels to be pruned, and which do not.

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
use crate::ir::Model;
use crate::onnx::OpenOptions;
use crate::passes::evidence::EvidenceSource;
use crate::passes::options::Options;
use crate::passes::pass::{Pass as _, PassCx, Request};
use crate::passes::pipeline::text::{self, Item};
use crate::passes::prune_channels::{PruneChannels, alone};
use crate::passes::quantize::Quantize;
use crate::passes::quantize::calibrated::sensitivity::{Trial, faked};

/// Quantize each layer, or prune each group of channels, alone and see what that does to the outputs, worst first.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Sensitivity {
    /// Model to measure; `-` reads standard input. It should be simplified already.
    model: PathBuf,
    /// How layers are quantized: options of the pass `quantize`, as in `calibration=minmax, activations=int8`.
    #[arg(long, value_name = "OPTIONS", default_value = "")]
    quantize: String,
    /// Prune each group of channels in the place of quantizing layers: options of the pass `prune-channels`, as in `ratio=0.3`.
    #[arg(long, value_name = "OPTIONS", num_args = 0..=1, default_missing_value = "", conflicts_with = "quantize")]
    prune: Option<String>,
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
snr_db, share (of the sum of all losses) and top1. top1 is from 0 to 1, and null without --data. With --prune, layers are groups of
channels, by the name of a weight, and how many of how many channels are gone.

Examples:
  onnxpress sensitivity model.onnx --calib train.npz --samples 100
  onnxpress sensitivity model.onnx --calib train.npz --data test.npz --quantize calibration=minmax --json
  onnxpress sensitivity model.onnx --calib train.npz --prune ratio=0.3";

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

/// A pass as its options say.
fn pass<T: Options>(name: &str, options: &str) -> Result<T, Failure> {
    let text = format!("{name}{{{options}}}");
    let usage = |error: crate::passes::pipeline::PipelineError| {
        let rendered = error.render(&text, false);
        Failure::usage(rendered.trim_end().trim_start_matches("error: ").to_owned())
    };
    let parsed = text::parse(&text).map_err(usage)?;
    match parsed.items.first().map(|item| &item.it) {
        Some(Item::Pass(call)) if parsed.items.len() == 1 => T::from_options(&call.options).map_err(usage),
        _ => Err(Failure::usage(format!("`{options}` is more than the options of a pass"))),
    }
}

/// What is done to a model, one thing at a time.
enum Measured {
    Layers(Quantize),
    Groups(PruneChannels),
}

fn decibels(loss: f64) -> f64 {
    (-10.0 * loss.log10()).min(CEILING)
}

impl Sensitivity {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let measured = match &self.prune {
            Some(options) => Measured::Groups(pass(PruneChannels::NAME, options)?),
            None => Measured::Layers(pass(Quantize::NAME, &self.quantize)?),
        };
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
        let request = Request { evidence: Some(source), ..Request::default() };
        let (top1, mut layers) = match measured {
            Measured::Layers(pass) => self.layers(&pass, &file.model, source, request)?,
            Measured::Groups(pass) => self.groups(&pass, &file.model, source, request)?,
        };
        let sum: f64 = layers.iter().map(|layer| layer.share).sum();
        layers.iter_mut().for_each(|layer| layer.share = if sum > 0.0 { layer.share / sum } else { 0.0 });
        layers.sort_by(|a, b| b.share.total_cmp(&a.share));
        progress_bar.finish_and_clear();
        file.check_unchanged()?;
        let model = self.model.display().to_string();
        let found = Found { schema: SCHEMA, model, samples: source.describe(), top1, layers };
        output::notices(global, samples.save()?.iter());
        say(global, found)
    }

    /// The accuracy of the model, and each layer quantized alone; shares are losses yet.
    fn layers(
        &self,
        pass: &Quantize,
        model: &Model,
        source: &dyn EvidenceSource,
        request: Request<'_>,
    ) -> Result<(Option<f64>, Vec<Layer>), Failure> {
        let mut cx = PassCx::new(request);
        let planned = pass.plan(model, &mut cx).map_err(Failure::request)?;
        let Some((prepared, plan)) = planned else {
            let reasons = cx.declines().iter().map(|decline| format!("{}: {}", decline.site, decline.reason));
            let reasons: Vec<String> = reasons.take(3).collect();
            return Err(Failure::request(format!("no layer can be quantized: {}", reasons.join("; "))));
        };
        let trial = Trial::of(&prepared, source).map_err(Failure::request)?;
        let losses = trial.losses(&plan).map_err(Failure::request)?;
        let top1 = self.top1(&prepared)?;
        let mut layers = Vec::new();
        for (part, &loss) in losses.iter().enumerate() {
            let top1 = match top1 {
                Some(_) => self.top1(&faked(&plan.alone(part), &prepared).map_err(Failure::request)?)?,
                None => None,
            };
            layers.push(Layer { name: plan.part_name(part).to_owned(), snr_db: decibels(loss), share: loss, top1 });
        }
        Ok((top1, layers))
    }

    /// The accuracy of the model, and each group of channels pruned alone; shares are losses yet.
    fn groups(
        &self,
        pass: &PruneChannels,
        model: &Model,
        source: &dyn EvidenceSource,
        request: Request<'_>,
    ) -> Result<(Option<f64>, Vec<Layer>), Failure> {
        let pruned = alone(pass, model, request).map_err(Failure::request)?;
        if pruned.is_empty() {
            return Err(Failure::request("no group of channels can be pruned").with_help("inspect --channels says why"));
        }
        let trial = Trial::of(model, source).map_err(Failure::request)?;
        let top1 = self.top1(model)?;
        let mut layers = Vec::new();
        for (number, one) in pruned.iter().enumerate() {
            source.progress("measure groups", number + 1, pruned.len());
            let loss = trial.loss(&one.model).map_err(Failure::request)?;
            let top1 = if top1.is_some() { self.top1(&one.model)? } else { None };
            let (all, gone) = one.channels;
            let name = format!("{}, {gone} of {all}", one.name);
            layers.push(Layer { name, snr_db: decibels(loss), share: loss, top1 });
        }
        Ok((top1, layers))
    }

    /// The accuracy of a model on the labelled samples, where there are any.
    fn top1(&self, model: &Model) -> Result<Option<f64>, Failure> {
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
    let mut header = vec!["what", "signal-to-noise", "of the loss", ""];
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
