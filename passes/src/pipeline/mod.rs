//! Pipelines: which passes run, in what order, with what options.
//!
//! A pipeline is text before it is anything else, so that a command line, a report, a bug reproducer and a sweep over
//! settings all speak of it in the same words. The way is one way: [`text`] parses to a tree that knows no pass, the
//! [`Registry`] turns the tree into pass objects, and the [`Pipeline`] prints back with every default spelled out.
//!
//! Nothing here knows what a pass does: `P`, the type of the pass object, is the business of whoever runs it.

mod error;
mod nearest;
mod registry;
mod resolve;
pub mod text;

#[cfg(test)]
mod tests;

pub use error::{PipelineError, Problem};
pub use registry::{PassSpec, Preset, Registry, RegistryError, RuleSpec};
pub use resolve::{PassStep, Pipeline, Step};

pub(crate) use error::shown;
pub use nearest::nearest;
