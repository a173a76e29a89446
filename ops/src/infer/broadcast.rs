//! Inference that many operators share: elementwise with broadcasting, and "as the first operand".

use onnxpress_ir::{DType, Shape, TensorType, Type};

use super::{InferCx, Undecided};

/// The shape that these operands broadcast to; `None` where the rank of one is not known.
///
/// # Errors
/// Where they cannot be broadcast together.
pub fn broadcast(cx: &InferCx<'_>, operands: impl IntoIterator<Item = usize>) -> Result<Option<Shape>, Undecided> {
    let shapes: Option<Vec<&Shape>> = operands.into_iter().map(|index| cx.shape(index)).collect();
    Ok(shapes.map(Shape::broadcast_all).transpose()?)
}

/// Output 0 is all operands broadcast together; its elements are of `dtype`, or of the operands' own type, which is answered.
///
/// Before opset 7 attributes asked for broadcasting, of the other operands to the first.
///
/// # Errors
/// Where the operands cannot be broadcast together.
pub fn elementwise(cx: &mut InferCx<'_>, dtype: Option<DType>) -> Result<Option<DType>, Undecided> {
    let operands = 0..cx.operand_count();
    let dtype = dtype.or_else(|| operands.clone().find_map(|index| cx.dtype(index)));
    let old = cx.version < 7 && cx.node.node.canonical_domain().is_empty();
    let shape = if old { cx.shape(0).cloned() } else { broadcast(cx, operands)? };
    cx.set_tensor(0, dtype, shape);
    Ok(dtype)
}

/// Output 0 has the type of operand 0.
///
/// # Errors
/// Never; the signature is that of a facet.
pub fn same_as_first(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let ty = match cx.ty(0) {
        Type::Tensor(TensorType { dtype, shape }) => Type::tensor(*dtype, shape.clone()),
        other => other.clone(),
    };
    cx.set(0, ty);
    Ok(())
}
