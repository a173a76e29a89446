//! Operators that give the elements of their first operand in the same order, under other extents.

use onnxpress_ir::{Attr, Dim, NodeId, ValueId};
use onnxpress_ops::node::NodeCx;

use crate::rewrite::{Change, Found, MatchCx, Miss, Reads};

/// Those that say so by what they are.
pub(in super::super) const OPERATORS: [&str; 4] = ["Reshape", "Flatten", "Squeeze", "Unsqueeze"];

/// The first version of `Reshape` that takes the extents as an operand.
const OPERAND_SINCE: i64 = 5;

/// Whether a node gives the elements of its first operand in the same order: one of [`OPERATORS`], or a `Transpose` that
/// moves only axes of one index past others.
pub(in super::super) fn is_one(cx: &MatchCx<'_>, node: &NodeCx<'_>) -> bool {
    OPERATORS.iter().any(|op| node.node.is(op)) || node.node.is("Transpose") && keeps_order(cx, node).unwrap_or(false)
}

/// What a value is a regrouping of, and by which node.
///
/// # Errors
/// [`Miss::NotHere`] where it is none.
pub(in super::super) fn source<'a>(cx: &MatchCx<'a>, value: ValueId) -> Found<(NodeCx<'a>, ValueId)> {
    let node = cx.node(value.node)?;
    if is_one(cx, &node) { Ok((node, cx.operand(node.id, 0)?)) } else { Err(Miss::NotHere) }
}

/// The permutation of a `Transpose`.
///
/// # Errors
/// [`Miss::NotHere`] where it is left out and the rank is not known.
pub(in super::super) fn permutation(cx: &MatchCx<'_>, node: &NodeCx<'_>) -> Found<Vec<usize>> {
    let perm = match cx.attribute(node.id, node.attrs().ints("perm"))? {
        Some(perm) => {
            perm.into_iter().map(usize::try_from).collect::<Result<Vec<_>, _>>().map_err(|_| Miss::NotHere)?
        }
        None => (0..cx.shape(cx.operand(node.id, 0)?).ok_or(Miss::NotHere)?.len()).rev().collect(),
    };
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if sorted.into_iter().eq(0..perm.len()) { Ok(perm) } else { Err(Miss::NotHere) }
}

/// Whether the axes that have more than one index, or may have, stay in their order.
fn keeps_order(cx: &MatchCx<'_>, node: &NodeCx<'_>) -> Found<bool> {
    let perm = permutation(cx, node)?;
    if perm.is_sorted() {
        return Ok(true);
    }
    let shape = cx.shape(cx.operand(node.id, 0)?).filter(|shape| shape.len() == perm.len()).ok_or(Miss::NotHere)?;
    let one = Dim::from(1);
    Ok(perm.into_iter().filter(|&axis| shape[axis].equals(&one) != Some(true)).is_sorted())
}

/// The operand of a `Reshape` from extents to extents, of the same number of elements, that is right whatever the symbols
/// stand for as long as there are elements: an extent that stays at its place is 0, one other that is not known is -1.
/// `None` where that is not enough.
pub(in super::super) fn target(from: &[Dim], to: &[Dim]) -> Option<Vec<i64>> {
    let mut left_over = false;
    let mut entries = Vec::with_capacity(to.len());
    for (axis, dim) in to.iter().enumerate() {
        let stays = from.get(axis).is_some_and(|before| before.equals(dim) == Some(true));
        entries.push(match dim.as_const() {
            Some(extent) if extent > 0 => extent,
            _ if stays => 0,
            None if !left_over => {
                left_over = true;
                -1
            }
            _ => return None,
        });
    }
    // Of nothing, nobody can tell what is left over.
    let is_empty = to.iter().any(|dim| dim.as_const() == Some(0));
    (!left_over || !is_empty).then_some(entries)
}

/// A node as a `Reshape` of another value, of the same elements in the same order, that gives the same as before.
///
/// # Errors
/// [`Miss::NotHere`] where the extents cannot be said ahead; a decline where the file would grow.
pub(in super::super) fn reshape(cx: &MatchCx<'_>, root: NodeId, data: ValueId) -> Found<Change> {
    let (Some(from), Some(to)) = (cx.shape(data), cx.shape(root.port(0))) else { return Err(Miss::NotHere) };
    let entries = target(from, to).ok_or(Miss::NotHere)?;
    as_reshape(cx, root, data, entries)
}

/// A node as a `Reshape` of a value to these entries.
///
/// # Errors
/// [`Miss::NotHere`] where there is no such operator yet; a decline where the file would grow.
pub(in super::super) fn as_reshape(cx: &MatchCx<'_>, root: NodeId, data: ValueId, entries: Vec<i64>) -> Found<Change> {
    let node = cx.node(root)?;
    if node.version < OPERAND_SINCE {
        return Err(Miss::NotHere);
    }
    let attrs: Vec<Attr> = Vec::new();
    Change::new(cx, root, "Reshape", [data.into(), Reads::ints(entries)], attrs)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn target_of(from: &str, to: &str) -> Option<Vec<i64>> {
        let dims = |text: &str| text.split_whitespace().map(|dim| dim.parse().unwrap()).collect::<Vec<Dim>>();
        target(&dims(from), &dims(to))
    }

    #[test]
    fn what_stays_is_zero_and_one_extent_is_left_over() {
        assert_eq!(target_of("N 8 h w", "N 8*h*w"), Some(vec![0, -1]));
        assert_eq!(target_of("N s 768", "N s 12 64"), Some(vec![0, 0, 12, 64]));
        assert_eq!(target_of("N 12 64", "12*N 64"), Some(vec![-1, 64]));
        assert_eq!(target_of("N s", "s N"), None, "two that nobody knows");
        assert_eq!(target_of("2 3", "6"), Some(vec![6]));
    }

    #[test]
    fn nothing_is_left_over_of_nothing() {
        assert_eq!(target_of("0 N", "0 N"), Some(vec![0, 0]));
        assert_eq!(target_of("N 0", "0 2*N"), None);
        assert_eq!(target_of("0 N", "0 2*N"), None);
    }
}
