//! What commands say: results to standard output, words to standard error. A reader that hangs up is no error.

use std::io::{self, Write};
use std::path::Path;

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

/// Puts a file of these bytes in the place of what is there, all of it or nothing.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.persist(path)?;
    Ok(())
}

/// Prints one JSON object.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string(value)?)
}

/// Prints text, trailing blanks of table rows cut.
pub(super) fn text(text: &str) -> Result<(), Failure> {
    print(&text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
}

/// Writes a line on standard error. Where nobody reads it, there is nobody to tell.
pub(super) fn line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Says words on standard error, unless asked to be quiet.
pub(super) fn say(global: &Global, text: &str) {
    if !global.quiet {
        line(&text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"));
    }
}

/// Says what the user should know.
pub(super) fn notices<'a>(global: &Global, notices: impl IntoIterator<Item = &'a String>) {
    for notice in notices {
        say(global, &format!("notice: {notice}"));
    }
}
