//! What holds the house up and no compiler checks: which crate may know which, how source files look, and that the papers say
//! what is so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod fixtures;
mod layers;
mod papers;
mod source_files;
#[cfg(feature = "cli")]
mod tables;

use std::path::{Path, PathBuf};

/// The folder of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository as text.
fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below the folders, in order, with their paths from the root; what is built or hidden is not looked at.
fn files(folders: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in folders {
        collect(&root().join(folder), &mut found);
    }
    let mut found: Vec<_> = found.into_iter().map(|path| path.strip_prefix(root()).unwrap().to_owned()).collect();
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with('.') || matches!(name.as_str(), "target" | "corpus" | "artifacts" | "__pycache__") {
            continue;
        }
        if path.is_dir() { collect(&path, found) } else { found.push(path) }
    }
}
