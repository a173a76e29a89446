//! Pipelines: which passes run, in what order, with what options.
//!
//! A pipeline is text before it is anything else, so that a command line, a report, a bug reproducer and a sweep over
//! settings all speak of it in the same words.

mod error;
pub mod text;

pub use error::{PipelineError, Problem};
