//! `completions`: scripts that complete command lines.

use clap::CommandFactory as _;

use super::failure::Failure;

/// Print a completion script for a shell.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  onnxpress completions bash > ~/.local/share/bash-completion/completions/onnxpress")]
pub(super) struct Completions {
    /// The shell.
    shell: clap_complete::Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Cli::command(), "onnxpress", &mut script);
        super::output::text(&String::from_utf8_lossy(&script))
    }
}
