//! What a `Concat` puts side by side.

use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{NodeId, Tensor, ValueId};
use onnxpress_ops::node::NodeCx;

use crate::rewrite::{Change, Found, MatchCx, Miss, Reads};

/// The axis, counted from the front.
///
/// # Errors
/// [`Miss::NotHere`] where it counts from the back of an unknown rank.
pub(in super::super) fn axis(cx: &MatchCx<'_>, node: &NodeCx<'_>) -> Found<usize> {
    let axis = cx.attribute(node.id, node.attrs().int_or("axis", 1))?;
    match (usize::try_from(axis), cx.shape(node.id.port(0))) {
        (Ok(axis), _) => Ok(axis),
        (_, Some(shape)) => normalize_axis(axis, shape.len()).ok_or(Miss::NotHere),
        _ => Err(Miss::NotHere),
    }
}

/// Tensors put side by side. `None` where their elements have no bytes of their own, or they do not fit.
pub(in super::super) fn joined(tensors: &[&Tensor], axis: usize) -> Option<Tensor> {
    let first = tensors.first()?;
    let bits = first.dtype().bits();
    if !bits.is_multiple_of(8) || axis >= first.rank() {
        return None;
    }
    let mut dims = first.dims().to_vec();
    let outer: usize = dims[..axis].iter().product();
    let inner: usize = dims[axis + 1..].iter().product();
    let mut extent = 0usize;
    let mut parts = Vec::new();
    for tensor in tensors {
        let (own, fits) = (tensor.dims(), tensor.dtype() == first.dtype() && tensor.rank() == dims.len());
        if !fits || own[..axis] != dims[..axis] || own[axis + 1..] != dims[axis + 1..] {
            return None;
        }
        extent = extent.checked_add(own[axis])?;
        parts.push((tensor.bytes()?, own[axis] * inner * (bits / 8)));
    }
    let mut bytes = Vec::with_capacity(tensors.iter().map(|tensor| tensor.byte_len()).sum());
    for row in 0..outer {
        for (part, width) in &parts {
            bytes.extend_from_slice(part.get(row * width..(row + 1) * width)?);
        }
    }
    dims[axis] = extent;
    Tensor::from_bytes(first.dtype(), &dims, bytes.into()).ok()
}

/// A `Concat` with runs of its operands put together: what `run` answers for those from some place on, and how many it stands for.
///
/// # Errors
/// [`Miss::NotHere`] where there is no such run; a decline where the file would grow.
pub(in super::super) fn with_runs(
    cx: &MatchCx<'_>,
    root: NodeId,
    run: impl Fn(&[ValueId], usize) -> Option<(Reads, usize)>,
) -> Found<Change> {
    let axis = axis(cx, &cx.node(root)?)?;
    let operands: Vec<ValueId> = cx.graph().operands(root).flatten().collect();
    let mut reads: Vec<Reads> = Vec::new();
    let mut at = 0;
    while at < operands.len() {
        let (whole, count) = run(&operands[at..], axis).unwrap_or((operands[at].into(), 1));
        reads.push(whole);
        at += count;
    }
    if reads.len() < operands.len() { Change::operands(cx, root, reads) } else { Err(Miss::NotHere) }
}

/// The operands of a `Concat` and how far each reaches along its axis.
pub(in super::super) struct Parts {
    parts: Vec<(ValueId, Option<i64>)>,
}

impl Parts {
    /// Of a `Concat` along an axis.
    pub(in super::super) fn of(cx: &MatchCx<'_>, node: &NodeCx<'_>, axis: usize) -> Self {
        let extent = |value| cx.shape(value).and_then(|shape| shape.get(axis)?.as_const());
        Self { parts: cx.graph().operands(node.id).flatten().map(|value| (value, extent(value))).collect() }
    }

    /// The operand that has all of these indices, and what to subtract from an index to have it counted within; counted as they
    /// are, from the front or from the back.
    pub(in super::super) fn holding(&self, indices: impl IntoIterator<Item = i64>) -> Option<(ValueId, i64)> {
        let indices: Vec<i64> = indices.into_iter().collect();
        let (low, high) = (*indices.iter().min()?, *indices.iter().max()?);
        if low >= 0 {
            let mut from = 0i64;
            for &(value, extent) in &self.parts {
                let to = from.checked_add(extent?)?;
                if low >= from && low < to {
                    return (high < to).then_some((value, from));
                }
                from = to;
            }
        } else if high < 0 {
            let mut to = 0i64;
            for &(value, extent) in self.parts.iter().rev() {
                let from = to.checked_sub(extent?)?;
                if low >= from && low < to {
                    return (high < to).then_some((value, to));
                }
                to = from;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tensors_are_joined_along_any_axis() {
        let a = Tensor::from_values(&[2, 1], vec![1i64, 2]).unwrap();
        let b = Tensor::from_values(&[2, 2], vec![3i64, 4, 5, 6]).unwrap();
        assert_eq!(joined(&[&a, &b], 1).unwrap().to_i64s().unwrap(), [1, 3, 4, 2, 5, 6]);
        assert!(joined(&[&a, &b], 0).is_none());
    }
}
