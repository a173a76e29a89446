//! Nodes `Constant` whose value the call gives.

use onnxpress_ir::{AttrValue, Node, Tensor};

/// The tensor of a node `Constant` whose value the call gave.
pub(super) fn given_constant(node: &Node) -> Option<Tensor> {
    let [attr] = node.attrs.as_slice() else { return None };
    if !node.is("Constant") || node.port_count() != 1 {
        return None;
    }
    match &attr.value {
        AttrValue::Tensor(tensor) => Some(tensor.clone()),
        AttrValue::Float(value) => Some(Tensor::scalar(*value)),
        AttrValue::Int(value) => Some(Tensor::scalar(*value)),
        AttrValue::Floats(values) => Some(Tensor::vector(values.clone())),
        AttrValue::Ints(values) => Some(Tensor::vector(values.clone())),
        AttrValue::String(value) => Tensor::from_strings(&[], vec![value.clone()]).ok(),
        AttrValue::Strings(values) => Tensor::from_strings(&[values.len()], values.clone()).ok(),
        _ => None,
    }
}
