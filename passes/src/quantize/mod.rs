//! Quantization: whole numbers of few bits in the place of floats.

mod dynamic;
pub(crate) mod weight;
mod weights_only;

pub use dynamic::{Convolutions, QuantizeDynamic};
pub use weight::Rounding;
pub(crate) use weights_only::apply_plan;
pub use weights_only::{Bits, Form, Granularity, QuantizeWeights};
