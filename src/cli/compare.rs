//! `compare`: two models on the same inputs.

use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::check::{Feeding, Running};
use super::failure::Failure;
use super::{Global, model, output};
use crate::check::{self, CheckError, CheckReport, Mode};
use crate::inspect::SCHEMA;
use crate::onnx::OpenOptions;

/// Run two models on the same inputs and say how far their outputs lie apart.
#[derive(clap::Args)]
#[command(
    after_help = "Exit code 0 where they agree, 3 where they do not.\n\nExamples:\n  onnxpress compare model.onnx smaller.onnx\n  onnxpress compare model.onnx quantized.onnx --tolerance 0.1 --inputs x.npz"
)]
pub(super) struct Compare {
    /// The model that is right.
    a: PathBuf,
    /// The model to hold against it.
    b: PathBuf,
    #[command(flatten)]
    running: Running,
    #[command(flatten)]
    feeding: Feeding,
}

#[derive(Serialize)]
struct Compared {
    schema: u32,
    same: bool,
    runner: Option<&'static str>,
    inputs: usize,
    outputs: Vec<Row>,
    notices: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    mismatch: Option<String>,
    max_error: Option<f64>,
    mean_error: Option<f64>,
    snr_db: Option<f64>,
    top_agreement: Option<f64>,
    random: bool,
}

impl Compare {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let mut a = model::open(&self.a, OpenOptions::default())?;
        let mut b = model::open(&self.b, OpenOptions::default())?;
        model::prepare(&self.a, &mut a)?;
        model::prepare(&self.b, &mut b)?;
        let request = self.feeding.request(Mode::Strict, &self.running, &a.model)?;
        let (report, fault) = match check::check_models(&a.model, &b.model, None, &request) {
            Ok(report) => (report, None),
            Err(error @ CheckError::Different { .. }) => {
                let text = error.to_string();
                let CheckError::Different { report, .. } = error else { return Err(Failure::check(text)) };
                (*report, Some(text))
            }
            Err(error) if error.is_defect() => return Err(Failure::check(error).expected()),
            Err(error) => return Err(Failure::request(error)),
        };
        a.check_unchanged()?;
        b.check_unchanged()?;
        say(global, report, fault.is_none())?;
        match fault {
            Some(text) => Err(Failure::check(text).expected()),
            None => Ok(()),
        }
    }
}

fn say(global: &Global, report: CheckReport, same: bool) -> Result<(), Failure> {
    let finite = |number: f64| Some(number).filter(|number| number.is_finite());
    let rows = report.outputs.iter().map(|output| Row {
        name: output.name.clone(),
        mismatch: output.to_original.mismatch.clone(),
        max_error: finite(output.to_original.error),
        mean_error: finite(output.to_original.mean_error),
        snr_db: finite(output.to_original.snr_db),
        top_agreement: output.to_original.top_agreement,
        random: output.random,
    });
    let rows: Vec<Row> = rows.collect();
    if global.json {
        let (runner, inputs, notices) = (report.runner, report.inputs, report.notices);
        return output::json(&Compared { schema: SCHEMA, same, runner, inputs, outputs: rows, notices });
    }
    output::notices(global, &report.notices);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["output", "largest error", "mean error", "SNR", "same top class"]);
    let number = |number: Option<f64>, f: &dyn Fn(f64) -> String| number.map_or_else(|| "-".to_owned(), f);
    for row in rows {
        let share = |share: f64| format!("{:.1} %", 100.0 * share);
        table.add_row([
            row.name,
            row.mismatch.unwrap_or_else(|| number(row.max_error, &|error| format!("{error:.2e}"))),
            number(row.mean_error, &|error| format!("{error:.2e}")),
            row.snr_db.map_or_else(|| "exact".to_owned(), |snr| format!("{snr:.1} dB")),
            number(row.top_agreement, &share),
        ]);
    }
    for column in 1..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    output::text(&table.to_string())
}
