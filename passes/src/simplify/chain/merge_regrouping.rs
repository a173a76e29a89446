//! Merges operators that regroup the same elements one after the other.
//!
//! Before `y = R(S(x))` with `R` and `S` of `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze`, and `Transpose` that only moves axes of one
//! index; after `y = Reshape(x, shape)`, or one `Squeeze` or `Unsqueeze` of all axes where both are that.
//! Fires if nothing else reads what is between; and if a last `Reshape` has a known shape that does not ask what came in, or the
//! extents of `x` and `y` are known so far that a shape can be written which is right for all sizes, with 0 for an extent that
//! stays and at most one -1.
//! Exact: elements keep their order. Where there are none, a -1 has no meaning, and runtimes refuse it. Ends: one node
//! fewer on the way from `x` to `y` each time.

use onnxpress_ir::{Edit, EditError, NodeId};
use onnxpress_ops::node::NodeCx;

use super::super::forms::{axes, regrouping};
use crate::rewrite::{Change, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct MergeRegrouping;

impl Rule for MergeRegrouping {
    const NAME: &'static str = "merge-regrouping";
    const CONTRACT: &'static str = crate::contract!("merge_regrouping.rs");
    const ROOTS: Roots = Roots::Operators(&["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        if !regrouping::is_one(cx, &node) {
            return Err(Miss::NotHere);
        }
        let between = cx.operand(root, 0)?;
        let (inner, data) = regrouping::source(cx, between)?;
        if !cx.is_read_once(between) {
            return Err(Miss::NotHere);
        }
        if node.node.is("Reshape") && node.version >= 5 && is_told_everything(cx, &node)? {
            let shape = cx.operand(root, 1)?;
            return Change::operands(cx, root, [data.into(), shape.into()]);
        }
        match all_axes(cx, &node, &inner) {
            Ok(axes) => {
                let (operands, attrs) = axes::renamed(&node, data, &axes);
                Change::new(cx, root, node.node.op_type.clone(), operands, attrs)
            }
            Err(_) => regrouping::reshape(cx, root, data),
        }
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

/// Whether the shape of a `Reshape` is known and keeps no extent of what comes in.
fn is_told_everything(cx: &MatchCx<'_>, node: &NodeCx<'_>) -> Found<bool> {
    let Some(entries) = cx.ints(cx.operand(node.id, 1)?) else { return Ok(false) };
    Ok(cx.attribute(node.id, node.attrs().flag("allowzero"))? || !entries.contains(&0))
}

/// The axes of two `Squeeze`, or two `Unsqueeze`, as those of one.
fn all_axes(cx: &MatchCx<'_>, outer: &NodeCx<'_>, inner: &NodeCx<'_>) -> Found<Vec<usize>> {
    let both = |op| outer.node.is(op) && inner.node.is(op);
    let (squeezed, unsqueezed) = (both("Squeeze"), both("Unsqueeze"));
    if !squeezed && !unsqueezed {
        return Err(Miss::NotHere);
    }
    let rank = |value| cx.shape(value).map(|shape| shape.len()).ok_or(Miss::NotHere);
    let (from, to) = (rank(cx.operand(inner.id, 0)?)?, rank(outer.id.port(0))?);
    let between = rank(inner.id.port(0))?;
    // Counted where they all are: before squeezing, after unsqueezing.
    let (first, second, all) = if squeezed { (inner, outer, from) } else { (outer, inner, to) };
    let first = axes::resolved(cx, first, all)?.ok_or(Miss::NotHere)?;
    let second = axes::resolved(cx, second, between)?.ok_or(Miss::NotHere)?;
    let others: Vec<usize> = (0..all).filter(|axis| !first.contains(axis)).collect();
    let mut axes = first;
    for axis in second {
        axes.push(*others.get(axis).ok_or(Miss::NotHere)?);
    }
    axes.sort_unstable();
    Ok(axes)
}
