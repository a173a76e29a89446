//! Quantization: whole numbers of few bits in the place of floats.

pub mod calibrated;
mod dequantize;
mod dynamic;
mod folding;
pub(crate) mod palettize;
pub(crate) mod range;
mod scaling;
mod sequential;
pub(crate) mod weight;
mod weights_only;

pub use calibrated::Quantize;
pub use dequantize::Dequantize;
pub(crate) use dequantize::{decoded_constant, scales as stored_scales};
pub use dynamic::{Convolutions, QuantizeDynamic};
pub use palettize::{PaletteCodes, PaletteInit, Palettize, Per};
pub use range::Calibration;
pub use scaling::{Equalize, SmoothQuant};
pub use weight::Rounding;
pub use weights_only::{AllocateBits, Bits, CodeType, Form, Granularity, QuantizeWeights, Scales};
pub(crate) use weights_only::{Weight, Weights, apply_plan, part_mut, raise, tensor};

#[cfg(test)]
mod kinds;
#[cfg(test)]
mod testing;
