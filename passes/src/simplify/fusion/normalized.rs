//! What is divided by the root of its mean square, whose mean may have been taken off before.

use onnxpress_ir::{DType, NodeId, ValueId};

use super::pattern::{Reduced, either_way, giver, scalar, square};
use crate::rewrite::{Found, MatchCx, Miss};

/// `(x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon)`, or `x / sqrt(mean(x^2) + epsilon)`.
#[derive(Debug)]
pub(super) struct Normalized {
    pub(super) x: ValueId,
    /// Along which axes means are taken, and of which rank `x` is.
    pub(super) over: Reduced,
    pub(super) epsilon: f64,
    /// Whether the mean was taken off.
    pub(super) centered: bool,
    /// The nodes that compute it.
    pub(super) nodes: Vec<NodeId>,
    /// What it gives.
    pub(super) value: ValueId,
    /// The mean that is taken off.
    pub(super) mean: Option<ValueId>,
    /// The root.
    pub(super) deviation: Option<ValueId>,
}

impl Normalized {
    /// What `root`, a `Div` or `Mul`, gives.
    ///
    /// # Errors
    /// [`Miss::NotHere`] where it is nothing of the kind.
    pub(super) fn at(cx: &MatchCx<'_>, root: NodeId) -> Found<Self> {
        let mut nodes = vec![root];
        let mut deviation = None;
        let is_div = cx.operator(root, "Div").is_ok();
        let (top, under) = match is_div {
            true => {
                deviation = Some(cx.operand(root, 1)?);
                (cx.operand(root, 0)?, under_root(cx, cx.operand(root, 1)?, &mut nodes)?)
            }
            false => {
                let way = |(top, inverse)| Some((top, under_inverse_root(cx, inverse, &mut nodes).ok()?));
                either_way(cx, root)?.into_iter().find_map(way).ok_or(Miss::NotHere)?
            }
        };
        let add = giver(cx, under, "Add")?;
        nodes.push(add);
        let way = |(variance, epsilon)| Some((variance, scalar(cx, epsilon)?));
        let (variance, epsilon) = either_way(cx, add)?.into_iter().find_map(way).ok_or(Miss::NotHere)?;
        let Centering { x, over, mean } = Centering::of(cx, top, variance, &mut nodes)?;
        Ok(Self { x, over, epsilon, centered: mean.is_some(), nodes, value: root.port(0), mean, deviation })
    }

    /// The value before a conversion to float, where what is normalized was converted, and is converted back by `after`.
    pub(super) fn before_cast(&self, cx: &MatchCx<'_>, after: NodeId) -> Found<(ValueId, NodeId)> {
        let cast = giver(cx, self.x, "Cast")?;
        let narrow = cx.operand(cast, 0)?;
        let types = (cx.ty(narrow).dtype(), cx.ty(self.x).dtype(), cx.ty(after.port(0)).dtype());
        match types {
            (Some(before), Some(DType::Float), Some(back)) if before == back && before.bits() == 16 => {
                Ok((narrow, cast))
            }
            _ => Err(Miss::NotHere),
        }
    }
}

/// What is normalized, and the mean that is taken off.
pub(super) struct Centering {
    pub(super) x: ValueId,
    pub(super) over: Reduced,
    pub(super) mean: Option<ValueId>,
}

impl Centering {
    /// Given what is divided and the variance.
    ///
    /// # Errors
    /// [`Miss::NotHere`] where the one is no variance of the other.
    pub(super) fn of(cx: &MatchCx<'_>, top: ValueId, variance: ValueId, nodes: &mut Vec<NodeId>) -> Found<Self> {
        if let Ok(over) = Reduced::keeping(cx, variance, "ReduceMean") {
            let (base, node) = square(cx, over.data)?;
            nodes.extend([over.node, node]);
            if base == top && centered(cx, top).is_err() {
                return Ok(Self { x: top, over, mean: None });
            }
            let (x, mean, sub) = centered(cx, top)?;
            nodes.extend([sub, mean.node]);
            if base != top {
                let (again, its_mean, sub) = centered(cx, base)?;
                nodes.extend([sub, its_mean.node]);
                if again != x || its_mean.axes != mean.axes {
                    return Err(Miss::NotHere);
                }
            }
            let taken_off = Some(mean.node.port(0));
            return if mean.axes == over.axes { Ok(Self { x, over, mean: taken_off }) } else { Err(Miss::NotHere) };
        }
        // The mean of the squares less the square of the mean.
        let sub = giver(cx, variance, "Sub")?;
        let over = Reduced::keeping(cx, cx.operand(sub, 0)?, "ReduceMean")?;
        let (base, squared) = square(cx, over.data)?;
        let (mean, mean_squared) = square(cx, cx.operand(sub, 1)?)?;
        let (x, subtracted, center) = centered(cx, top)?;
        nodes.extend([sub, over.node, squared, mean_squared, center, subtracted.node]);
        let fits = base == x && mean == subtracted.node.port(0) && subtracted.axes == over.axes;
        if fits { Ok(Self { x, over, mean: Some(mean) }) } else { Err(Miss::NotHere) }
    }
}

/// The `x` of `x - ReduceMean(x)`, the mean, and the node.
fn centered(cx: &MatchCx<'_>, value: ValueId) -> Found<(ValueId, Reduced, NodeId)> {
    let sub = giver(cx, value, "Sub")?;
    let mean = Reduced::keeping(cx, cx.operand(sub, 1)?, "ReduceMean")?;
    let x = cx.operand(sub, 0)?;
    if mean.data == x { Ok((x, mean, sub)) } else { Err(Miss::NotHere) }
}

/// The `v` of `sqrt(v)`.
pub(super) fn under_root(cx: &MatchCx<'_>, value: ValueId, nodes: &mut Vec<NodeId>) -> Found<ValueId> {
    let is_power = giver(cx, value, "Pow").is_ok() && scalar(cx, cx.operand(value.node, 1)?) == Some(0.5);
    if !is_power && giver(cx, value, "Sqrt").is_err() {
        return Err(Miss::NotHere);
    }
    nodes.push(value.node);
    cx.operand(value.node, 0)
}

/// The `v` of `1 / sqrt(v)`.
fn under_inverse_root(cx: &MatchCx<'_>, value: ValueId, nodes: &mut Vec<NodeId>) -> Found<ValueId> {
    let node = value.node;
    if giver(cx, value, "Pow").is_ok() && scalar(cx, cx.operand(node, 1)?) == Some(-0.5) {
        nodes.push(node);
        return cx.operand(node, 0);
    }
    let root = match giver(cx, value, "Reciprocal") {
        Ok(reciprocal) => cx.operand(reciprocal, 0)?,
        Err(_) => {
            let div = giver(cx, value, "Div")?;
            if scalar(cx, cx.operand(div, 0)?) != Some(1.0) {
                return Err(Miss::NotHere);
            }
            cx.operand(div, 1)?
        }
    };
    let variance = under_root(cx, root, nodes)?;
    nodes.push(node);
    Ok(variance)
}
