//! `dump`: a model as text.

use std::path::PathBuf;

use serde::Serialize;

use super::failure::Failure;
use super::{Global, model, output};
use crate::inspect::SCHEMA;
use crate::ir::text::{Form, print_model};
use crate::onnx::{self, OpenOptions};

/// Print a model in ONNX's textual syntax.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  onnxpress dump model.onnx | less\n  onnxpress dump model.onnx --exact > model.onnxtxt && onnxpress parse model.onnxtxt -o again.onnx"
)]
pub(super) struct Dump {
    /// Model to read; `-` reads standard input.
    model: PathBuf,
    /// Print every element of every weight, and nothing that was inferred: the text reads back to an equal model.
    #[arg(long)]
    exact: bool,
}

#[derive(Serialize)]
struct Dumped {
    schema: u32,
    text: String,
}

impl Dump {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let mut file = model::open(&self.model, OpenOptions::default())?;
        if !self.exact {
            // To look at a model that makes no sense is what one wants to do with it.
            crate::ops::infer::model(&mut file.model);
        }
        let preamble = onnx::preamble(&file.model);
        let form = if self.exact { Form::exact() } else { Form::brief() };
        let form = Form { preamble: preamble.as_ref(), keep_order: true, ..form };
        let text = print_model(&file.model, &form);
        file.check_unchanged()?;
        output::notices(global, file.notices.iter().map(|notice| &notice.0));
        if global.json { output::json(&Dumped { schema: SCHEMA, text }) } else { output::text(&text) }
    }
}
