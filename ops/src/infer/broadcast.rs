//! Inference that many operators share: elementwise with broadcasting, and "as the first operand".

use onnxpress_ir::{DType, Dim, Shape, TensorType, Type};

use super::{InferCx, Undecided};

/// The shape that all operands broadcast to; `None` where the rank of one is not known.
///
/// # Errors
/// Where they cannot be broadcast together.
pub fn broadcast(cx: &InferCx<'_>, operands: impl IntoIterator<Item = usize>) -> Result<Option<Shape>, Undecided> {
    let mut result: Option<Shape> = None;
    for index in operands {
        let Some(shape) = cx.shape(index) else { return Ok(None) };
        result = Some(match result {
            None => shape.clone(),
            Some(so_far) => so_far.broadcast(shape)?,
        });
    }
    Ok(result)
}

/// Output 0 is all operands broadcast together; its elements are of `dtype`, or of the operands' own type.
///
/// # Errors
/// Where the operands cannot be broadcast together.
pub fn elementwise(cx: &mut InferCx<'_>, dtype: Option<DType>) -> Result<(), Undecided> {
    let operands = 0..cx.operand_count();
    let dtype = dtype.or_else(|| operands.clone().find_map(|index| cx.dtype(index)));
    let shape = broadcast(cx, operands)?;
    cx.set_tensor(0, dtype, shape);
    Ok(())
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

/// Elements of output 0 where both operands have known or symbolic ones: `f` of each pair, a scalar repeated.
pub fn elements_of_two(cx: &mut InferCx<'_>, f: impl Fn(&Dim, &Dim) -> Dim) {
    let (Some(a), Some(b)) = (cx.elements(0), cx.elements(1)) else { return };
    // Of a row and a column the elements do not simply pair up.
    if cx.rank(0).is_none_or(|rank| rank > 1) || cx.rank(1).is_none_or(|rank| rank > 1) {
        return;
    }
    let count = match (a.len(), b.len()) {
        (m, n) if m == n => m,
        (1, n) | (n, 1) => n,
        _ => return,
    };
    let pick = |list: &[Dim], index: usize| list[if list.len() == 1 { 0 } else { index }].clone();
    let elements: Vec<Dim> = (0..count).map(|index| f(&pick(a, index), &pick(b, index))).collect();
    cx.set_elements(0, elements);
}
