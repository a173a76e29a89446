//! `quantize-dynamic`: matrix products over whole numbers, whose activations are quantized in every run.
//!
//! `DynamicQuantizeLinear` takes the range of an activation as it is, so no data is needed. Which layers can multiply whole
//! numbers is `layers`' to find, and of products of two computed values `computed`'s; `product` writes them, and beside them the witness.

mod computed;
mod layers;
mod options;
mod product;
mod run;

pub use options::{Convolutions, QuantizeDynamic};
