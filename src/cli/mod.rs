//! The command line: one file a subcommand.
//!
//! Models and JSON go to files or standard output, words to standard error. Exit codes: 0 done, 1 the request cannot be met,
//! 2 usage, 3 the check failed.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the command line is what prints")]

mod calibration;
mod check;
mod compare;
mod completions;
mod dump;
mod eval;
mod failure;
mod inspect;
mod interrupt;
mod model;
mod opt;
mod output;
mod parse;
mod passes;
mod progress;
mod run;
mod sensitivity;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A compiler for ONNX files: simplify, prune, quantize, factorize, and prove the result.
#[derive(Parser)]
#[command(name = "onnxpress", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

/// What every command takes.
#[derive(clap::Args, Clone, Debug)]
struct Global {
    /// Print one JSON object on standard output.
    #[arg(long, global = true)]
    json: bool,
    /// Say more: what was declined, and why.
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Say only what went wrong.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Threads to compute with, 1024 at most; 0 takes as many as there are cores.
    #[arg(long, global = true, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
}

#[derive(Subcommand)]
enum Command {
    Opt(Box<opt::Opt>),
    Inspect(inspect::Inspect),
    Run(run::Run),
    Compare(compare::Compare),
    Eval(eval::Eval),
    Sensitivity(sensitivity::Sensitivity),
    Dump(dump::Dump),
    Parse(parse::Parse),
    Passes(passes::Passes),
    Completions(completions::Completions),
}

/// Runs a command line and answers the exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(error.exit_code().clamp(0, 2) as u8);
        }
    };
    // Whoever computes on several threads takes those of this pool.
    let threads = rayon::ThreadPoolBuilder::new().num_threads(usize::from(cli.global.threads)).build_global();
    debug_assert!(threads.is_ok(), "the pool is made once");
    let outcome = match cli.command {
        Command::Opt(command) => command.run(&cli.global),
        Command::Run(command) => command.run(&cli.global),
        Command::Inspect(command) => command.run(&cli.global),
        Command::Compare(command) => command.run(&cli.global),
        Command::Eval(command) => command.run(&cli.global),
        Command::Sensitivity(command) => command.run(&cli.global),
        Command::Dump(command) => command.run(&cli.global),
        Command::Parse(command) => command.run(&cli.global),
        Command::Passes(command) => command.run(&cli.global),
        Command::Completions(command) => command.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
