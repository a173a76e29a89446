//! What commands say: results to standard output, words to standard error. A reader that hangs up is no error.

use std::io::{self, Write};

use serde::Serialize;

use super::Global;
use super::failure::Failure;

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::request(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints one JSON object.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string(value)?)
}

/// Prints text, trailing blanks of table rows cut.
pub(super) fn text(text: &str) -> Result<(), Failure> {
    print(&text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
}

/// Says words on standard error, unless asked to be quiet.
pub(super) fn say(global: &Global, text: &str) {
    if !global.quiet {
        eprintln!("{}", text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"));
    }
}

/// Says what the user should know.
pub(super) fn notices<'a>(global: &Global, notices: impl IntoIterator<Item = &'a String>) {
    for notice in notices {
        say(global, &format!("notice: {notice}"));
    }
}
