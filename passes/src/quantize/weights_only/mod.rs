//! `quantize-weights`: weights in few bits, of which `DequantizeLinear` or its like makes floats again.
//!
//! Activations stay what they are, so no data is needed, and the file shrinks by as much as the weights do. What is a weight,
//! and how it is written in few bits, is [`super::weight`]'s business. Here the weights are chosen (`candidates`), the model is
//! brought to a version of the standard that can say it (`opset`), what is decided is written down (`plan`), and done (`apply`, `put`; with
//! samples `fitted`).

mod allocate;
mod apply;
mod candidates;
mod decode;
mod fisher;
mod fitted;
mod nbits;
mod opset;
mod options;
mod plan;
mod put;

pub use allocate::AllocateBits;
pub(crate) use apply::apply_plan;
pub(super) use apply::{Order, bytes, carry_out, half_holds, notice_quantized, several};
pub(crate) use candidates::{Weight, Weights, part_mut, tensor};
pub(super) use candidates::{inside, part};
pub(super) use decode::oldest_opset as oldest_cast;
pub(super) use fitted::notice_unseen;
pub(crate) use opset::raise;
pub use options::{Bits, CodeType, Form, Granularity, QuantizeWeights, Scales};
pub(super) use put::{Placing, round};

#[cfg(test)]
mod tests;
