//! `passes`: what pipeline text can name.

use comfy_table::{Table, presets};
use serde::Serialize;

use super::failure::Failure;
use super::{Global, output};
use crate::passes::pipeline::PassSpec;

/// List passes and presets, or show one with its options and contract.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  onnxpress passes\n  onnxpress passes fold-constants")]
pub(super) struct Passes {
    /// Pass or preset to show.
    name: Option<String>,
}

#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    summary: &'a str,
    lossy: bool,
    options: Vec<Described<'a>>,
    doc: &'a str,
    rules: Vec<Ruled<'a>>,
}

#[derive(Serialize)]
struct Ruled<'a> {
    name: &'a str,
    contract: &'a str,
}

#[derive(Serialize)]
struct Described<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    type_name: &'a str,
    default: &'a str,
    doc: &'a str,
}

#[derive(Serialize)]
struct PresetListed<'a> {
    name: &'a str,
    summary: &'a str,
    pipeline: String,
}

#[derive(Serialize)]
struct All<'a> {
    schema: u32,
    passes: Vec<Listed<'a>>,
    presets: Vec<PresetListed<'a>>,
}

impl Passes {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let passes = crate::passes::builtin()?;
        let listed: Vec<_> = passes.passes().map(listed).collect();
        let presets: Vec<_> = passes
            .presets()
            .map(|preset| PresetListed {
                name: &preset.name,
                summary: &preset.summary,
                pipeline: preset.pipeline.to_string(),
            })
            .collect();
        let Some(name) = self.name else {
            if global.json {
                return output::json(&All { schema: crate::inspect::SCHEMA, passes: listed, presets });
            }
            let mut table = Table::new();
            table.load_style(presets::NOTHING);
            for pass in &listed {
                table.add_row([pass.name, pass.summary]);
            }
            for preset in &presets {
                table.add_row([preset.name.to_owned(), format!("preset: {}", preset.pipeline)]);
            }
            return output::text(&table.to_string());
        };
        if let Some(pass) = listed.iter().find(|pass| pass.name == name) {
            return if global.json { output::json(pass) } else { output::text(&described(pass)) };
        }
        if let Some(preset) = presets.iter().find(|preset| preset.name == name) {
            let text = || format!("{}\n\n{}\n\nPipeline: {}", preset.name, preset.summary, preset.pipeline);
            return if global.json { output::json(preset) } else { output::text(&text()) };
        }
        let near = passes.nearest(&name).map(|near| format!("did you mean `{near}`?"));
        let failure = Failure::usage(format!("there is no pass or preset `{name}`"));
        Err(failure.with_help(near.unwrap_or_else(|| "`onnxpress passes` lists them".to_owned())))
    }
}

fn listed(spec: &PassSpec) -> Listed<'_> {
    Listed {
        name: spec.name,
        summary: &spec.summary,
        lossy: spec.lossy,
        doc: &spec.doc,
        options: spec
            .options
            .iter()
            .map(|option| Described {
                name: &option.name,
                type_name: &option.type_name,
                default: &option.default,
                doc: &option.doc,
            })
            .collect(),
        rules: spec.rules.iter().map(|rule| Ruled { name: rule.name, contract: rule.contract }).collect(),
    }
}

fn described(pass: &Listed<'_>) -> String {
    let kind = if pass.lossy {
        "lossy: the result must equal a witness"
    } else {
        "exact: the result must agree with the input"
    };
    let mut text = format!("{} ({kind})\n\n{}\n", pass.name, pass.doc);
    for option in &pass.options {
        text.push_str(&format!(
            "\n  {}={} ({})\n      {}\n",
            option.name, option.default, option.type_name, option.doc
        ));
    }
    for rule in &pass.rules {
        text.push_str(&format!("\n{}: {}", rule.name, rule.contract));
    }
    text
}
