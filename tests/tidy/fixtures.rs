//! Fixtures are what `fixtures/SOURCES.md` says they are.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::{files, root, text};

#[test]
fn every_binary_fixture_has_a_source_and_is_the_file_that_it_names() {
    let sources = text("fixtures/SOURCES.md");
    let rows = sources.lines().filter(|line| line.starts_with("| `"));
    let named: BTreeMap<&str, &str> = rows
        .map(|row| {
            let mut cells = row.split('`').skip(1).step_by(2);
            (cells.next().unwrap(), cells.last().unwrap())
        })
        .collect();
    let binary = |path: &&std::path::PathBuf| {
        path.extension()
            .is_some_and(|extension| ["onnx", "npz", "npy", "data", "bin"].iter().any(|&it| extension == it))
    };
    let mut found = BTreeMap::new();
    for path in files(&["fixtures"]).iter().filter(binary) {
        let digest = Sha256::digest(std::fs::read(root().join(path)).unwrap());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        found.insert(path.strip_prefix("fixtures").unwrap().to_str().unwrap().to_owned(), digest);
    }
    let named: BTreeMap<_, _> = named.into_iter().map(|(name, digest)| (name.to_owned(), digest.to_owned())).collect();
    assert_eq!(found, named);
}
