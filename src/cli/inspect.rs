//! `inspect`: what a model is made of.

mod channels;
mod zeros;

use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};

use super::failure::Failure;
use super::{Global, model, output};
use crate::inspect::{Summary, human, summary};
use crate::onnx::OpenOptions;
use crate::passes::{prune_channels, sparsify};

/// Say what a model is made of: nodes, operators, weights, multiply-accumulates, memory; or draw it.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  onnxpress inspect model.onnx\n  onnxpress inspect model.onnx --json | jq .macs\n  onnxpress inspect model.onnx --graph model.svg\n  onnxpress inspect model.onnx --channels --graph groups.svg"
)]
pub(super) struct Inspect {
    /// Model to read; `-` reads standard input.
    model: PathBuf,
    /// List the channels that can be pruned, in groups that can only be removed together, and those that stay, with the reason;
    /// a drawing has a colour for each group.
    #[arg(long)]
    channels: bool,
    /// List the weights of layers, how many of each are zero, and whether they stand in a pattern such as 2:4.
    #[arg(long, conflicts_with = "channels")]
    zeros: bool,
    /// Draw the graph into this file: `.svg` for a picture, `.dot` for Graphviz.
    #[arg(long, value_name = "FILE")]
    graph: Option<PathBuf>,
}

impl Inspect {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let mut file = model::open(&self.model, OpenOptions::default())?;
        let notices = model::prepare(&self.model, &mut file)?;
        let channels =
            self.channels.then(|| prune_channels::survey(&file.model)).transpose().map_err(Failure::request)?;
        if let Some(path) = &self.graph {
            let title = self.model.file_name().unwrap_or(self.model.as_os_str()).to_string_lossy();
            let drawing = match &channels {
                Some(found) => crate::draw::of_sets(&found.model, &title, &channels::sets(found)),
                None => crate::draw::of_model(&file.model, &title),
            };
            draw(&drawing, path)?;
        }
        if self.zeros {
            let weights = sparsify::survey(&file.model);
            file.check_unchanged()?;
            return match global.json {
                true => output::json(&zeros::Listed::new(&weights)),
                false => output::text(&zeros::table(&weights)),
            };
        }
        let summary = summary(&file.model, file.bytes, file.external_bytes);
        file.check_unchanged()?;
        if global.json {
            return match &channels {
                Some(found) => output::json(&channels::Listed::new(found)),
                None => output::json(&summary),
            };
        }
        let said = file.notices.iter().map(|notice| &notice.0).chain(notices.iter().filter(|_| global.verbose));
        output::notices(global, said);
        match &channels {
            Some(found) => output::text(&channels::table(found)),
            None => output::text(&table(&summary)),
        }
    }
}

fn draw(drawing: &crate::draw::Drawing, path: &std::path::Path) -> Result<(), Failure> {
    let text = match path.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => drawing.to_svg()?,
        Some("dot" | "gv") => drawing.to_dot()?,
        _ => return Err(Failure::usage("a graph is drawn as .svg or .dot").with_help("--graph model.svg")),
    };
    let failed = |error: std::io::Error| Failure::request(format!("{}: {error}", path.display()));
    output::replace(path, text.as_bytes()).map_err(failed)
}

fn table(summary: &Summary) -> String {
    let mut facts = Table::new();
    facts.load_style(presets::NOTHING);
    let imports: Vec<_> = summary
        .opset_imports
        .iter()
        .map(|(domain, version)| format!("{} {version}", if domain.is_empty() { "ai.onnx" } else { domain }))
        .collect();
    let external = match summary.external_bytes {
        0 => String::new(),
        bytes => format!(" and {}B of external data", human(bytes)),
    };
    let size = &summary.size;
    let more =
        |count: u64, place: &str| if count > 0 { format!(", {} in {place}", human(count)) } else { String::new() };
    let other = more(size.other_macs, "other operators") + &more(size.function_macs, "functions, each call counted");
    let types: Vec<_> = summary.weight_types.iter().map(|(name, bytes)| format!("{}B {name}", human(*bytes))).collect();
    facts.add_row(["format", &format!("IR version {}, {}", summary.ir_version, imports.join(", "))]);
    facts.add_row(["producer", &summary.producer]);
    facts.add_row(["file", &format!("{}B{external}", human(summary.bytes))]);
    facts.add_row(["nodes", &size.nodes.to_string()]);
    facts.add_row([
        "parameters",
        &format!("{} in {} initializers ({})", human(size.parameters), size.initializers, types.join(", ")),
    ]);
    facts.add_row(["MACs", &format!("{}{other}", human(size.macs))]);
    facts.add_row(["activations", &format!("{}B alive at most", human(summary.peak_activation_bytes))]);
    for input in &summary.inputs {
        facts.add_row(["input", &format!("{} : {}", input.name, input.ty)]);
    }
    if !summary.defaults.is_empty() {
        facts.add_row(["", &format!("and {} inputs that have a default", summary.defaults.len())]);
    }
    for output in &summary.outputs {
        facts.add_row(["output", &format!("{} : {}", output.name, output.ty)]);
    }
    for function in &summary.functions {
        facts.add_row(["function", function]);
    }
    let mut counts: Vec<_> = summary.op_counts.iter().collect();
    counts.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), (*name).clone()));
    let mut operators = Table::new();
    operators.load_style(presets::NOTHING);
    for (name, count) in counts {
        operators.add_row([name.clone(), count.to_string()]);
    }
    if let Some(column) = operators.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{facts}\n\n{operators}")
}
