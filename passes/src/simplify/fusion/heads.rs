//! Heads of attention: how they are split out of a packed axis, and joined again.

use onnxpress_ir::{Dim, NodeId, Shape, ValueId};

use super::pattern::{equal, giver, only_reader, shape};
use crate::rewrite::{Found, MatchCx, Miss};

/// A value of `[batch, sequence, heads * size]` whose heads are split.
pub(super) struct Packed {
    /// The value before.
    pub(super) value: ValueId,
    pub(super) heads: i64,
}

impl Packed {
    /// Of a value `[batch, sequence, heads, size]`.
    pub(super) fn split(cx: &MatchCx<'_>, value: ValueId, gone: &mut Vec<NodeId>) -> Found<Self> {
        let reshape = giver(cx, value, "Reshape")?;
        let packed = cx.operand(reshape, 0)?;
        let heads = splits(of(cx, packed)?, of(cx, value)?).ok_or(Miss::NotHere)?;
        gone.push(reshape);
        Ok(Self { value: packed, heads })
    }

    /// Of a value `[batch, heads, sequence, size]`.
    pub(super) fn turned(cx: &MatchCx<'_>, value: ValueId, gone: &mut Vec<NodeId>) -> Found<Self> {
        let transpose = giver(cx, value, "Transpose")?;
        exchanges(cx, transpose)?;
        gone.push(transpose);
        Self::split(cx, cx.operand(transpose, 0)?, gone)
    }
}

/// The value `[batch, sequence, heads * size]` that `[batch, heads, sequence, size]` is made, and by nothing else is read.
pub(super) fn joined(cx: &MatchCx<'_>, value: ValueId, gone: &mut Vec<NodeId>) -> Found<NodeId> {
    let transpose = only_reader(cx, value, "Transpose")?;
    exchanges(cx, transpose)?;
    let reshape = only_reader(cx, transpose.port(0), "Reshape")?;
    splits(of(cx, reshape.port(0))?, of(cx, transpose.port(0))?).ok_or(Miss::NotHere)?;
    gone.extend([transpose, reshape]);
    Ok(reshape)
}

fn of<'a>(cx: &MatchCx<'a>, value: ValueId) -> Found<&'a Shape> {
    shape(cx, value).ok_or(Miss::NotHere)
}

/// The number of heads, if the last axis of one shape is the last two of the other.
fn splits(packed: &Shape, split: &Shape) -> Option<i64> {
    let ([b, s, both], [b1, s1, h, d]) = (&packed[..], &split[..]) else { return None };
    let same = equal([b, s].into_iter(), [b1, s1].into_iter()) && Dim::product([h, d]).equals(both) == Some(true);
    h.as_const().filter(|&heads| same && heads > 0)
}

/// Goes on only if sequence and heads change places.
fn exchanges(cx: &MatchCx<'_>, transpose: NodeId) -> Found<()> {
    let perm = cx.attribute(transpose, cx.node(transpose)?.attrs().ints("perm"))?;
    if perm == Some(vec![0, 2, 1, 3]) { Ok(()) } else { Err(Miss::NotHere) }
}
