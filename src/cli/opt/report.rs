//! The report of a run: a table for people, JSON for scripts.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::channels::Cuts;
use super::codes::Codes;
use super::html;
use crate::cli::check::Proof;
use crate::cli::failure::Failure;
use crate::cli::{Global, output};
use crate::inspect::{SCHEMA, Size, human};
use crate::passes::manager::{PassRecord, Report};

/// A model file, and what is in it.
pub(in crate::cli) struct Made<'a> {
    pub(in crate::cli) path: &'a Path,
    pub(in crate::cli) bytes: u64,
    pub(in crate::cli) size: Size,
}

#[derive(Serialize)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) bytes: u64,
    #[serde(flatten)]
    pub(super) size: Size,
}

#[derive(Serialize)]
pub(super) struct Pass {
    pub(super) name: &'static str,
    pub(super) text: String,
    pub(super) applied: BTreeMap<&'static str, usize>,
    /// How often each reason was given.
    pub(super) declined: BTreeMap<String, usize>,
    /// The same, site by site.
    pub(super) sites: Vec<Site>,
    /// What was cut of the model's channels, by a pass that does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) channels: Option<Cuts>,
    /// What codes take that it made of weights.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) codes: Vec<Codes>,
    pub(super) nodes_before: usize,
    pub(super) nodes_after: usize,
    pub(super) seconds: f64,
}

#[derive(Serialize)]
pub(super) struct Site {
    pub(super) rule: &'static str,
    pub(super) site: String,
    pub(super) reason: String,
}

/// What a run did and how it was proven.
#[derive(Serialize)]
pub(in crate::cli) struct OptReport {
    pub(super) schema: u32,
    pub(super) input: File,
    pub(super) output: File,
    pub(super) pipeline: String,
    pub(super) changed: bool,
    pub(super) passes: Vec<Pass>,
    pub(super) check: Proof,
    pub(super) notices: Vec<String>,
}

impl OptReport {
    pub(in crate::cli) fn new(
        input: Made<'_>,
        output: Made<'_>,
        run: &Report,
        check: Proof,
        notices: Vec<String>,
    ) -> Self {
        let file = |made: Made<'_>| File { path: made.path.display().to_string(), bytes: made.bytes, size: made.size };
        Self {
            schema: SCHEMA,
            input: file(input),
            output: file(output),
            pipeline: run.pipeline.clone(),
            changed: run.changed,
            passes: run.passes.iter().map(pass).collect(),
            check,
            notices,
        }
    }

    /// Writes the report: a page where the file is called `.html`, JSON otherwise.
    pub(in crate::cli) fn write(&self, path: &Path) -> Result<(), Failure> {
        let is_page = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("html"));
        let text = if is_page { html::page(self) } else { serde_json::to_string_pretty(self)? };
        std::fs::write(path, text).map_err(|error| Failure::request(format!("{}: {error}", path.display())))
    }

    /// Says it on standard error.
    pub(in crate::cli) fn say(&self, global: &Global) {
        output::notices(global, &self.notices);
        output::say(
            global,
            &format!("pipeline: {}", if self.pipeline.is_empty() { "(empty)" } else { &self.pipeline }),
        );
        passes(global, &self.passes);
        // Bars are for people who look; a log has the numbers.
        let looked_at = global.verbose || std::io::stderr().is_terminal();
        for cuts in self.passes.iter().filter_map(|pass| pass.channels.as_ref()).filter(|_| looked_at) {
            output::say(global, &cuts.chart(global.verbose));
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["", "before", "after", ""]);
        let (a, b) = (&self.input, &self.output);
        let mut row = |what: &str, before: u64, after: u64, unit: &str| {
            let share =
                if before > 0 { format!("{:.1} %", 100.0 * after as f64 / before as f64) } else { String::new() };
            table.add_row([what.to_owned(), human(before) + unit, human(after) + unit, share]);
        };
        row("nodes", a.size.nodes as u64, b.size.nodes as u64, "");
        row("parameters", a.size.parameters, b.size.parameters, "");
        row("MACs", a.size.all_macs(), b.size.all_macs(), "");
        row("bytes", a.bytes, b.bytes, "B");
        for column in 1..4 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        output::say(global, &table.to_string());
        output::say(global, &self.check.sentence());
    }
}

/// Says of each pass of a run what it did and left alone.
pub(super) fn reasons(global: &Global, run: &Report) {
    let all: Vec<Pass> = run.passes.iter().map(pass).collect();
    passes(global, &all);
}

fn passes(global: &Global, all: &[Pass]) {
    for pass in all {
        let applied: Vec<_> = pass.applied.iter().map(|(rule, times)| format!("{rule} {times}")).collect();
        let what = if applied.is_empty() { "nothing to do".to_owned() } else { applied.join(", ") };
        output::say(global, &format!("  {:24} {what} ({:.1} ms)", pass.name, 1e3 * pass.seconds));
        if let Some(sentence) = Codes::sentence(&pass.codes) {
            output::say(global, &format!("  {:24} {sentence}", ""));
        }
        for (reason, times) in &pass.declined {
            output::say(global, &format!("  {:24} left alone {times}: {reason}", ""));
        }
        if global.verbose {
            for site in &pass.sites {
                output::say(global, &format!("  {:24}   {}: {} ({})", "", site.site, site.reason, site.rule));
            }
        }
    }
}

fn pass(record: &PassRecord) -> Pass {
    let mut declined = BTreeMap::new();
    for decline in &record.declined {
        *declined.entry(decline.reason.clone()).or_default() += 1;
    }
    let sites = record.declined.iter().map(|decline| Site {
        rule: decline.rule,
        site: decline.site.clone(),
        reason: decline.reason.clone(),
    });
    Pass {
        name: record.name,
        text: record.text.clone(),
        applied: record.applied.clone(),
        declined,
        sites: sites.collect(),
        channels: Cuts::of(record.plan.as_ref()),
        codes: Codes::of(&record.codes),
        nodes_before: record.nodes.0,
        nodes_after: record.nodes.1,
        seconds: record.time.as_secs_f64(),
    }
}
