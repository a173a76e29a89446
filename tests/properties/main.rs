//! What must hold of any model and any pipeline, on models that nobody chose.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod damaged_files;
mod random_models;
mod random_pipelines;
mod round_trips;
