//! Values whose elements are all the same number.

use onnxpress_ir::{Tensor, ValueId};

use super::regrouping;
use crate::rewrite::MatchCx;

/// Nodes that only spread, regroup or pick, which are looked through.
const REACH: usize = 8;

/// The number that all elements of a value are, as a scalar of its type: of a constant, a `ConstantOfShape`, or what only
/// spreads, regroups or picks from one.
pub(in super::super) fn splat(cx: &MatchCx<'_>, mut value: ValueId) -> Option<Tensor> {
    for _ in 0..REACH {
        if let Some(tensor) = cx.constant(value) {
            return uniform(tensor);
        }
        let node = cx.node(value.node).ok()?;
        if node.node.is("ConstantOfShape") {
            let scalar = cx.attribute(node.id, node.attrs().tensor("value")).ok()?;
            let zero = || Tensor::scalar(0f32);
            return scalar.map_or_else(|| Some(zero()), |tensor| tensor.reshaped(&[]).ok());
        }
        let spreads = regrouping::is_one(cx, &node)
            || ["Expand", "Tile", "Identity", "Transpose", "Slice", "Gather", "Split"]
                .iter()
                .any(|op| node.node.is(op));
        if !spreads {
            return None;
        }
        value = cx.operand(node.id, 0).ok()?;
    }
    None
}

/// The element that all elements of a tensor are equal to, bit for bit.
fn uniform(tensor: &Tensor) -> Option<Tensor> {
    let bits = tensor.dtype().bits();
    let bytes = tensor.bytes().filter(|_| bits.is_multiple_of(8) && !tensor.is_empty())?;
    let width = bits / 8;
    let first = bytes.slice(..width.min(bytes.len()));
    if !bytes.chunks_exact(width).all(|element| element == &first[..]) {
        return None;
    }
    Tensor::from_bytes(tensor.dtype(), &[], first).ok()
}
