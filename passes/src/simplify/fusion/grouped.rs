//! `GroupNormalization` as the standard's own function body has it: on `[n, groups, ..]`, with a scale and a shift for each
//! channel of the result, which is brought back to the extents of `x`.

use onnxpress_ir::{Attr, DType, Dim, Node, NodeId, ValueId};

use super::super::forms::regrouping;
use super::fuse_channel_normalization::per_channel;
use super::normalized::Normalized;
use super::pattern::{either_way, equal, giver, only_reader, shape};
use crate::rewrite::{Found, MatchCx, Miss, Reads};
use crate::simplify::fused::Fused;

/// The operator, and the last of the nodes in whose place it comes.
///
/// # Errors
/// [`Miss::NotHere`] where it is written otherwise.
pub(super) fn normalization(cx: &MatchCx<'_>, root: NodeId) -> Found<(Fused, NodeId)> {
    let found = Normalized::at(cx, root)?;
    let of = |value| shape(cx, value).ok_or(Miss::NotHere);
    let groups = giver(cx, found.x, "Reshape")?;
    let x = cx.operand(groups, 0)?;
    let (whole, parts) = (of(x)?, of(found.x)?);
    let over_groups = found.centered && found.over.axes.iter().copied().eq(2..found.over.rank) && whole.len() > 2;
    if !over_groups || cx.node(root)?.version < 21 {
        return Err(Miss::NotHere);
    }
    let known = |dim: &Dim| dim.as_const().filter(|&count| count > 0).ok_or(Miss::NotHere);
    let (channels, count) = (known(&whole[1])?, known(&parts[1])?);
    if channels % count != 0 || whole[0].equals(&parts[0]) != Some(true) {
        return Err(Miss::NotHere);
    }
    let dtype = cx.ty(x).dtype().filter(|&dtype| dtype == DType::Float).ok_or(Miss::NotHere)?;
    let back = only_reader(cx, found.value, "Reshape")?;
    let wide = of(back.port(0))?;
    let by_channel = wide.len() > 2 && equal(wide.iter().take(2), whole.iter().take(2));
    if !by_channel {
        return Err(Miss::NotHere);
    }
    let mut gone = found.nodes.clone();
    gone.extend([groups, back]);
    let mut parameter = |value: ValueId, op_type| -> Found<(NodeId, Reads)> {
        let node = only_reader(cx, value, op_type)?;
        let other = either_way(cx, node)?.into_iter().find(|(own, _)| *own == value).ok_or(Miss::NotHere)?.1;
        if let Some(tensor) = cx.constant(other) {
            let count = usize::try_from(channels).map_err(|_| Miss::NotHere)?;
            return Ok((node, per_channel(tensor, count, wide.len()).ok_or(Miss::NotHere)?.into()));
        }
        let (regrouped, vector) = regrouping::source(cx, other)?;
        let extents: Vec<Dim> =
            (0..wide.len()).map(|axis| if axis == 1 { Dim::from(channels) } else { Dim::from(1) }).collect();
        let from_back = extents.iter().skip(extents.len() - of(other)?.len().min(extents.len()));
        let fits = equal(of(vector)?.iter(), [Dim::from(channels)].iter())
            && from_back.zip(of(other)?.iter()).all(|(a, b)| a.equals(b) == Some(true))
            && of(other)?.len() + 1 >= extents.len();
        gone.push(regrouped.id);
        if fits { Ok((node, vector.into())) } else { Err(Miss::NotHere) }
    };
    let (mul, scale) = parameter(back.port(0), "Mul")?;
    let (add, bias) = parameter(mul.port(0), "Add")?;
    gone.extend([mul, add]);
    let last = match only_reader(cx, add.port(0), "Reshape") {
        Ok(reshape) => {
            gone.push(reshape);
            reshape
        }
        Err(_) => add,
    };
    if !equal(of(last.port(0))?.iter(), whole.iter()) {
        return Err(Miss::NotHere);
    }
    let node = Node::new("GroupNormalization", 1)
        .with(Attr::int("num_groups", count))
        .with(Attr::float("epsilon", found.epsilon as f32));
    Ok((Fused::new(cx, last, &gone, node, vec![Reads::Value(x), scale, bias], dtype)?, last))
}
