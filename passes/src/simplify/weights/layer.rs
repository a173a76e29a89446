//! A linear layer with constant weights, and its weights with something else absorbed.

use std::ops::Range;

use onnxpress_ir::{DType, Element, NodeId, Tensor, TensorError, Use, ValueId};
use onnxpress_ops::node::NodeCx;

use super::affine::{Affine, Channels};
use crate::rewrite::{Found, MatchCx, Miss};

/// `Conv`, `ConvTranspose`, `Gemm` or `MatMul`, whose operand 1 is a constant.
#[derive(Debug)]
pub(super) struct Layer<'a> {
    /// The node.
    pub(super) node: NodeId,
    kind: Kind,
    weight: &'a Tensor,
    /// The bias, a number for each output channel or one for all, and where it is; `None` where there is none and no place
    /// for one.
    bias: Option<Bias<'a>>,
    inputs: usize,
    outputs: usize,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// `[M, C / group, k..]`; whether padding makes borders see zeros.
    Conv { group: usize, padded: bool },
    /// `[C, M / group, k..]`.
    ConvTranspose { group: usize },
    /// `[K, N]`, or `[N, K]`.
    Matrix { by_rows: bool, alpha: f64, transposed: bool, rank: Option<usize> },
}

/// Where a bias stands.
#[derive(Debug, Clone, Copy)]
struct Bias<'a> {
    node: NodeId,
    operand: usize,
    tensor: Option<&'a Tensor>,
    /// What it is multiplied by.
    times: f64,
}

/// The weights of a layer as they are to be; those that stay are left out.
#[derive(Debug)]
pub(super) struct Weights {
    /// Operand 1 of the layer.
    pub(super) weight: Option<Tensor>,
    /// Which operand of which node, and what it is to be.
    pub(super) bias: Option<(NodeId, usize, Tensor)>,
}

impl<'a> Layer<'a> {
    /// The layer that gives a value, or gives it with a bias that an `Add` behind it brings.
    ///
    /// # Errors
    /// [`Miss::NotHere`] where none does, a decline where its weight is not constant.
    pub(super) fn giving(cx: &MatchCx<'a>, value: ValueId) -> Found<Self> {
        let node = cx.node(value.node)?;
        if node.node.is("Add") {
            for (index, bias) in [(0, 1), (1, 0)] {
                let from = cx.operand(node.id, index)?;
                if cx.operator(from.node, "MatMul").is_ok() && cx.sole_reader(from, node.id).is_ok() {
                    let layer = Self::at(cx, from.node)?;
                    if let Some(layer) = layer.with_bias(cx, node.id, bias) {
                        return Ok(layer);
                    }
                }
            }
            return Err(Miss::NotHere);
        }
        Self::at(cx, node.id)
    }

    /// The layer that a reader of a value is, with the `Add` behind it where that brings a bias.
    ///
    /// # Errors
    /// [`Miss::NotHere`] where it is none, a decline where its weight is not constant.
    pub(super) fn reading(cx: &MatchCx<'a>, reading: Use) -> Found<Self> {
        if reading.slot != onnxpress_ir::Slot::Operand(0) {
            return Err(Miss::NotHere);
        }
        let layer = Self::at(cx, reading.node)?;
        if layer.bias.is_some() {
            return Ok(layer);
        }
        let out = layer.node.port(0);
        let Some(next) = cx.graph().sole_reader(out).filter(|next| cx.operator(next.node, "Add").is_ok()) else {
            return Ok(layer);
        };
        let bias = usize::from(cx.operand(next.node, 0)? == out);
        match Self::at(cx, reading.node)?.with_bias(cx, next.node, bias) {
            Some(biased) => Ok(biased),
            None => Ok(layer),
        }
    }

    fn with_bias(mut self, cx: &MatchCx<'a>, add: NodeId, operand: usize) -> Option<Self> {
        let tensor = cx.constant(cx.operand(add, operand).ok()?)?;
        self.output_channels().elements(tensor)?;
        self.bias = Some(Bias { node: add, operand, tensor: Some(tensor), times: 1.0 });
        Some(self)
    }

    fn at(cx: &MatchCx<'a>, id: NodeId) -> Found<Self> {
        let node = cx.node(id)?;
        let is_layer = ["Conv", "ConvTranspose", "Gemm", "MatMul"].iter().any(|op_type| node.node.is(op_type));
        if !is_layer {
            return Err(Miss::NotHere);
        }
        if node.node.is("MatMul") && cx.constant(cx.operand(id, 1)?).is_none() {
            // A product of two values is no layer.
            return Err(Miss::NotHere);
        }
        let weight = cx.required_constant(id, 1, "weight")?;
        let kind = Kind::of(cx, &node, weight)?;
        let misfit = || Miss::declined(id, "the extents of its weight do not fit its group");
        let (inputs, outputs) = kind.channels(weight.dims()).ok_or_else(misfit)?;
        let mut layer = Self { node: id, kind, weight, bias: None, inputs, outputs };
        if !node.node.is("MatMul") {
            let tensor = match node.operand(2) {
                Some(_) => Some(cx.required_constant(id, 2, "bias")?),
                None => None,
            };
            // Of a Gemm it may differ from row to row, or be one number for all; of the others it is one for each channel.
            if let Some(tensor) = tensor {
                cx.require(layer.bias_elements(tensor).is_some(), id, "its bias differs within a channel")?;
            }
            let times = match node.node.is("Gemm") {
                true => f64::from(cx.attribute(id, node.attrs().float_or("beta", 1.0))?),
                false => 1.0,
            };
            layer.bias = Some(Bias { node: id, operand: 2, tensor, times });
        }
        Ok(layer)
    }

    fn bias_elements(&self, tensor: &Tensor) -> Option<Vec<f64>> {
        match self.kind {
            Kind::Matrix { .. } => self.output_channels().elements(tensor),
            _ => tensor.to_f64s().ok().filter(|values| values.len() == self.outputs),
        }
    }

    /// The channels of what it gives.
    pub(super) fn output_channels(&self) -> Channels {
        let (from_end, rank) = match self.kind {
            Kind::Matrix { rank, .. } => (0, rank),
            _ => (self.weight.rank().saturating_sub(2), Some(self.weight.rank())),
        };
        Channels { count: self.outputs, from_end, rank }
    }

    /// The channels of what it reads.
    pub(super) fn input_channels(&self) -> Channels {
        let (from_end, rank) = match self.kind {
            Kind::Matrix { transposed, rank, .. } => (usize::from(transposed), rank),
            _ => (self.weight.rank().saturating_sub(2), Some(self.weight.rank())),
        };
        Channels { count: self.inputs, from_end, rank }
    }

    /// Whether there is a place in the layer for what is done to its result.
    pub(super) fn has_place_for(&self, affine: &Affine) -> bool {
        self.bias.is_some() || affine.only_scales()
    }

    /// The weights with what is done to the layer's result absorbed.
    ///
    /// # Errors
    /// A decline where the layer has no place for it, or it is out of range.
    pub(super) fn and_then(&self, affine: &Affine) -> Found<Weights> {
        let weight = match affine.only_shifts() {
            true => None,
            false => Some(self.rescaled(|_, output| affine.at(output).0)?),
        };
        let bias = self.biases().into_iter().enumerate().map(|(output, bias)| {
            let (scale, shift) = affine.at(output);
            scale * bias + shift
        });
        Ok(Weights { weight, bias: self.new_bias(bias.collect())? })
    }

    /// The weights with what is done to the layer's operand absorbed.
    ///
    /// # Errors
    /// A decline where borders see something else than what is shifted, the layer has no place for it, or it is out of range.
    pub(super) fn after(&self, cx: &MatchCx<'_>, affine: &Affine) -> Found<Weights> {
        let weight = match affine.only_shifts() {
            true => None,
            false => Some(self.rescaled(|input, _| affine.at(input).0)?),
        };
        if affine.only_scales() {
            return Ok(Weights { weight, bias: None });
        }
        let sees_borders = matches!(self.kind, Kind::Conv { padded: true, .. } | Kind::ConvTranspose { .. });
        cx.require(!sees_borders, self.node, "at the borders it sees zeros, which are not shifted")?;
        let alpha = if let Kind::Matrix { alpha, .. } = self.kind { alpha } else { 1.0 };
        let (mut bias, values) = (self.biases(), self.values()?);
        for (run, input, output) in self.runs() {
            bias[output] += alpha * affine.at(input).1 * values[run].iter().sum::<f64>();
        }
        Ok(Weights { weight, bias: self.new_bias(bias)? })
    }

    fn biases(&self) -> Vec<f64> {
        let Some((bias, tensor)) = self.bias.and_then(|bias| Some((bias, bias.tensor?))) else {
            return vec![0.0; self.outputs];
        };
        let values = self.bias_elements(tensor).unwrap_or_default();
        values.iter().cycle().take(self.outputs).map(|value| bias.times * value).collect()
    }

    fn new_bias(&self, values: Vec<f64>) -> Found<Option<(NodeId, usize, Tensor)>> {
        let Some(bias) = self.bias else {
            return if values.iter().all(|&value| value == 0.0) { Ok(None) } else { Err(Miss::NotHere) };
        };
        if bias.tensor.is_none() && values.iter().all(|&value| value == 0.0) {
            return Ok(None);
        }
        let tensor = in_range(self.node, self.weight.dtype(), &[values.len()], &values)?;
        Ok(Some((bias.node, bias.operand, tensor)))
    }

    fn values(&self) -> Found<Vec<f64>> {
        self.weight.to_f64s().map_err(|error| Miss::declined(self.node, error.to_string()))
    }

    /// The weight with each element times a factor that depends on its input and output channel.
    fn rescaled(&self, factor: impl Fn(usize, usize) -> f64) -> Found<Tensor> {
        let dtype = self.weight.dtype();
        match dtype {
            DType::Float => self.times(factor, f64::from, |product| product as f32),
            DType::Double => self.times(factor, |value: f64| value, |product| product),
            _ => Err(Miss::declined(self.node, format!("its weight is of {dtype}, which would be rounded once more"))),
        }
    }

    /// The same for a type of element. Weights are large: they are read once and written once.
    fn times<T: Element>(
        &self,
        factor: impl Fn(usize, usize) -> f64,
        widened: impl Fn(T) -> f64,
        rounded: impl Fn(f64) -> T,
    ) -> Found<Tensor> {
        let declined = |error: TensorError| Miss::declined(self.node, error.to_string());
        let widest = widest(self.weight.dtype());
        let mut values = self.weight.values::<T>().map_err(declined)?.into_owned();
        let mut fits = true;
        for (run, input, output) in self.runs() {
            let factor = factor(input, output);
            for value in &mut values[run] {
                let product = widened(*value) * factor;
                fits &= product.abs() <= widest;
                *value = rounded(product);
            }
        }
        if !fits {
            return Err(out_of_range(self.node));
        }
        Tensor::from_values(self.weight.dims(), values).map_err(declined)
    }

    /// The places of the weight's elements in order, in runs that lead from one input channel to one output channel.
    fn runs(&self) -> impl Iterator<Item = (Range<usize>, usize, usize)> {
        let (first, second, run) = match self.weight.dims() {
            [first, second, rest @ ..] => (*first, *second, rest.iter().product::<usize>()),
            _ => (0, 0, 0),
        };
        let kind = self.kind;
        let pairs = (0..if run == 0 { 0 } else { first }).flat_map(move |a| (0..second).map(move |b| (a, b)));
        pairs.enumerate().map(move |(index, (a, b))| {
            let (input, output) = match kind {
                Kind::Conv { group, .. } => (a / (first / group).max(1) * second + b, a),
                Kind::ConvTranspose { group } => (a, a / (first / group).max(1) * second + b),
                Kind::Matrix { by_rows: true, .. } => (b, a),
                Kind::Matrix { .. } => (a, b),
            };
            (index * run..(index + 1) * run, input, output)
        })
    }
}

impl Kind {
    fn of(cx: &MatchCx<'_>, node: &NodeCx<'_>, weight: &Tensor) -> Found<Self> {
        let id = node.id;
        let flag = |name| cx.attribute(id, node.attrs().flag(name));
        if node.node.is("MatMul") {
            let rank = cx.ty(cx.operand(id, 0)?).shape().map(|shape| shape.len());
            cx.require(weight.rank() == 2, id, "its weight is no matrix")?;
            return Ok(Self::Matrix { by_rows: false, alpha: 1.0, transposed: false, rank });
        }
        if node.node.is("Gemm") {
            cx.require(weight.rank() == 2, id, "its weight is no matrix")?;
            let alpha = f64::from(cx.attribute(id, node.attrs().float_or("alpha", 1.0))?);
            return Ok(Self::Matrix { by_rows: flag("transB")?, alpha, transposed: flag("transA")?, rank: Some(2) });
        }
        let group = usize::try_from(cx.attribute(id, node.attrs().int_or("group", 1))?).unwrap_or(0);
        if node.node.is("ConvTranspose") {
            return Ok(Self::ConvTranspose { group });
        }
        let auto_pad = cx.attribute(id, node.attrs().string_or("auto_pad", "NOTSET".into()))?;
        let pads = cx.attribute(id, node.attrs().ints_or("pads", Vec::new()))?;
        let padded = match &*auto_pad {
            "VALID" => false,
            "NOTSET" => pads.iter().any(|&pad| pad != 0),
            _ => true,
        };
        Ok(Self::Conv { group, padded })
    }

    /// The numbers of input and output channels of a weight with these extents.
    fn channels(self, dims: &[usize]) -> Option<(usize, usize)> {
        let [first, second, ..] = *dims else { return None };
        match self {
            Self::Conv { group, .. } => {
                (group > 0 && first % group == 0).then_some((second.checked_mul(group)?, first))
            }
            Self::ConvTranspose { group } => {
                (group > 0 && first % group == 0).then_some((first, second.checked_mul(group)?))
            }
            Self::Matrix { by_rows: true, .. } => Some((second, first)),
            Self::Matrix { .. } => Some((first, second)),
        }
    }
}

/// The tensor of these values.
///
/// # Errors
/// A decline where one is out of range.
pub(super) fn in_range(site: NodeId, dtype: DType, dims: &[usize], values: &[f64]) -> Found<Tensor> {
    let tensor = Tensor::from_f64s(dtype, dims, values).ok();
    let widest = widest(dtype);
    tensor.filter(|_| values.iter().all(|value| value.abs() <= widest)).ok_or_else(|| out_of_range(site))
}

/// The greatest number of a type of element.
fn widest(dtype: DType) -> f64 {
    match dtype {
        DType::Double => f64::MAX,
        DType::Float16 => 65504.0,
        _ => f64::from(f32::MAX),
    }
}

fn out_of_range(site: NodeId) -> Miss {
    Miss::declined(site, "its weights would be out of range")
}
