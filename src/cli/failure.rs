//! How a command fails: what is said, and the exit code.

use std::process::ExitCode;

use super::output;
use crate::passes::manager::RunError;
use crate::passes::pass::PassError;
use crate::passes::pipeline::PipelineError;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    message: String,
    help: Vec<String>,
    /// Our own fault rather than that of model or request.
    defect: bool,
}

impl Failure {
    fn new(code: u8, message: impl std::fmt::Display) -> Self {
        Self { code, message: message.to_string(), help: Vec::new(), defect: false }
    }

    /// The request cannot be met: exit code 1.
    pub(super) fn request(error: impl std::fmt::Display) -> Self {
        Self::new(1, error)
    }

    /// The command line makes no sense: exit code 2.
    pub(super) fn usage(error: impl std::fmt::Display) -> Self {
        Self::new(2, error)
    }

    /// The result does not compute what it should: exit code 3.
    pub(super) fn check(error: impl std::fmt::Display) -> Self {
        Self { defect: true, ..Self::new(3, error) }
    }

    /// The same failure, known not to be ours: two models that the user compares differ.
    pub(super) fn expected(self) -> Self {
        Self { defect: false, ..self }
    }

    /// Pipeline text that makes no sense, with the place marked: exit code 2.
    pub(super) fn pipeline(error: &PipelineError, text: &str) -> Self {
        Self::new(2, error.render(text, false).trim_start_matches("error: ").trim_end())
    }

    /// A run that ended without a result.
    pub(super) fn run(error: &RunError) -> Self {
        let defect = match error {
            RunError::Broken { .. } => true,
            RunError::Pass { error, .. } => matches!(error, PassError::Broken(_)),
            RunError::Invalid(_) => false,
        };
        Self { defect, ..Self::new(if defect { 3 } else { 1 }, error) }
    }

    /// The failure with a word on what to do.
    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Whether it is our own fault rather than that of model or request.
    pub(super) fn is_defect(&self) -> bool {
        self.defect
    }

    /// What is said.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Says it on standard error, and answers the exit code.
    pub(super) fn report(self) -> ExitCode {
        output::line(&format!("error: {}", self.message));
        for help in self.help {
            output::line(&format!("  help: {help}"));
        }
        ExitCode::from(self.code)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::request(error)
    }
}
