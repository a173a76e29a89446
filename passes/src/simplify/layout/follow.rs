//! How a node computes the same of operands whose axes stand in another order.

use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{Attr, Tensor};
use onnxpress_ops::node::NodeCx;

use super::super::forms::axes;
use crate::rewrite::{Found, MatchCx, Miss, Reads};

/// Another order of the axes of values that all have the same rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Axis `i` of a turned value is axis `turn[i]` of the value.
    pub(super) turn: Vec<usize>,
    /// The way back: axis `a` of the value is axis `back[a]` of the turned value.
    pub(super) back: Vec<usize>,
}

/// What stays and what changes of a node whose operands are turned.
#[derive(Clone, Debug)]
pub(super) struct Followed {
    /// The operands that are turned.
    pub(super) turned: Vec<usize>,
    /// Operands that are others: lists of axes and the like.
    pub(super) others: Vec<(usize, Reads)>,
    pub(super) attrs: Vec<Attr>,
    /// Whether outputs are turned too; if not, they are what they were.
    pub(super) gives_turned: bool,
}

/// Operators that work element by element on operand 0; further operands are single numbers.
const OF_ONE: &str = " Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Cast Ceil Celu Clip Cos Cosh Elu Erf Exp Floor Gelu \
    HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin \
    Sinh Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu ";

/// Operators that work element by element on all operands, which are broadcast.
const OF_ALL: &str = " Add And BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min \
    Mod Mul Or Pow PRelu Sub Sum Where Xor ";

/// Operators that work along one axis, which they have as an attribute, and what it is by default.
const ALONG_ONE: [(&str, i64); 6] =
    [("Concat", 1), ("Hardmax", -1), ("LogSoftmax", -1), ("Softmax", -1), ("Split", 0), ("LpNormalization", -1)];

impl Order {
    /// By this permutation.
    pub(super) fn new(turn: Vec<usize>) -> Self {
        let mut back = vec![0; turn.len()];
        for (place, &axis) in turn.iter().enumerate() {
            back[axis] = place;
        }
        Self { turn, back }
    }

    /// The other way round.
    pub(super) fn reversed(self) -> Self {
        Self { turn: self.back, back: self.turn }
    }

    pub(super) fn rank(&self) -> usize {
        self.turn.len()
    }

    /// Where an axis of a value is in the turned value.
    fn place(&self, axis: i64) -> Found<i64> {
        normalize_axis(axis, self.rank()).map(|axis| self.back[axis] as i64).ok_or(Miss::NotHere)
    }

    /// A constant that is broadcast to a value, as it is broadcast to the turned value.
    pub(super) fn turned(&self, tensor: &Tensor) -> Option<Tensor> {
        let missing = self.rank().checked_sub(tensor.rank())?;
        let dims: Vec<usize> = std::iter::repeat_n(1, missing).chain(tensor.dims().iter().copied()).collect();
        let to: Vec<usize> = self.turn.iter().map(|&axis| dims[axis]).collect();
        let kept = to.iter().position(|&extent| extent != 1).unwrap_or(to.len()).min(missing);
        let order = self.turn.iter().filter(|&&axis| dims[axis] != 1);
        if order.is_sorted() {
            return tensor.reshaped(&to[kept..]).ok();
        }
        let width = tensor.dtype().bits() / 8;
        let bytes = tensor.bytes().filter(|_| tensor.dtype().bits().is_multiple_of(8))?;
        let mut strides = vec![width; dims.len()];
        for axis in (1..dims.len()).rev() {
            strides[axis - 1] = strides[axis] * dims[axis];
        }
        let mut moved = Vec::with_capacity(bytes.len());
        let mut place = vec![0usize; to.len()];
        while moved.len() < bytes.len() {
            let at: usize = place.iter().zip(&self.turn).map(|(index, &axis)| index * strides[axis]).sum();
            moved.extend_from_slice(bytes.get(at..at + width)?);
            for axis in (0..to.len()).rev() {
                place[axis] += 1;
                if place[axis] < to[axis] {
                    break;
                }
                place[axis] = 0;
            }
        }
        Tensor::from_bytes(tensor.dtype(), &to[kept..], moved.into()).ok()
    }
}

impl Followed {
    /// A node of operands that are turned.
    ///
    /// # Errors
    /// [`Miss::NotHere`] where it cannot do so, or not by other axes alone.
    pub(super) fn of(cx: &MatchCx<'_>, node: &NodeCx<'_>, order: &Order) -> Found<Self> {
        let is_standard = node.node.canonical_domain().is_empty() && node.version >= 7;
        let name = std::str::from_utf8(node.node.op_type.as_bytes()).map_err(|_| Miss::NotHere)?;
        let among = |names: &str| names.split_ascii_whitespace().any(|known| known == name);
        let attrs = || node.node.attrs.clone();
        let with = |turned: Vec<usize>, attrs| Self { turned, others: Vec::new(), attrs, gives_turned: true };
        let all = || (0..node.operand_count()).filter(|&index| node.has(index)).collect::<Vec<_>>();
        if !is_standard {
            return Err(Miss::NotHere);
        }
        if among(OF_ONE) {
            return Ok(with(vec![0], attrs()));
        }
        if among(OF_ALL) {
            return Ok(with(all(), attrs()));
        }
        if let Some((_, default)) = ALONG_ONE.iter().find(|(known, _)| *known == name) {
            // Before version 13 these flatten what stands before and behind the axis.
            if name.ends_with("max") && node.version < 13 {
                return Err(Miss::NotHere);
            }
            let turned = if name == "Concat" { all() } else { vec![0] };
            return Ok(with(turned, along(cx, node, order, *default)?));
        }
        match name {
            "QuantizeLinear" | "DequantizeLinear" => {
                let scale = node.operand(1).ok_or(Miss::NotHere)?;
                let rank = cx.shape(scale).ok_or(Miss::NotHere)?.len();
                let blocks = cx.attribute(node.id, node.attrs().int_or("block_size", 0))?;
                match rank {
                    0 => Ok(with(vec![0], attrs())),
                    1 if node.version >= 13 && blocks == 0 => Ok(with(vec![0], along(cx, node, order, 1)?)),
                    _ => Err(Miss::NotHere),
                }
            }
            "Pad" => Self::padding(cx, node, order),
            "Slice" => Self::slicing(cx, node, order),
            "Squeeze" => {
                let axes = axes::resolved(cx, node, order.rank())?.ok_or(Miss::NotHere)?;
                Self::without(node, order, axes)
            }
            "ArgMax" | "ArgMin" => {
                let axis = cx.attribute(node.id, node.attrs().int_or("axis", 0))?;
                let axis = normalize_axis(axis, order.rank()).ok_or(Miss::NotHere)?;
                let keeps = cx.attribute(node.id, node.attrs().int_or("keepdims", 1))? != 0;
                let gives_turned = keeps || order.keeps_without(&[axis]);
                let attrs = along(cx, node, order, 0)?;
                if !keeps && !gives_turned {
                    return Err(Miss::NotHere);
                }
                Ok(Self { gives_turned: keeps, ..with(vec![0], attrs) })
            }
            _ if name.starts_with("Reduce") => Self::reducing(cx, node, order),
            _ => Err(Miss::NotHere),
        }
    }

    fn padding(cx: &MatchCx<'_>, node: &NodeCx<'_>, order: &Order) -> Found<Self> {
        let mut attrs = node.node.attrs.clone();
        let moved = |pads: Vec<i64>| -> Found<Vec<i64>> {
            if pads.len() != 2 * order.rank() {
                return Err(Miss::NotHere);
            }
            let (before, behind) = pads.split_at(order.rank());
            Ok([before, behind].iter().flat_map(|half| order.turn.iter().map(|&axis| half[axis])).collect())
        };
        let mut others = Vec::new();
        if node.version < 11 {
            let pads = cx.attribute(node.id, node.attrs().ints("pads"))?.ok_or(Miss::NotHere)?;
            attrs.retain(|attr| attr.name != "pads");
            attrs.push(Attr::ints("pads", moved(pads)?));
        } else {
            if node.has(3) {
                return Err(Miss::NotHere);
            }
            let pads = cx.int_operand(node.id, 1)?.ok_or(Miss::NotHere)?;
            others.push((1, Reads::ints(moved(pads)?)));
        }
        Ok(Self { turned: vec![0], others, attrs, gives_turned: true })
    }

    fn slicing(cx: &MatchCx<'_>, node: &NodeCx<'_>, order: &Order) -> Found<Self> {
        let mut attrs = node.node.attrs.clone();
        let moved = |axes: Vec<i64>| axes.into_iter().map(|axis| order.place(axis)).collect::<Found<Vec<_>>>();
        let all = |count: usize| (0..count as i64).collect::<Vec<_>>();
        let mut others = Vec::new();
        if node.version < 10 {
            let starts = cx.attribute(node.id, node.attrs().ints("starts"))?.ok_or(Miss::NotHere)?;
            let axes = cx.attribute(node.id, node.attrs().ints("axes"))?.unwrap_or_else(|| all(starts.len()));
            attrs.retain(|attr| attr.name != "axes");
            attrs.push(Attr::ints("axes", moved(axes)?));
        } else {
            let axes = match cx.int_operand(node.id, 3)? {
                Some(axes) => axes,
                None => {
                    let starts = cx.shape(cx.operand(node.id, 1)?).filter(|shape| shape.len() == 1);
                    let count = starts.and_then(|shape| shape[0].as_const()).ok_or(Miss::NotHere)?;
                    all(usize::try_from(count).ok().filter(|&count| count <= order.rank()).ok_or(Miss::NotHere)?)
                }
            };
            // All the lists of a `Slice` are of one type.
            let dtype = cx.ty(cx.operand(node.id, 1)?).dtype().ok_or(Miss::NotHere)?;
            let axes = moved(axes)?;
            let axes = Tensor::from_i64s(dtype, &[axes.len()], &axes).map_err(|_| Miss::NotHere)?;
            others.push((3, axes.into()));
        }
        Ok(Self { turned: vec![0], others, attrs, gives_turned: true })
    }

    fn reducing(cx: &MatchCx<'_>, node: &NodeCx<'_>, order: &Order) -> Found<Self> {
        let keeps = cx.attribute(node.id, node.attrs().int_or("keepdims", 1))? != 0;
        let noop = cx.attribute(node.id, node.attrs().flag("noop_with_empty_axes"))?;
        let axes = match axes::resolved(cx, node, order.rank())? {
            Some(axes) if !axes.is_empty() => axes,
            _ if noop => return Err(Miss::NotHere),
            _ => (0..order.rank()).collect(),
        };
        if !keeps {
            return Self::without(node, order, axes);
        }
        Ok(Self { gives_turned: true, ..Self::naming(node, order, &axes)? })
    }

    /// A node that takes axes away: what is left must stand in the order in which it stood.
    fn without(node: &NodeCx<'_>, order: &Order, axes: Vec<usize>) -> Found<Self> {
        if !order.keeps_without(&axes) {
            return Err(Miss::NotHere);
        }
        Self::naming(node, order, &axes)
    }

    fn naming(node: &NodeCx<'_>, order: &Order, axes: &[usize]) -> Found<Self> {
        let data = node.operand(0).ok_or(Miss::NotHere)?;
        let mut places: Vec<usize> = axes.iter().map(|&axis| order.back[axis]).collect();
        places.sort_unstable();
        let (reads, attrs) = axes::renamed(node, data, &places);
        let others = reads.into_iter().enumerate().skip(1).collect();
        Ok(Self { turned: vec![0], others, attrs, gives_turned: false })
    }
}

impl Order {
    /// Whether the axes but these stand in the same order in the turned value.
    fn keeps_without(&self, axes: &[usize]) -> bool {
        self.turn.iter().filter(|axis| !axes.contains(axis)).is_sorted()
    }
}

/// The attributes of a node that works along one axis.
fn along(cx: &MatchCx<'_>, node: &NodeCx<'_>, order: &Order, default: i64) -> Found<Vec<Attr>> {
    let axis = cx.attribute(node.id, node.attrs().int_or("axis", default))?;
    let mut attrs = node.node.attrs.clone();
    attrs.retain(|attr| attr.name != "axis");
    attrs.push(Attr::int("axis", order.place(axis)?));
    Ok(attrs)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn constants_are_turned_as_they_are_broadcast() {
        let channels_first = Order::new(vec![0, 3, 1, 2]);
        let bias = Tensor::from_values(&[2], vec![1i64, 2]).unwrap();
        let turned = channels_first.turned(&bias).unwrap();
        assert_eq!((turned.dims(), turned.to_i64s().unwrap()), (&[2, 1, 1][..], vec![1, 2]));
        let picture = Tensor::from_values(&[2, 1, 3], vec![1i64, 2, 3, 4, 5, 6]).unwrap();
        let turned = channels_first.turned(&picture).unwrap();
        assert_eq!((turned.dims(), turned.to_i64s().unwrap()), (&[3, 2, 1][..], vec![1, 4, 2, 5, 3, 6]));
        let back = channels_first.reversed().turned(&turned).unwrap();
        assert_eq!((back.dims(), back.to_i64s().unwrap()), (&[2, 1, 3][..], vec![1, 2, 3, 4, 5, 6]));
    }
}
