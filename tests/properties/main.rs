//! What must hold of any model and any pipeline, on models that nobody chose.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod damaged_files;
mod more_lines;
mod random_models;
mod random_pipelines;
mod round_trips;

use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;

/// So many cases, the same on every run; PROPTEST_CASES and PROPTEST_RNG_SEED ask for others.
fn config(cases: u32) -> ProptestConfig {
    let (asked, default) = (|name| std::env::var_os(name).is_some(), ProptestConfig::default());
    ProptestConfig {
        cases: if asked("PROPTEST_CASES") { default.cases } else { cases },
        rng_seed: if asked("PROPTEST_RNG_SEED") { default.rng_seed } else { RngSeed::Fixed(1) },
        failure_persistence: None,
        ..default
    }
}
