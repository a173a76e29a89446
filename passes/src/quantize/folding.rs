//! What decoding costs that runtimes do once, when they load the model.
//!
//! `DequantizeLinear` and onnxruntime's own operators compute with codes that stay codes. Other nodes that make floats of constants are
//! folded by a runtime: the file is small, memory holds floats, and layers are as fast as those of floats.

use onnxpress_ir::Tensor;

use super::weights_only::several;
use crate::pass::PassCx;

/// Says what the decoding of these weights costs, each with its name and what it was; by which operators is `by`'s to say.
pub(super) fn notice<'t>(weights: impl Iterator<Item = (String, &'t Tensor)>, by: &str, cx: &mut PassCx<'_>) {
    let (names, sizes): (Vec<String>, Vec<usize>) = weights.map(|(name, tensor)| (name, tensor.byte_len())).unzip();
    if !names.is_empty() {
        let kilobytes = sizes.iter().sum::<usize>().div_ceil(1000);
        cx.notice(format!(
            "{} decoded by {by}, which runtimes fold when they load the model: {kilobytes} kB of floats in memory from then on",
            several(&names)
        ));
    }
}
