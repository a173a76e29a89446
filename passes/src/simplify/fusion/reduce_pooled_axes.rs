//! Makes a pooling over all positions, and a reshaping behind it that drops the axes, one reduction.
//!
//! Before `y = Flatten(GlobalAveragePool(x))`, or `Reshape` or `Squeeze` of it; after `y = ReduceMean<axes, keepdims = 0>(x)`, where
//! the axes are all but the first two. `GlobalMaxPool` becomes `ReduceMax`.
//! Fires if the result has the extents of `x` along the first two axes, for certain; if nothing else reads what is between
//! (graph outputs count); and if `x` is not read from a quantized tensor, for whose pooling runtimes have kernels.
//! Exact: the same elements in the same order. Ends: one node fewer each time.

use onnxpress_ir::{Attr, Edit, EditError, Node, NodeId};

use super::pattern::{equal, giver, shape};
use crate::rewrite::{Found, MatchCx, Miss, Reads, Roots, Rule};
use crate::simplify::fused::Fused;

/// The first version whose reductions want axes as an operand.
const AXES_AS_OPERAND: i64 = 18;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct ReducePooledAxes;

/// The reduction.
#[derive(Debug)]
pub struct Match(Fused);

impl Rule for ReducePooledAxes {
    const NAME: &'static str = "reduce-pooled-axes";
    const CONTRACT: &'static str = crate::contract!("reduce_pooled_axes.rs");
    const ROOTS: Roots = Roots::Operators(&["Flatten", "Reshape", "Squeeze"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let pooled = cx.operand(root, 0)?;
        let op_type = match () {
            () if giver(cx, pooled, "GlobalAveragePool").is_ok() => "ReduceMean",
            () if giver(cx, pooled, "GlobalMaxPool").is_ok() => "ReduceMax",
            () => return Err(Miss::NotHere),
        };
        let x = cx.operand(pooled.node, 0)?;
        let (from, to) = (shape(cx, x).ok_or(Miss::NotHere)?, shape(cx, root.port(0)).ok_or(Miss::NotHere)?);
        let drops = from.len() > 2 && equal(from.iter().take(2), to.iter());
        if !drops || cx.operator(x.node, "DequantizeLinear").is_ok() {
            return Err(Miss::NotHere);
        }
        cx.sole_reader(pooled, root)?;
        let axes: Vec<i64> = (2..from.len() as i64).collect();
        let mut node = Node::new(op_type, 1);
        let mut reads = vec![Reads::Value(x)];
        match cx.node(root)?.version < AXES_AS_OPERAND {
            true => node = node.with(Attr::ints("axes", axes)),
            false => reads.push(Reads::ints(axes)),
        }
        let node = node.with(Attr::int("keepdims", 0));
        let dtype = cx.ty(x).dtype().ok_or(Miss::NotHere)?;
        Ok(Match(Fused::new(cx, root, &[root, pooled.node], node, reads, dtype)?))
    }

    fn apply(&self, Match(fused): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fused.apply(edit)
    }
}
