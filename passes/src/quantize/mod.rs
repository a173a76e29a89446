//! Quantization: whole numbers of few bits in the place of floats.

#[allow(dead_code, unused_imports, reason = "what is shared comes before its first readers")]
pub(crate) mod weight;

pub use weight::Rounding;
