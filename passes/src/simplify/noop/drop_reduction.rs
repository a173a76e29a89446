//! Drops reductions that have one element to reduce.
//!
//! Before `y = ReduceSum(x)`, or `ReduceMean`, `ReduceMax`, `ReduceMin`, `ReduceProd`, over axes of extent 1 with `keepdims`, or over no
//! axes with `noop_with_empty_axes`; after, every reader of `y` reads `x`. Without `keepdims`, `y = Squeeze(x)` or the like.
//! Fires if the axes are known, or not named at all, and each has extent 1 for certain. Where a graph output needs the node for
//! its name, it becomes an `Identity`.
//! Exact: one element is its own sum, mean, product and extremum. Ends: one such node fewer each time.

use onnxpress_ir::{Dim, Edit, EditError, NodeId};

use super::super::forms::axes;
use crate::rewrite::{Bypass, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropReduction;

impl Rule for DropReduction {
    const NAME: &'static str = "drop-reduction";
    const CONTRACT: &'static str = crate::contract!("drop_reduction.rs");
    const ROOTS: Roots = Roots::Operators(&["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        let node = cx.node(root)?;
        let data = cx.operand(root, 0)?;
        let shape = cx.shape(data).ok_or(Miss::NotHere)?;
        let all = || (0..shape.len()).collect();
        let axes: Vec<usize> = match axes::resolved(cx, &node, shape.len())? {
            Some(axes) if !axes.is_empty() => axes,
            _ if cx.attribute(root, node.attrs().flag("noop_with_empty_axes"))? => return Bypass::of(cx, root),
            _ => all(),
        };
        let one = Dim::from(1);
        let single = axes.iter().all(|&axis| shape[axis].equals(&one) == Some(true));
        if single && cx.same_shape(data, root.port(0)) { Bypass::of(cx, root) } else { Err(Miss::NotHere) }
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
