//! Whole processes, measured: how long they take and how much memory.
//!
//! Memory is sampled while the process runs.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What one command took.
pub(crate) struct Figure {
    pub(crate) seconds: f64,
    /// Beyond mapped files (`RssAnon`).
    pub(crate) anonymous_kb: u64,
    /// All of it, at most.
    pub(crate) resident_kb: u64,
}

/// Runs a command to its end and watches its memory.
pub(crate) fn measure(command: &mut Command) -> Figure {
    let clock = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut anonymous_kb, mut resident_kb) = (0, 0);
    let seconds = loop {
        let (anonymous, resident) = memory(&child);
        anonymous_kb = anonymous_kb.max(anonymous);
        resident_kb = resident_kb.max(resident);
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{command:?} failed");
            break clock.elapsed().as_secs_f64();
        }
        std::thread::sleep(Duration::from_micros(200));
    };
    Figure { seconds, anonymous_kb, resident_kb }
}

fn memory(child: &Child) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let field = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok()).unwrap_or(0)
    };
    (field("RssAnon:"), field("VmHWM:"))
}

/// The binary with these arguments, then these files.
pub(crate) fn press(args: &[&str], files: &[&Path]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onnxpress"));
    command.args(args).args(files);
    command
}

/// `opt` from one file to another.
pub(crate) fn opt(input: &Path, output: &Path, more: &[&str]) -> Command {
    let mut command = press(&["opt", "-q"], &[input]);
    command.arg("-o").arg(output).args(more);
    command
}

/// `cp`, and the file on the disk before it ends, as `opt` has it.
pub(crate) fn cp_synced(from: &Path, to: &Path) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg("cp \"$0\" \"$1\" && sync \"$1\"").arg(from).arg(to);
    command
}
