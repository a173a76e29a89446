//! The `onnxpress` binary: everything is in the library's `cli`.

use std::process::ExitCode;

/// Values of many sizes come and go by the batch; the system's allocators keep what is free between them, up to as much again as is used.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    onnxpress::cli::main(std::env::args_os())
}
