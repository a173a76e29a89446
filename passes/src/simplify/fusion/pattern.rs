//! Pieces that many written-out operators are made of.

use onnxpress_ir::{Dim, NodeId, Shape, ValueId};

use crate::rewrite::{Found, MatchCx, Miss};

/// The only element of a constant.
pub(super) fn scalar(cx: &MatchCx<'_>, value: ValueId) -> Option<f64> {
    let tensor = cx.constant(value).filter(|tensor| tensor.len() == 1)?;
    tensor.to_f64s().ok()?.first().copied()
}

/// The extents of a value, where its rank is known.
pub(super) fn shape<'a>(cx: &MatchCx<'a>, value: ValueId) -> Option<&'a Shape> {
    cx.ty(value).shape()
}

/// Whether extents are equal for certain.
pub(super) fn equal<'d>(a: impl ExactSizeIterator<Item = &'d Dim>, b: impl ExactSizeIterator<Item = &'d Dim>) -> bool {
    a.len() == b.len() && a.zip(b).all(|(a, b)| a.equals(b) == Some(true))
}

/// The node that gives a value as its first output, if it is of this operator.
pub(super) fn giver(cx: &MatchCx<'_>, value: ValueId, op_type: &str) -> Found<NodeId> {
    match value.port {
        0 => cx.operator(value.node, op_type).map(|node| node.id),
        _ => Err(Miss::NotHere),
    }
}

/// The operands of an operator of two for which their order does not matter, in both orders.
pub(super) fn either_way(cx: &MatchCx<'_>, node: NodeId) -> Found<[(ValueId, ValueId); 2]> {
    let (a, b) = (cx.operand(node, 0)?, cx.operand(node, 1)?);
    Ok([(a, b), (b, a)])
}

/// The `x` of `x * x`, and the node.
pub(super) fn square(cx: &MatchCx<'_>, value: ValueId) -> Found<(ValueId, NodeId)> {
    let node = value.node;
    let (is_mul, is_pow) = (giver(cx, value, "Mul").is_ok(), giver(cx, value, "Pow").is_ok());
    let (a, b) = (cx.operand(node, 0)?, cx.operand(node, 1)?);
    match is_mul && a == b || is_pow && scalar(cx, b) == Some(2.0) {
        true => Ok((a, node)),
        false => Err(Miss::NotHere),
    }
}

/// The only reader of a value, if it is a node of this operator.
pub(super) fn only_reader(cx: &MatchCx<'_>, value: ValueId, op_type: &str) -> Found<NodeId> {
    let reading = cx.graph().sole_reader(value).ok_or(Miss::NotHere)?;
    cx.operator(reading.node, op_type).map(|node| node.id)
}

/// A reduction along axes that are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reduced {
    pub(super) node: NodeId,
    pub(super) data: ValueId,
    /// In ascending order.
    pub(super) axes: Vec<usize>,
    pub(super) rank: usize,
    pub(super) keeps: bool,
}

impl Reduced {
    /// The reduction that gives a value, if it is of this operator.
    ///
    /// # Errors
    /// [`Miss::NotHere`] where it is not, or rank or axes are not known.
    pub(super) fn giving(cx: &MatchCx<'_>, value: ValueId, op_type: &str) -> Found<Self> {
        let node = cx.node(giver(cx, value, op_type)?)?;
        let data = cx.operand(node.id, 0)?;
        let rank = shape(cx, data).ok_or(Miss::NotHere)?.len();
        let given = match node.operand(1) {
            Some(axes) => {
                cx.watch(axes.node);
                Some(cx.constant(axes).and_then(|tensor| tensor.to_i64s().ok()).ok_or(Miss::NotHere)?)
            }
            None => cx.attribute(node.id, node.attrs().ints("axes"))?,
        };
        let does_nothing = cx.attribute(node.id, node.attrs().flag("noop_with_empty_axes"))?;
        let mut axes: Vec<usize> = match given.filter(|axes| !axes.is_empty()) {
            None if does_nothing => return Err(Miss::NotHere),
            None => (0..rank).collect(),
            Some(axes) => {
                let normal = axes.iter().map(|&axis| onnxpress_ir::shape::normalize_axis(axis, rank));
                normal.collect::<Option<_>>().ok_or(Miss::NotHere)?
            }
        };
        axes.sort_unstable();
        axes.dedup();
        let keeps = cx.attribute(node.id, node.attrs().int_or("keepdims", 1))? != 0;
        Ok(Self { node: node.id, data, axes, rank, keeps })
    }

    /// The same, if it keeps the axes that it reduces.
    ///
    /// # Errors
    /// [`Miss::NotHere`] where it does not.
    pub(super) fn keeping(cx: &MatchCx<'_>, value: ValueId, op_type: &str) -> Found<Self> {
        Self::giving(cx, value, op_type)
            .and_then(|reduced| if reduced.keeps { Ok(reduced) } else { Err(Miss::NotHere) })
    }

    /// Where the axes are the last ones, the first of them.
    pub(super) fn first_of_last(&self) -> Option<usize> {
        let first = *self.axes.first()?;
        (self.axes.len() == self.rank - first).then_some(first)
    }
}
