//! What a `Pad` adds: attributes before version 11, operands from there on.

use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{Attr, DType, NodeId, Tensor, ValueId};
use onnxpress_ops::node::NodeCx;

use crate::rewrite::{Change, Found, MatchCx, Miss, Reads};

/// The first version that takes pads and value as operands.
const OPERANDS_SINCE: i64 = 11;

/// What is added before and behind each axis; less than nothing takes away.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Pads {
    pub(in super::super) before: Vec<i64>,
    pub(in super::super) behind: Vec<i64>,
    /// The value that is added; `None` where elements of the operand are.
    pub(in super::super) value: Option<f64>,
}

impl Pads {
    /// Of a `Pad` of a tensor of this rank.
    ///
    /// # Errors
    /// [`Miss::NotHere`] where they are not known ahead, or make no sense.
    pub(in super::super) fn of(cx: &MatchCx<'_>, node: &NodeCx<'_>, rank: usize) -> Found<Self> {
        let mode = cx.attribute(node.id, node.attrs().string_or("mode", "constant".into()))?;
        let (pads, value, axes) = if node.version < OPERANDS_SINCE {
            let name = if node.version < 2 { "paddings" } else { "pads" };
            let value = cx.attribute(node.id, node.attrs().float_or("value", 0.0))?;
            (cx.attribute(node.id, node.attrs().ints(name))?, f64::from(value), None)
        } else {
            (cx.int_operand(node.id, 1)?, Self::operand_value(cx, node)?, cx.int_operand(node.id, 3)?)
        };
        let pads = pads.ok_or(Miss::NotHere)?;
        let axes: Vec<usize> = match axes {
            None => (0..rank).collect(),
            Some(axes) => {
                let axes: Option<_> = axes.into_iter().map(|axis| normalize_axis(axis, rank)).collect();
                axes.ok_or(Miss::NotHere)?
            }
        };
        if pads.len() != 2 * axes.len() {
            return Err(Miss::NotHere);
        }
        let (mut before, mut behind) = (vec![0; rank], vec![0; rank]);
        let (first, second) = pads.split_at(axes.len());
        for (&axis, (&low, &high)) in axes.iter().zip(first.iter().zip(second)) {
            (before[axis], behind[axis]) = (low, high);
        }
        Ok(Self { before, behind, value: (mode == "constant").then_some(value) })
    }

    fn operand_value(cx: &MatchCx<'_>, node: &NodeCx<'_>) -> Found<f64> {
        let Some(value) = cx.graph().operand(node.id, 2) else { return Ok(0.0) };
        let tensor = cx.constant(value).ok_or(Miss::NotHere)?;
        match tensor.to_f64s().ok().as_deref() {
            Some([value]) => Ok(*value),
            _ => Err(Miss::NotHere),
        }
    }

    /// Whether nothing is added or taken away.
    pub(in super::super) fn are_none(&self) -> bool {
        self.before.iter().chain(&self.behind).all(|&pad| pad == 0)
    }

    /// Whether nothing is taken away.
    pub(in super::super) fn only_add(&self) -> bool {
        self.before.iter().chain(&self.behind).all(|&pad| pad >= 0)
    }

    /// Both after each other, which must add the same value.
    pub(in super::super) fn and(&self, after: &Self) -> Option<Self> {
        let sum = |a: &[i64], b: &[i64]| a.iter().zip(b).map(|(a, b)| a.checked_add(*b)).collect::<Option<Vec<_>>>();
        Some(Self {
            before: sum(&self.before, &after.before)?,
            behind: sum(&self.behind, &after.behind)?,
            value: self.value,
        })
    }

    /// A node as a `Pad` of `data`, of elements of this type, by a value.
    ///
    /// # Errors
    /// A decline where the file would grow.
    pub(in super::super) fn pad(&self, cx: &MatchCx<'_>, root: NodeId, data: ValueId, dtype: DType) -> Found<Change> {
        let node = cx.node(root)?;
        let pads: Vec<i64> = self.before.iter().chain(&self.behind).copied().collect();
        let value = self.value.ok_or(Miss::NotHere)?;
        if node.version < OPERANDS_SINCE {
            let mut attrs = vec![Attr::ints(if node.version < 2 { "paddings" } else { "pads" }, pads)];
            if value != 0.0 {
                attrs.push(Attr::float("value", value as f32));
            }
            return Change::new(cx, root, "Pad", [data.into()], attrs);
        }
        let mut operands: Vec<Reads> = vec![data.into(), Reads::ints(pads)];
        if value != 0.0 {
            let scalar = Tensor::from_f64s(dtype, &[], &[value]).map_err(|_| Miss::NotHere)?;
            operands.push(scalar.into());
        }
        Change::new(cx, root, "Pad", operands, Vec::new())
    }
}
