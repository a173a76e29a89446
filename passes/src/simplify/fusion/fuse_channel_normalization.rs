//! Recognizes `InstanceNormalization` and `GroupNormalization`.
//!
//! `(x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * scale + B` with means along all axes but the first two, and `scale` and `B`
//! for each channel, is `InstanceNormalization(x, scale, B)`. Where `x` of `[n, c, ..]` is first brought to `[n, groups, ..]`,
//! normalized by an `InstanceNormalization` that neither scales nor shifts, and brought back, what scales and shifts channels
//! behind makes it `GroupNormalization<num_groups>(x, scale, B)`. The standard's own way of writing that is known too, with means.
//! Fires if `scale` and `B` are constants, one number or one for each channel, or, in the standard's own way, vectors; if extents are known as far as they matter; if
//! `x` is of float or halves; if the model's version of the standard has the operator (`GroupNormalization` with a scale for
//! each channel: from 21 on); and if nothing else reads what the nodes give on the way.
//! Exact: in real numbers the two are equal; they are rounded differently. Ends: several nodes fewer each time.

use onnxpress_ir::{Attr, DType, Edit, EditError, Node, NodeId, Tensor, ValueId};

use super::normalized::Normalized;
use super::pattern::{either_way, equal, giver, only_reader, shape};
use crate::rewrite::{Found, MatchCx, Miss, Reads, Roots, Rule};
use crate::simplify::fused::Fused;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FuseChannelNormalization;

/// The operator, and the last of the nodes in whose place it comes.
#[derive(Debug)]
pub struct Match(Fused, NodeId);

impl Rule for FuseChannelNormalization {
    const NAME: &'static str = "fuse-channel-normalization";
    const CONTRACT: &'static str = crate::contract!("fuse_channel_normalization.rs");
    const ROOTS: Roots = Roots::Operators(&["Div", "Mul", "InstanceNormalization"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        if let Ok((fused, last)) = super::grouped::normalization(cx, root) {
            return Ok(Match(fused, last));
        }
        let core = match cx.operator(root, "InstanceNormalization") {
            Ok(_) => Core::of_groups(cx, root)?,
            Err(_) => Core::of_instances(cx, root)?,
        };
        let extents = shape(cx, core.x).ok_or(Miss::NotHere)?;
        let channels = extents.get(1).and_then(|extent| extent.as_const()).ok_or(Miss::NotHere)?;
        let channels = usize::try_from(channels).ok().filter(|&count| count > 0).ok_or(Miss::NotHere)?;
        let dtype = cx.ty(core.x).dtype().filter(|&dtype| dtype != DType::Double).ok_or(Miss::NotHere)?;
        let mut gone = core.nodes;
        let parameter = |value: ValueId, op_type| -> Found<(NodeId, Tensor)> {
            let node = only_reader(cx, value, op_type)?;
            let other = either_way(cx, node)?.into_iter().find(|(own, _)| *own == value).ok_or(Miss::NotHere)?.1;
            let tensor = cx.constant(other).ok_or(Miss::NotHere)?;
            Ok((node, per_channel(tensor, channels, extents.len()).ok_or(Miss::NotHere)?))
        };
        let (mul, scale) = parameter(core.value, "Mul")?;
        let (add, bias) = parameter(mul.port(0), "Add")?;
        gone.extend([mul, add]);
        let node = core.node.with(Attr::float("epsilon", core.epsilon as f32));
        let reads = vec![Reads::Value(core.x), Reads::New(scale), Reads::New(bias)];
        Ok(Match(Fused::new(cx, add, &gone, node, reads, dtype)?, add))
    }

    fn apply(&self, Match(fused, _): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fused.apply(edit)
    }

    fn sources(&self, root: NodeId, found: &Match) -> Vec<NodeId> {
        vec![found.1, root]
    }
}

/// What is normalized, before it is scaled.
struct Core {
    x: ValueId,
    value: ValueId,
    epsilon: f64,
    node: Node,
    nodes: Vec<NodeId>,
}

impl Core {
    fn of_instances(cx: &MatchCx<'_>, root: NodeId) -> Found<Self> {
        let Normalized { x, over, epsilon, centered, nodes, value, .. } = Normalized::at(cx, root)?;
        match centered && over.rank > 2 && over.axes.iter().copied().eq(2..over.rank) {
            true => Ok(Self { x, value, epsilon, node: Node::new("InstanceNormalization", 1), nodes }),
            false => Err(Miss::NotHere),
        }
    }

    fn of_groups(cx: &MatchCx<'_>, root: NodeId) -> Found<Self> {
        let node = cx.node(root)?;
        let groups = giver(cx, cx.operand(root, 0)?, "Reshape")?;
        let x = cx.operand(groups, 0)?;
        let back = only_reader(cx, root.port(0), "Reshape")?;
        let of = |value| shape(cx, value).ok_or(Miss::NotHere);
        let (whole, parts, again) = (of(x)?, of(groups.port(0))?, of(back.port(0))?);
        let count = parts.get(1).and_then(|extent| extent.as_const()).ok_or(Miss::NotHere)?;
        let is = |index: usize, number: f64| {
            let values = cx.graph().operand(root, index).and_then(|value| cx.constant(value)?.to_f64s().ok());
            values.is_some_and(|values| values.iter().all(|&value| value == number))
        };
        let divides = whole.get(1).and_then(|extent| extent.divisible_by(count)) == Some(true);
        let fits = node.version >= 21
            && count > 0
            && divides
            && whole.len() > 2
            && parts.len() > 2
            && equal(whole.iter().take(1), parts.iter().take(1))
            && equal(whole.iter(), again.iter());
        if !fits || !is(1, 1.0) || !is(2, 0.0) {
            return Err(Miss::NotHere);
        }
        let epsilon = f64::from(cx.attribute(root, node.attrs().float_or("epsilon", 1e-5))?);
        let node = Node::new("GroupNormalization", 1).with(Attr::int("num_groups", count));
        Ok(Self { x, value: back.port(0), epsilon, node, nodes: vec![groups, root, back] })
    }
}

/// A constant that is the same everywhere in a channel, as a vector of as many elements as there are channels.
pub(super) fn per_channel(tensor: &Tensor, channels: usize, rank: usize) -> Option<Tensor> {
    let from_end = rank.checked_sub(2)?;
    let fits = |(place, &extent): (usize, &usize)| extent == 1 || place == from_end && extent == channels;
    let values = tensor.to_f64s().ok()?;
    if tensor.rank() > rank || values.is_empty() || !tensor.dims().iter().rev().enumerate().all(fits) {
        return None;
    }
    let values: Vec<f64> = values.iter().copied().cycle().take(channels).collect();
    Tensor::from_f64s(tensor.dtype(), &[channels], &values).ok()
}
