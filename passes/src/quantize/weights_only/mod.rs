//! `quantize-weights`: weights in few bits, which `DequantizeLinear` makes floats of again.
//!
//! Activations stay what they are, so no data is needed, and the file shrinks by as much as the weights do. What is a weight,
//! and how it is written in few bits, is [`super::weight`]'s business. Here the weights are chosen (`candidates`), the model is
//! brought to a version of the standard that can say it (`opset`), what is decided is written down (`plan`), and done (`apply`).

mod apply;
mod candidates;
mod opset;
mod options;
mod plan;

pub(crate) use apply::apply_plan;
pub use options::{Bits, Granularity, QuantizeWeights};
