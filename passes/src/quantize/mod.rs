//! Quantization: whole numbers of few bits in the place of floats.

pub(crate) mod weight;
mod weights_only;

pub use weight::Rounding;
pub(crate) use weights_only::apply_plan;
pub use weights_only::{Bits, Granularity, QuantizeWeights};
