//! `inspect --zeros`: which weights have zeros, how many, and in what pattern.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::inspect::human;
use crate::passes::sparsify::Zeros;

/// The version of the layout of what `--json` prints.
const SCHEMA: u32 = 1;

/// What `--zeros --json` prints.
#[derive(Serialize)]
pub(super) struct Listed<'a> {
    schema: u32,
    weights: &'a [Zeros],
}

impl<'a> Listed<'a> {
    pub(super) fn new(weights: &'a [Zeros]) -> Self {
        Self { schema: SCHEMA, weights }
    }
}

/// A line a weight, and one for all.
pub(super) fn table(weights: &[Zeros]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["zeros", "of", "", "weight"]);
    let elements = |weight: &Zeros| weight.dims.iter().map(|&dim| dim as u64).product::<u64>();
    let share = |zeros: u64, of: u64| format!("{:.1} %", 100.0 * zeros as f64 / of.max(1) as f64);
    for weight in weights {
        let of = elements(weight);
        let pattern = weight.pattern.clone().unwrap_or_default();
        table.add_row([share(weight.zeros as u64, of), human(of), pattern, weight.name.clone()]);
    }
    let (zeros, all) = (weights.iter().map(|weight| weight.zeros as u64).sum(), weights.iter().map(elements).sum());
    for column in 0..2 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{table}\n\n{} of {} weights of {} layers are zero", share(zeros, all), human(all), weights.len())
}
