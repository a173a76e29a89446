//! What rules about products of matrices ask.

use onnxpress_ir::{NodeId, Shape, ValueId};

use crate::rewrite::{Found, MatchCx, Miss};

/// A value, transposed or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factor {
    pub(super) value: ValueId,
    pub(super) transposed: bool,
    /// The `Transpose` that is done without.
    pub(super) transpose: Option<NodeId>,
}

impl Factor {
    /// Operand `index` of a node; before its `Transpose`, if it is a matrix that only this node reads so.
    ///
    /// # Errors
    /// [`Miss::NotHere`] if it is left out.
    pub(super) fn of(cx: &MatchCx<'_>, node: NodeId, index: usize) -> Found<Self> {
        let value = cx.operand(node, index)?;
        let plain = Self { value, transposed: false, transpose: None };
        let Ok(transpose) = cx.producer(node, index, "Transpose") else { return Ok(plain) };
        let before = cx.operand(transpose.id, 0)?;
        let perm = cx.attribute(transpose.id, transpose.attrs().ints("perm"))?;
        let turns = is_matrix(cx, before) && perm.is_none_or(|perm| perm == [1, 0]);
        match turns && cx.sole_reader(value, node).is_ok() {
            true => Ok(Self { value: before, transposed: true, transpose: Some(transpose.id) }),
            false => Ok(plain),
        }
    }
}

/// Whether a value is known to have two axes.
pub(super) fn is_matrix(cx: &MatchCx<'_>, value: ValueId) -> bool {
    shape(cx, value).is_some_and(|shape| shape.len() == 2)
}

/// The extents of a value, where its rank is known.
pub(super) fn shape<'a>(cx: &MatchCx<'a>, value: ValueId) -> Option<&'a Shape> {
    cx.ty(value).shape()
}

/// Goes on only if both operands of a `MatMul` are matrices.
///
/// # Errors
/// [`Miss::NotHere`] if not, or if that is not known.
pub(super) fn of_matrices(cx: &MatchCx<'_>, product: NodeId) -> Found<()> {
    let both = is_matrix(cx, cx.operand(product, 0)?) && is_matrix(cx, cx.operand(product, 1)?);
    if both { Ok(()) } else { Err(Miss::NotHere) }
}
