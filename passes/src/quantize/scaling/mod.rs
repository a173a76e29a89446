//! Scales moved from one place to another before quantization: the model computes the same, and its values and weights are
//! easier to hold in few bits.
//!
//! A channel that is divided by a number where it is made and multiplied by it where it is read gives the same results, if all
//! in between scales with it. Numbers are powers of two, so that not one bit of any result changes (short of the ends of the
//! range of floats).

mod activation_aware;
mod equalize;
mod smooth;
mod weight;

pub(in crate::quantize) use activation_aware::protect;
pub use equalize::Equalize;
pub use smooth::SmoothQuant;

use std::collections::BTreeMap;

use onnxpress_ir::{Edit, Model, NodeId, Tensor};
use onnxpress_ops::infer::Standard;

/// The power of two nearest to a number, on a scale of ratios; one where there is none.
fn power_of_two(number: f64) -> f32 {
    let exponent = number.log2().round();
    if exponent.is_finite() { exponent.clamp(-60.0, 60.0).exp2() as f32 } else { 1.0 }
}

/// Puts other tensors in the place of constants; answers how many.
fn put(
    model: &mut Model,
    rule: &'static str,
    changed: BTreeMap<NodeId, Vec<f32>>,
) -> Result<usize, onnxpress_ir::TensorError> {
    let mut tensors = Vec::new();
    for (id, values) in changed {
        if let Some(old) = model.graph.constant(id.port(0)) {
            tensors.push((id, Tensor::from_values(old.dims(), values)?));
        }
    }
    let count = tensors.len();
    let mut edit = Edit::new(&mut model.graph, &Standard, rule, &[]);
    tensors.into_iter().for_each(|(id, tensor)| edit.set_constant(id, tensor));
    edit.commit();
    Ok(count)
}

#[cfg(test)]
mod tests;
