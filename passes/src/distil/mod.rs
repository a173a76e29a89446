//! `distil`: what compression lost, won back from samples without labels.
//!
//! The model that came into the run is the teacher, the model at hand the student: its parameters take steps down the gradient of
//! how far it is from the teacher ([`differentiate`](crate::differentiate)). Samples are kept in memory, cut apart (`rows`), and shown
//! by several threads (`school`); some are held out, and of all epochs the one is kept that is closest to the teacher on those
//! (`train`), the start among them, so the result is never worse on them than what came in. What a compressor made stays made: elements of a weight that are
//! zero stay zero, codes stay codes (`grids`), and nothing but constants changes.

mod augment;
mod curve;
mod grids;
mod interface;
mod optimizer;
mod options;
mod rate;
mod rows;
mod school;
mod scores;
#[cfg(test)]
mod tests;
mod train;

pub use options::{Augmentation, Distil, Optimizer, Schedule};
pub use rate::LearningRate;
