//! Recognizes `LayerNormalization` and `RMSNormalization`.
//!
//! `(x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * scale + B` is `LayerNormalization(x, scale, B)`, the sum left out where
//! there is none, and `x / sqrt(mean(x^2) + epsilon) * scale` is `RMSNormalization(x, scale)`. The variance may be written as
//! the mean of the squares less the square of the mean, the quotient as a product with a reciprocal or a power.
//! Fires if the means are taken along the last axes and these are kept; if `scale` and `B` have the extents of `x` along these
//! axes; if `x` is of float or halves, the latter also where they are converted to float before and back before `scale`;
//! if the model's version of the standard has the operator; and if nothing else reads what the nodes give on the way.
//! The standard's own way of writing it is known too, where `x` is flattened before and the result brought back to the extents of
//! `x`, and mean and inverse deviation are given as well.
//! Exact: in real numbers the two are equal; they are rounded differently. Ends: several nodes fewer each time.

use onnxpress_ir::{Attr, DType, Edit, EditError, Node, NodeId, ValueId};

use super::normalized::Normalized;
use super::pattern::{either_way, equal, only_reader, shape};
use crate::rewrite::{Found, MatchCx, Miss, Reads, Roots, Rule};
use crate::simplify::fused::Fused;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FuseLayerNormalization;

/// The operator, and the last of the nodes in whose place it comes.
#[derive(Debug)]
pub struct Match(Fused, NodeId);

impl Rule for FuseLayerNormalization {
    const NAME: &'static str = "fuse-layer-normalization";
    const CONTRACT: &'static str = crate::contract!("fuse_layer_normalization.rs");
    const ROOTS: Roots = Roots::Operators(&["Div", "Mul"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let found = Normalized::at(cx, root)?;
        if let Ok((fused, last)) = super::flattened::normalization(cx, &found) {
            return Ok(Match(fused, last));
        }
        let axis = found.over.first_of_last().ok_or(Miss::NotHere)?;
        let mut gone = found.nodes.clone();
        let (mut x, mut value) = (found.x, found.value);
        if let Ok(cast) = only_reader(cx, value, "Cast") {
            let (narrow, before) = found.before_cast(cx, cast)?;
            gone.extend([before, cast]);
            (x, value) = (narrow, cast.port(0));
        }
        let dtype = cx.ty(x).dtype().filter(|&dtype| dtype != DType::Double).ok_or(Miss::NotHere)?;
        let extents = shape(cx, x).ok_or(Miss::NotHere)?;
        // What a value is multiplied with, or what is added to it, by its only reader.
        let parameter = |value: ValueId, op_type| -> Found<(NodeId, ValueId)> {
            let node = only_reader(cx, value, op_type)?;
            let other = either_way(cx, node)?.into_iter().find(|(own, _)| *own == value).ok_or(Miss::NotHere)?.1;
            let of_axes = shape(cx, other).ok_or(Miss::NotHere)?;
            let fits = other != value && equal(of_axes.iter(), extents.iter().as_slice()[axis..].iter());
            if fits && cx.ty(other).dtype() == Some(dtype) { Ok((node, other)) } else { Err(Miss::NotHere) }
        };
        let (mul, scale) = parameter(value, "Mul")?;
        gone.push(mul);
        let mut reads = vec![Reads::Value(x), Reads::Value(scale)];
        let mut last = mul;
        if found.centered
            && let Ok((add, bias)) = parameter(mul.port(0), "Add")
        {
            gone.push(add);
            reads.push(Reads::Value(bias));
            last = add;
        }
        let op_type = if found.centered { "LayerNormalization" } else { "RMSNormalization" };
        let axis = axis as i64 - extents.len() as i64;
        let mut node = Node::new(op_type, 1);
        if axis != -1 {
            node = node.with(Attr::int("axis", axis));
        }
        let node = node.with(Attr::float("epsilon", found.epsilon as f32));
        Ok(Match(Fused::new(cx, last, &gone, node, reads, dtype)?, last))
    }

    fn apply(&self, Match(fused, _): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fused.apply(edit)
    }

    fn sources(&self, root: NodeId, found: &Match) -> Vec<NodeId> {
        vec![found.1, root]
    }
}
