//! Recognizes `Softmax` and `LogSoftmax`.
//!
//! `Exp(z) / ReduceSum(Exp(z))` is `Softmax(z)`, and `z - log(ReduceSum(Exp(z)))` is `LogSoftmax(z)`, the logarithm written by `Log`,
//! `ReduceLogSum` or `ReduceLogSumExp`. Where `z` is `x - ReduceMax(x)` along the same axis, the result is that of `x`.
//! Fires if one axis is reduced and kept; it must be the last before version 13, when those before the axis and those behind it
//! were each taken together; and if nothing else reads what at least one of the nodes on the way gives.
//! Exact: in real numbers the two are equal; the operator does not overflow where the nodes did. Ends: at least one node
//! fewer each time.

use onnxpress_ir::{Attr, Edit, EditError, Node, NodeId, ValueId};

use super::pattern::{Reduced, giver};
use crate::rewrite::{Found, MatchCx, Miss, Reads, Roots, Rule};
use crate::simplify::fused::Fused;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FuseSoftmax;

/// The operator.
#[derive(Debug)]
pub struct Match(Fused);

impl Rule for FuseSoftmax {
    const NAME: &'static str = "fuse-softmax";
    const CONTRACT: &'static str = crate::contract!("fuse_softmax.rs");
    const ROOTS: Roots = Roots::Operators(&["Div", "Sub"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let (first, second) = (cx.operand(root, 0)?, cx.operand(root, 1)?);
        let is_log = cx.operator(root, "Sub").is_ok();
        let (op_type, z, sum, mut gone) = match is_log {
            true => {
                let (sum, exponent, gone) = logarithm(cx, second)?;
                if exponent != first {
                    return Err(Miss::NotHere);
                }
                ("LogSoftmax", first, sum, gone)
            }
            false => {
                let sum = Reduced::keeping(cx, second, "ReduceSum")?;
                let exp = giver(cx, first, "Exp")?;
                if sum.data != first {
                    return Err(Miss::NotHere);
                }
                let nodes = vec![sum.node, exp];
                ("Softmax", cx.operand(exp, 0)?, sum, nodes)
            }
        };
        let [axis] = sum.axes[..] else { return Err(Miss::NotHere) };
        gone.push(root);
        let x = match largest_taken_off(cx, z, &sum) {
            Ok((x, nodes)) => {
                gone.extend(nodes);
                x
            }
            Err(_) => z,
        };
        if cx.node(root)?.version < 13 && axis + 1 != sum.rank {
            return Err(Miss::NotHere);
        }
        let dtype = cx.ty(x).dtype().ok_or(Miss::NotHere)?;
        let node = Node::new(op_type, 1).with(Attr::int("axis", axis as i64));
        Ok(Match(Fused::new(cx, root, &gone, node, vec![Reads::Value(x)], dtype)?))
    }

    fn apply(&self, Match(fused): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fused.apply(edit)
    }
}

/// The reduction and the exponent of `log(ReduceSum(Exp(z)))`, and the nodes of it.
fn logarithm(cx: &MatchCx<'_>, value: ValueId) -> Found<(Reduced, ValueId, Vec<NodeId>)> {
    if let Ok(sum) = Reduced::keeping(cx, value, "ReduceLogSumExp") {
        let (z, node) = (sum.data, sum.node);
        return Ok((sum, z, vec![node]));
    }
    let (sum, mut gone) = match Reduced::keeping(cx, value, "ReduceLogSum") {
        Ok(sum) => (sum, Vec::new()),
        Err(_) => {
            let log = giver(cx, value, "Log")?;
            (Reduced::keeping(cx, cx.operand(log, 0)?, "ReduceSum")?, vec![log])
        }
    };
    let exp = giver(cx, sum.data, "Exp")?;
    gone.extend([sum.node, exp]);
    Ok((sum, cx.operand(exp, 0)?, gone))
}

/// The `x` of `x - ReduceMax(x)` along the axes of a sum, and the two nodes.
fn largest_taken_off(cx: &MatchCx<'_>, z: ValueId, sum: &Reduced) -> Found<(ValueId, [NodeId; 2])> {
    let sub = giver(cx, z, "Sub")?;
    let largest = Reduced::keeping(cx, cx.operand(sub, 1)?, "ReduceMax")?;
    let x = cx.operand(sub, 0)?;
    match largest.data == x && largest.axes == sum.axes {
        true => Ok((x, [sub, largest.node])),
        false => Err(Miss::NotHere),
    }
}
