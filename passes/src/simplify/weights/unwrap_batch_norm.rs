//! Writes a `BatchNormalization` between two `Transpose`s that undo each other as `Mul` and `Add`.
//!
//! Before `y = Transpose<q>(BatchNormalization(Transpose<p>(x), scale, B, mean, var))`, `q` the inverse of `p`; after
//! `y = Add(Mul(x, s), t)` with `s = scale / sqrt(var + epsilon)` and `t = B - s * mean` along the axis of `x` that `p` makes the
//! second.
//! Fires if the normalization does not train, all its parameters are constant and of float or double, nothing else reads what
//! is between (graph outputs count), and the file does not grow.
//! Exact: in real numbers the two are equal; they are rounded differently. Ends: one node fewer each time.

use onnxpress_ir::{DType, Edit, EditError, Node, NodeId, Tensor, ValueId};

use super::affine::Affine;
use super::layer::in_range;
use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule, file_size};

/// Bytes that the file may grow by, as long as it stays smaller than it came.
const GROWTH: usize = 1024;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct UnwrapBatchNorm;

/// The values before and behind, and the constants.
#[derive(Debug)]
pub struct Match {
    x: ValueId,
    y: ValueId,
    scale: Tensor,
    shift: Tensor,
}

impl Rule for UnwrapBatchNorm {
    const NAME: &'static str = "unwrap-batch-norm";
    const CONTRACT: &'static str = crate::contract!("unwrap_batch_norm.rs");
    const ROOTS: Roots = Roots::Operators(&["BatchNormalization"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, bn: NodeId) -> Found<Match> {
        let before = cx.producer(bn, 0, "Transpose")?;
        let reading = cx.graph().sole_reader(bn.port(0)).ok_or(Miss::NotHere)?;
        let after = cx.operator(reading.node, "Transpose")?;
        let perm = |node: &onnxpress_ops::node::NodeCx<'_>| cx.attribute(node.id, node.attrs().ints("perm"));
        let (Some(there), Some(back)) = (perm(&before)?, perm(&after)?) else { return Err(Miss::NotHere) };
        let undone = (0..there.len()).all(|axis| {
            let from = back.get(axis).and_then(|&from| usize::try_from(from).ok()).and_then(|from| there.get(from));
            from.is_some_and(|&from| from == axis as i64)
        });
        let axis = there.get(1).and_then(|&axis| usize::try_from(axis).ok());
        let (Some(axis), true, true) = (axis, undone, there.len() == back.len()) else { return Err(Miss::NotHere) };
        cx.sole_reader(before.id.port(0), bn)?;
        let affine = Affine::of_batch_norm(cx, bn)?;
        let dtype = cx.required_constant(bn, 1, "scale")?.dtype();
        let wide = matches!(dtype, DType::Float | DType::Double) && cx.node(bn)?.version >= 7;
        if !wide || cx.ty(bn.port(0)).dtype() != Some(dtype) {
            return Err(Miss::NotHere);
        }
        let mut dims = vec![1; there.len().checked_sub(axis).ok_or(Miss::NotHere)?];
        *dims.first_mut().ok_or(Miss::NotHere)? = affine.len();
        let scale = in_range(bn, dtype, &dims, &affine.scale)?;
        let shift = in_range(bn, dtype, &dims, &affine.shift)?;
        let parameters = (1..5).filter_map(|index| cx.graph().operand(bn, index));
        let mut gone = cx.constants_read_by(parameters, &[bn]);
        gone.extend([before.id, bn]);
        let made = [&scale, &shift].map(|tensor| file_size::new_tensor(tensor, None, cx.written())).iter().sum();
        cx.pays(bn, made, cx.bytes_of(&gone), GROWTH)?;
        Ok(Match { x: cx.operand(before.id, 0)?, y: after.id.port(0), scale, shift })
    }

    fn apply(&self, found: Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        let scale = edit.add_constant(None, found.scale);
        let shift = edit.add_constant(None, found.shift);
        let product = edit.add(Node::new("Mul", 1), &[found.x, scale])?;
        let sum = edit.add(Node::new("Add", 1), &[product, shift])?;
        edit.replace(found.y, sum)
    }
}
