//! `distil`: what compression lost, won back from samples without labels.
//!
//! The model that came into the run is the teacher, the model at hand the student: its parameters take steps down the gradient of
//! how far it is from the teacher ([`differentiate`](crate::differentiate)). Compared are the answers, and values at the ends of blocks
//! that both have (`landmarks`, `pair`), all at once or block by block (`lesson`). Samples are kept in memory, cut apart (`rows`), and
//! shown by several threads (`school`); some are held out, and of all epochs the one is kept whose answers are closest to the
//! teacher's on those (`train`), the start among them, so the result is never worse on them than what came in. What a compressor made
//! stays made: elements of a weight that are zero stay zero, codes stay codes (`grids`), and nothing but constants changes.

mod augment;
mod channels;
mod curve;
mod grids;
mod interface;
mod landmarks;
mod lesson;
mod memory;
mod optimizer;
mod options;
mod pair;
mod palettes;
mod rate;
mod rows;
mod school;
mod scores;
mod state;
#[cfg(test)]
mod tests;
mod train;

pub use options::{Aim, Augmentation, Distil, Mode, Optimizer, Schedule};
pub use rate::LearningRate;
