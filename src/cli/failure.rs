//! How a command fails: what is said, and the exit code.

use std::process::ExitCode;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    message: String,
    help: Option<String>,
}

impl Failure {
    /// The request cannot be met: exit code 1.
    pub(super) fn request(error: impl std::fmt::Display) -> Self {
        Self { code: 1, message: error.to_string(), help: None }
    }

    /// The command line makes no sense: exit code 2.
    pub(super) fn usage(error: impl std::fmt::Display) -> Self {
        Self { code: 2, message: error.to_string(), help: None }
    }

    /// The result does not compute what it should: exit code 3.
    pub(super) fn check(error: impl std::fmt::Display) -> Self {
        Self { code: 3, message: error.to_string(), help: None }
    }

    /// The failure with a word on what to do.
    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says it on standard error, and answers the exit code.
    pub(super) fn report(self) -> ExitCode {
        eprintln!("error: {}", self.message);
        if let Some(help) = self.help {
            eprintln!("  help: {help}");
        }
        ExitCode::from(self.code)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::request(error)
    }
}
