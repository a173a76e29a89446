//! Lets a reduction drop the axes that it reduces, where a reshaping behind it drops them.
//!
//! Before `y = Flatten(GlobalAveragePool(x))`, or `Reshape` or `Squeeze` of what a reduction along `axes` gives; after
//! `y = ReduceMean<axes, keepdims = 0>(x)`. `GlobalMaxPool` becomes `ReduceMax`.
//! Fires if the result has the extents of `x` without those that are reduced, for certain; if nothing else reads what is
//! between (graph outputs count); and if `x` is not read from a quantized tensor, for whose pooling runtimes have kernels.
//! Exact: the same elements in the same order. Ends: one node fewer each time.

use onnxpress_ir::{Attr, Edit, EditError, Node, NodeId, Tensor, ValueId};

use super::pattern::{Reduced, equal, shape};
use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule};
use crate::simplify::fused::{Fused, Reads};

/// The reductions, with the first version that wants axes as an operand.
const REDUCTIONS: [(&str, i64); 10] = [
    ("ReduceMean", 18),
    ("ReduceMax", 18),
    ("ReduceMin", 18),
    ("ReduceSum", 13),
    ("ReduceProd", 18),
    ("ReduceL1", 18),
    ("ReduceL2", 18),
    ("ReduceLogSum", 18),
    ("ReduceLogSumExp", 18),
    ("ReduceSumSquare", 18),
];

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct ReduceWithoutKeptAxes;

/// The reduction.
#[derive(Debug)]
pub struct Match(Fused);

impl Rule for ReduceWithoutKeptAxes {
    const NAME: &'static str = "reduce-without-kept-axes";
    const CONTRACT: &'static str = crate::contract!("reduce_without_kept_axes.rs");
    const ROOTS: Roots = Roots::Operators(&["Flatten", "Reshape", "Squeeze"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let kept = cx.operand(root, 0)?;
        let (op_type, since, x, axes) = reduction(cx, kept)?;
        let (from, to) = (shape(cx, x).ok_or(Miss::NotHere)?, shape(cx, root.port(0)).ok_or(Miss::NotHere)?);
        let left: Vec<_> =
            from.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, dim)| dim).collect();
        if axes.is_empty() || !equal(left.into_iter(), to.iter()) || cx.operator(x.node, "DequantizeLinear").is_ok() {
            return Err(Miss::NotHere);
        }
        cx.sole_reader(kept, root)?;
        let axes: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
        let mut node = Node::new(op_type, 1);
        let mut reads = vec![Reads::Value(x)];
        match cx.node(root)?.version < since {
            true => node = node.with(Attr::ints("axes", axes)),
            false => reads.push(match cx.graph().operand(kept.node, 1) {
                Some(own) => Reads::Value(own),
                None => Reads::New(Tensor::vector(axes)),
            }),
        }
        let node = node.with(Attr::int("keepdims", 0));
        let dtype = cx.ty(x).dtype().ok_or(Miss::NotHere)?;
        Ok(Match(Fused::new(cx, root, &[root, kept.node], node, reads, dtype)?))
    }

    fn apply(&self, Match(fused): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fused.apply(edit)
    }
}

/// The reduction that gives a value with its axes kept: operator, version, operand, axes.
fn reduction(cx: &MatchCx<'_>, value: ValueId) -> Found<(&'static str, i64, ValueId, Vec<usize>)> {
    for (op_type, since) in REDUCTIONS {
        if let Ok(reduced) = Reduced::keeping(cx, value, op_type) {
            return Ok((op_type, since, reduced.data, reduced.axes));
        }
    }
    for (pool, op_type) in [("GlobalAveragePool", "ReduceMean"), ("GlobalMaxPool", "ReduceMax")] {
        if cx.operator(value.node, pool).is_ok() {
            let x = cx.operand(value.node, 0)?;
            let rank = shape(cx, x).ok_or(Miss::NotHere)?.len();
            return Ok((op_type, 18, x, (2..rank).collect()));
        }
    }
    Err(Miss::NotHere)
}
