//! `parse`: a model from text.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::{Global, output};
use crate::ir::text::{Defaults, TextError, parse_model};
use crate::onnx::{self, DataPlacement};
use crate::passes::manager;

/// Longest text that is read: beyond it, weights belong into a file.
const MAX_TEXT: u64 = 1 << 30;

/// Read a model in ONNX's textual syntax and write it as a file.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  onnxpress parse model.onnxtxt -o model.onnx")]
pub(super) struct Parse {
    /// Text to read; `-` reads standard input.
    text: PathBuf,
    /// Model to write; `-` writes to standard output.
    #[arg(short, long)]
    output: PathBuf,
}

impl Parse {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let text = self.read()?;
        let mut model = parse_model(&text, &Defaults::default()).map_err(|error| self.failure(&error, &text))?;
        let notices = manager::prepare(&mut model)?;
        output::notices(global, notices.iter());
        crate::ir::names::assign_names(&mut model);
        let message = onnx::to_message(&model, false)?;
        let saved = if self.output == Path::new("-") {
            onnx::save_stdout(message)?
        } else {
            onnx::save(&self.output, message, &DataPlacement::AsBefore, &|| Ok(()))?
        };
        output::notices(global, saved.notices.iter().map(|notice| &notice.0));
        Ok(())
    }

    fn read(&self) -> Result<String, Failure> {
        let failed = |error: std::io::Error| Failure::request(format!("{}: {error}", self.text.display()));
        let mut bytes = Vec::new();
        if self.text == Path::new("-") {
            std::io::stdin().lock().take(MAX_TEXT).read_to_end(&mut bytes).map_err(failed)?;
        } else {
            std::fs::File::open(&self.text).map_err(failed)?.take(MAX_TEXT).read_to_end(&mut bytes).map_err(failed)?;
        }
        if bytes.len() as u64 == MAX_TEXT {
            return Err(Failure::request(format!("{}: a text of more than {MAX_TEXT} bytes", self.text.display())));
        }
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Failure::request(format!("{}: byte {at} is not UTF-8, so this is no text", self.text.display()))
                .with_help("bytes that are not UTF-8 are written b\"\\xe9\"")
        })
    }

    /// The error with the line it is about.
    fn failure(&self, error: &TextError, text: &str) -> Failure {
        let failure = Failure::request(format!("{}: {error}", self.text.display()));
        let TextError::At { line, column, .. } = error else { return failure };
        match text.lines().nth(line.saturating_sub(1)) {
            Some(guilty) if guilty.len() <= 200 => {
                failure.with_help(format!("{guilty}\n        {}^", " ".repeat(column.saturating_sub(1))))
            }
            _ => failure,
        }
    }
}
