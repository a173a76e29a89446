//! What a node does to each channel: `y = scale * x + shift`.
//!
//! `BatchNormalization` in inference mode, and arithmetic with constants that are the same everywhere in a channel, are of this
//! form, and so is any chain of them; it goes into the weights of a linear layer before or behind.

use onnxpress_ir::{NodeId, Tensor, ValueId};
use onnxpress_ops::NormalizedBy;
use onnxpress_ops::node::NodeCx;

use crate::rewrite::{Found, MatchCx, Miss};

/// `y = scale * x + shift`, for each channel, or the same for all of them; both lists are of one length.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Affine {
    pub(super) scale: Vec<f64>,
    pub(super) shift: Vec<f64>,
}

/// Where the channels of a value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Channels {
    /// How many there are.
    pub(super) count: usize,
    /// Their axis, counted from the last, which is 0.
    pub(super) from_end: usize,
    /// The rank of the value; where it is not known, it is at least one.
    pub(super) rank: Option<usize>,
}

/// A node that is affine in one of its operands.
#[derive(Debug)]
pub(super) struct Step {
    /// The node.
    pub(super) node: NodeId,
    /// Which of its operands is the value that it scales and shifts.
    pub(super) data: usize,
    /// What it does.
    pub(super) affine: Affine,
}

impl Affine {
    /// The number of channels, or 1 where all are alike.
    pub(super) fn len(&self) -> usize {
        self.scale.len()
    }

    /// Scale and shift of a channel.
    pub(super) fn at(&self, channel: usize) -> (f64, f64) {
        let index = if self.len() == 1 { 0 } else { channel };
        (self.scale[index], self.shift[index])
    }

    /// Whether it shifts and does no more.
    pub(super) fn only_shifts(&self) -> bool {
        self.scale.iter().all(|&scale| scale == 1.0)
    }

    /// Whether it scales and does no more.
    pub(super) fn only_scales(&self) -> bool {
        self.shift.iter().all(|&shift| shift == 0.0)
    }

    /// What `self` and then `next` do.
    pub(super) fn then(&self, next: &Self) -> Self {
        let both = (0..self.len().max(next.len())).map(|channel| {
            let ((first, offset), (scale, shift)) = (self.at(channel), next.at(channel));
            (first * scale, offset * scale + shift)
        });
        let (scale, shift) = both.unzip();
        Self { scale, shift }
    }

    /// What a `BatchNormalization` does: `scale / sqrt(input_var + epsilon)`, and `B - input_mean` times that.
    ///
    /// # Errors
    /// A decline where it trains, its parameters are not constant, or there is no such number.
    pub(super) fn of_batch_norm(cx: &MatchCx<'_>, bn: NodeId) -> Found<Self> {
        let node = cx.operator(bn, "BatchNormalization")?;
        let Statistics { gamma, beta, mean, deviation } = Statistics::of(cx, &node)?;
        let scale: Vec<f64> = gamma.iter().zip(&deviation).map(|(gamma, deviation)| gamma / deviation).collect();
        let shift = scale.iter().zip(beta.iter().zip(&mean)).map(|(scale, (beta, mean))| beta - scale * mean).collect();
        let affine = Self { scale, shift };
        cx.require(affine.is_finite(), bn, "a variance or another parameter is out of range")?;
        Ok(affine)
    }

    fn is_finite(&self) -> bool {
        self.scale.iter().chain(&self.shift).all(|value| value.is_finite())
    }

    /// What arithmetic with a constant does.
    fn of_arithmetic(op_type: &[u8], constant: Vec<f64>, data: usize) -> Option<Self> {
        let ones = || vec![1.0; constant.len()];
        let zeros = || vec![0.0; constant.len()];
        let (scale, shift) = match (op_type, data) {
            (b"Mul", _) => (constant.clone(), zeros()),
            (b"Div", 0) => (constant.iter().map(|value| value.recip()).collect(), zeros()),
            (b"Add", _) => (ones(), constant),
            (b"Sub", 0) => (ones(), constant.iter().map(|value| -value).collect()),
            (b"Sub", _) => (vec![-1.0; constant.len()], constant),
            _ => return None,
        };
        Some(Self { scale, shift }).filter(Self::is_finite)
    }
}

/// The parameters of a `BatchNormalization`.
#[derive(Debug)]
pub(super) struct Statistics {
    pub(super) gamma: Vec<f64>,
    pub(super) beta: Vec<f64>,
    pub(super) mean: Vec<f64>,
    /// `sqrt(input_var + epsilon)`.
    pub(super) deviation: Vec<f64>,
}

impl Statistics {
    /// Those of a node.
    ///
    /// # Errors
    /// A decline where it does not normalize by them, or they are not constant vectors of one length.
    pub(super) fn of(cx: &MatchCx<'_>, node: &NodeCx<'_>) -> Found<Self> {
        let bn = node.id;
        let epsilon = match cx.attribute(bn, NormalizedBy::of(node))? {
            NormalizedBy::Operands { epsilon } => epsilon,
            NormalizedBy::Elements => {
                return Err(Miss::declined(bn, "it normalizes each element by itself, not each channel"));
            }
            NormalizedBy::Batch => return Err(Miss::declined(bn, "it is in training mode")),
        };
        let vector = |index, what| -> Found<Vec<f64>> {
            let tensor = cx.required_constant(bn, index, what)?;
            let values = tensor.to_f64s().ok().filter(|_| tensor.rank() == 1);
            values.ok_or_else(|| Miss::declined(bn, format!("its {what} is no vector of numbers")))
        };
        let (gamma, beta) = (vector(1, "scale")?, vector(2, "B")?);
        let (mean, var) = (vector(3, "input_mean")?, vector(4, "input_var")?);
        let fit = [&beta, &mean, &var].iter().all(|values| values.len() == gamma.len());
        cx.require(fit, bn, "its parameters are of different lengths")?;
        let deviation = var.iter().map(|var| (var + epsilon).sqrt()).collect();
        Ok(Self { gamma, beta, mean, deviation })
    }
}

impl Channels {
    /// The elements of a constant that is the same everywhere in a channel: one, or one for each. `None` if it is not, or if
    /// the other operand would be broadcast to it.
    pub(super) fn elements(self, tensor: &Tensor) -> Option<Vec<f64>> {
        let dims = tensor.dims();
        if dims.len() > self.rank.unwrap_or(1) {
            return None;
        }
        let fits = |(place, &extent): (usize, &usize)| extent == 1 || place == self.from_end && extent == self.count;
        let fits = dims.iter().rev().enumerate().all(fits);
        tensor.to_f64s().ok().filter(|values| fits && !values.is_empty())
    }
}

impl Step {
    /// What a node does to the channels of its result, or of the operand that it scales and shifts, which are as many.
    ///
    /// # Errors
    /// [`Miss::NotHere`] where it is not affine in the channels, a decline where that depends on what is not constant.
    pub(super) fn of(cx: &MatchCx<'_>, node: NodeId, channels: Channels) -> Found<Self> {
        let view = cx.node(node)?;
        if view.node.is("BatchNormalization") {
            let affine = Affine::of_batch_norm(cx, node)?;
            let second = channels.rank.and_then(|rank| rank.checked_sub(2));
            let fits = second == Some(channels.from_end) && affine.len() == channels.count;
            cx.require(fits, node, "it has another number of channels than its operand")?;
            return Ok(Self { node, data: 0, affine });
        }
        let op_type = view.node.op_type.as_bytes();
        // Before version 7 the shorter operand could be broadcast along any axis.
        if !view.node.canonical_domain().is_empty() || view.version < 7 {
            return Err(Miss::NotHere);
        }
        for (data, constant) in [(0, 1), (1, 0)] {
            let elements = cx.constant(cx.operand(node, constant)?).and_then(|tensor| channels.elements(tensor));
            if let Some(affine) = elements.and_then(|elements| Affine::of_arithmetic(op_type, elements, data)) {
                return Ok(Self { node, data, affine });
            }
        }
        Err(Miss::NotHere)
    }

    /// The value that it scales and shifts.
    pub(super) fn data(&self, cx: &MatchCx<'_>) -> Found<ValueId> {
        cx.operand(self.node, self.data)
    }
}
