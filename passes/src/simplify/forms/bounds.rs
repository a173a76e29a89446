//! Between which numbers the elements of a value are, by the operator that gives it.

use onnxpress_ir::{Attr, DType, NodeId, Tensor, ValueId};
use onnxpress_ops::node::NodeCx;

use super::regrouping;
use crate::rewrite::{Change, Found, MatchCx, Miss, Reads};

/// Nodes that only move elements, which are looked through.
const REACH: usize = 8;

/// The first version of `Clip` that takes its bounds as operands.
const CLIP_OPERANDS_SINCE: i64 = 11;

/// A closed interval; what is no number is in every one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Bounds {
    pub(in super::super) low: f64,
    pub(in super::super) high: f64,
}

impl Bounds {
    /// All numbers.
    pub(in super::super) const ALL: Self = Self { low: f64::NEG_INFINITY, high: f64::INFINITY };
    /// Zero and above.
    pub(in super::super) const NOT_NEGATIVE: Self = Self { low: 0.0, high: f64::INFINITY };

    /// Whether every number of `self` is in `other`.
    pub(in super::super) fn within(self, other: Self) -> bool {
        self.low >= other.low && self.high <= other.high
    }
}

/// What a `Clip` or `Relu` limits its operand to.
///
/// # Errors
/// [`Miss::NotHere`] for other nodes, and where the bounds are not known ahead.
pub(in super::super) fn limits(cx: &MatchCx<'_>, node: &NodeCx<'_>) -> Found<Bounds> {
    if node.node.is("Relu") {
        return Ok(Bounds::NOT_NEGATIVE);
    }
    if !node.node.is("Clip") {
        return Err(Miss::NotHere);
    }
    let bound = |index: usize, name: &str, otherwise: f64| -> Found<f64> {
        if node.version < CLIP_OPERANDS_SINCE {
            return Ok(cx.attribute(node.id, node.attrs().float(name))?.map_or(otherwise, f64::from));
        }
        let Some(value) = cx.graph().operand(node.id, index) else { return Ok(otherwise) };
        match cx.constant(value).and_then(|tensor| tensor.to_f64s().ok()).as_deref() {
            Some([bound]) if !bound.is_nan() => Ok(*bound),
            _ => Err(Miss::NotHere),
        }
    };
    Ok(Bounds { low: bound(1, "min", f64::NEG_INFINITY)?, high: bound(2, "max", f64::INFINITY)? })
}

/// A node as what limits floats so: a `Relu` where that does it, or a `Clip`.
///
/// # Errors
/// A decline where the file would grow.
pub(in super::super) fn limit(
    cx: &MatchCx<'_>,
    root: NodeId,
    data: ValueId,
    dtype: DType,
    limits: Bounds,
) -> Found<Change> {
    if limits == Bounds::NOT_NEGATIVE {
        return Change::new(cx, root, "Relu", [data.into()], Vec::new());
    }
    let node = cx.node(root)?;
    if node.version < CLIP_OPERANDS_SINCE {
        let bounds = [("min", limits.low), ("max", limits.high)].into_iter().filter(|(_, bound)| bound.is_finite());
        let attrs = bounds.map(|(name, bound)| Attr::float(name, bound as f32)).collect();
        return Change::new(cx, root, "Clip", [data.into()], attrs);
    }
    let bound = |bound: f64| match bound.is_finite() {
        true => Tensor::from_f64s(dtype, &[], &[bound]).map(Reads::New).map_err(|_| Miss::NotHere),
        false => Ok(Reads::Nothing),
    };
    Change::new(cx, root, "Clip", [data.into(), bound(limits.low)?, bound(limits.high)?], Vec::new())
}

/// Between which numbers the elements of a value are for certain.
pub(in super::super) fn of(cx: &MatchCx<'_>, mut value: ValueId) -> Bounds {
    for _ in 0..REACH {
        let Ok(node) = cx.node(value.node) else { return Bounds::ALL };
        if value.port != 0 || !node.node.canonical_domain().is_empty() {
            return Bounds::ALL;
        }
        if let Ok(limits) = limits(cx, &node) {
            // A Clip whose bounds cross gives the upper one.
            return if limits.low <= limits.high { limits } else { Bounds { low: limits.high, high: limits.high } };
        }
        match &*node.node.op_type.to_str() {
            "Sigmoid" | "Softmax" | "HardSigmoid" => return Bounds { low: 0.0, high: 1.0 },
            "Tanh" | "Erf" | "Softsign" | "Sin" | "Cos" => return Bounds { low: -1.0, high: 1.0 },
            "Abs" | "Exp" | "Sqrt" | "Softplus" | "ReduceL1" | "ReduceL2" | "ReduceSumSquare" => {
                return Bounds::NOT_NEGATIVE;
            }
            "Transpose" | "MaxPool" | "GlobalMaxPool" | "Identity" | "Slice" | "Gather" | "Expand" | "Tile" => {}
            _ if regrouping::is_one(cx, &node) => {}
            _ => return Bounds::ALL,
        }
        match cx.operand(node.id, 0) {
            Ok(operand) => value = operand,
            Err(_) => return Bounds::ALL,
        }
    }
    Bounds::ALL
}
