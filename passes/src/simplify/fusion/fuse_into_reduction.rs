//! Takes what is done to each element before, or to each result after, into a reduction.
//!
//! `ReduceSum(Abs(x))` is `ReduceL1(x)`, `ReduceSum` of `x * x` or of `Pow(x, 2)` is `ReduceSumSquare(x)`, `Sqrt` of that is
//! `ReduceL2(x)`, `Log(ReduceSum(x))` is `ReduceLogSum(x)`, and that of `Exp(x)` is `ReduceLogSumExp(x)`; one step at a time.
//! Fires if the model's version of the standard has the operator for the type, nothing else reads what is between the two
//! (graph outputs count), and the axes can be written as the version wants them: as an operand from version 18 on (for
//! `ReduceSum` from 13 on), as an attribute before.
//! Exact: by the definitions of the operators; they are rounded differently. Ends: one node fewer each time.

use onnxpress_ir::{Attr, Edit, EditError, Node, NodeId, ValueId};
use onnxpress_ops::node::NodeCx;

use super::pattern::{giver, square};
use crate::rewrite::{Found, MatchCx, Miss, Reads, Roots, Rule};
use crate::simplify::fused::Fused;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FuseIntoReduction;

/// The reduction.
#[derive(Debug)]
pub struct Match(Fused);

impl Rule for FuseIntoReduction {
    const NAME: &'static str = "fuse-into-reduction";
    const CONTRACT: &'static str = crate::contract!("fuse_into_reduction.rs");
    const ROOTS: Roots = Roots::Operators(&["ReduceSum", "ReduceLogSum", "Sqrt", "Log"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let node = cx.node(root)?;
        let before = cx.operand(root, 0)?;
        let is = |op_type: &str| giver(cx, before, op_type).is_ok();
        let fused = match node.node.op_type.as_bytes() {
            b"ReduceSum" if is("Abs") => Some(("ReduceL1", root, cx.operand(before.node, 0)?)),
            b"ReduceSum" => square(cx, before).ok().map(|(x, _)| ("ReduceSumSquare", root, x)),
            b"ReduceLogSum" if is("Exp") => Some(("ReduceLogSumExp", root, cx.operand(before.node, 0)?)),
            b"Sqrt" if is("ReduceSumSquare") => Some(("ReduceL2", before.node, cx.operand(before.node, 0)?)),
            b"Log" if is("ReduceSum") => Some(("ReduceLogSum", before.node, cx.operand(before.node, 0)?)),
            _ => None,
        };
        let (op_type, reduction, x) = fused.ok_or(Miss::NotHere)?;
        cx.sole_reader(before, root)?;
        let (new, axes) = reducing(cx, op_type, &cx.node(reduction)?)?;
        let reads = std::iter::once(x).chain(axes).map(Reads::Value).collect();
        let dtype = cx.ty(x).dtype().ok_or(Miss::NotHere)?;
        Ok(Match(Fused::new(cx, root, &[root, before.node], new, reads, dtype)?))
    }

    fn apply(&self, Match(fused): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fused.apply(edit)
    }
}

/// A node of another operator that reduces the same axes, and the operand that says which.
fn reducing(cx: &MatchCx<'_>, op_type: &'static str, old: &NodeCx<'_>) -> Found<(Node, Option<ValueId>)> {
    let mut new = Node::new(op_type, 1);
    new.attrs.clone_from(&old.node.attrs);
    match old.operand(1) {
        Some(axes) if old.version < 18 => {
            let axes = cx.constant(axes).and_then(|tensor| tensor.to_i64s().ok()).filter(|axes| !axes.is_empty());
            new.attrs.retain(|attr| attr.name != "noop_with_empty_axes");
            Ok((new.with(Attr::ints("axes", axes.ok_or(Miss::NotHere)?)), None))
        }
        None if cx.attribute(old.id, old.attrs().flag("noop_with_empty_axes"))? => Err(Miss::NotHere),
        axes => {
            if old.version < 18 {
                new.attrs.retain(|attr| attr.name != "noop_with_empty_axes");
            }
            Ok((new, axes))
        }
    }
}
