//! The `onnxpress` binary: everything is in the library's `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    onnxpress::cli::main(std::env::args_os())
}
