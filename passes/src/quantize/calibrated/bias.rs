//! Biases as whole numbers: of the scale of the products that they are added to, so that a runtime adds them before it rounds.

use onnxpress_ir::{DType, NodeId, Tensor, TensorError};
use onnxpress_ops::LinearLayer;
use onnxpress_ops::node::NodeCx;

use crate::quantize::weight::{Granularity, Quantized, Refusal, stored_scale};
use crate::reconstruction::{BiasSite, bias_site};

/// The largest whole number that a bias may become: half of what 32 bits hold, so that there is room for the products.
const LARGEST: f64 = (1u32 << 30) as f64;
/// How finely the bias of a channel without weights is held.
const FINE: f64 = (1u32 << 20) as f64;
/// The least scale of such a channel, where scales are numbers of 16 bits: the smallest of those that keep all of their bits.
const LEAST_SHORT: f64 = 1.0 / (1 << 14) as f64;

/// Where the bias of a layer can be changed; `Nowhere` where it is not simply added.
pub(super) fn site(cx: &NodeCx<'_>, linear: &LinearLayer, outputs: usize) -> BiasSite {
    if is_plain(cx) { bias_site(cx.graph, cx.id, linear, outputs) } else { BiasSite::Nowhere }
}

/// Whether a node adds its bias as it is to the product as it is.
pub(super) fn is_plain(cx: &NodeCx<'_>) -> bool {
    let plain = |name: &str| cx.attrs().float_or(name, 1.0).is_ok_and(|factor| factor == 1.0);
    !cx.node.is("Gemm") || (plain("alpha") && plain("beta"))
}

/// The operand that a layer's bias is: its own, be it left out, or that of the node that adds a vector to its results.
pub(super) fn place(cx: &NodeCx<'_>, linear: &LinearLayer) -> Option<(NodeId, usize)> {
    if let Some(operand) = linear.bias {
        return Some((cx.id, operand));
    }
    let extents = linear.output_axes.iter().map(|&axis| cx.constant(linear.weight)?.dims().get(axis).copied());
    let outputs = extents.product::<Option<usize>>()?;
    let BiasSite::Added(value) = bias_site(cx.graph, cx.id, linear, outputs) else { return None };
    let reader = cx.graph.sole_reader(value)?.node;
    let operand = cx.graph.operands(reader).position(|operand| operand == Some(value))?;
    Some((reader, operand))
}

/// A bias in whole numbers.
pub(super) struct IntegerBias {
    /// `int32`, one a channel.
    pub(super) codes: Tensor,
    /// One a channel, or one for all.
    pub(super) scale: Tensor,
    pub(super) per_channel: bool,
}

impl IntegerBias {
    /// The bias of a layer whose weight has become codes and whose input has this scale; `None` where it is not one a channel,
    /// or does not fit.
    pub(super) fn of(bias: &[f32], weight: &Quantized, input: f32) -> Result<Option<Self>, TensorError> {
        let scales: Vec<f32> = weight.scale.to_f32s()?.iter().map(|scale| scale * input).collect();
        let per_channel = matches!(weight.granularity, Granularity::Channel(_));
        if scales.is_empty() || (per_channel && scales.len() != bias.len() && bias.len() != 1) {
            return Ok(None);
        }
        let count = if per_channel { scales.len() } else { bias.len() };
        let code = |channel: usize| {
            let (bias, scale) = (bias[channel % bias.len()], scales[channel % scales.len()]);
            (f64::from(bias) / f64::from(scale)).round_ties_even()
        };
        let codes: Vec<f64> = (0..count).map(code).collect();
        if codes.iter().any(|code| !code.is_finite() || code.abs() > f64::from(i32::MAX)) {
            return Ok(None);
        }
        let codes = Tensor::vector(codes.into_iter().map(|code| code as i32).collect());
        let scale = if per_channel { Tensor::vector(scales) } else { Tensor::scalar(scales[0]) };
        Ok(Some(Self { codes, scale, per_channel }))
    }

    /// The floats that the whole numbers stand for.
    pub(super) fn dequantized(&self) -> Result<Tensor, TensorError> {
        let scales = self.scale.to_f32s()?;
        let codes = self.codes.to_i64s()?;
        let values = codes.iter().enumerate().map(|(channel, &code)| code as f32 * scales[channel % scales.len()]);
        Ok(Tensor::vector(values.collect::<Vec<f32>>()))
    }
}

/// Widens the scales of a weight where a bias would not fit into whole numbers of them, and narrows those of channels without
/// weights, whose scale says nothing but how finely the bias is held. With `short_scales` they stay numbers that 16 bits hold.
///
/// # Errors
/// Where weight and codes do not fit each other: a defect.
pub(super) fn make_room(
    it: &mut Quantized,
    weight: &Tensor,
    bias: &[f32],
    input: f32,
    short_scales: bool,
) -> Result<(), Refusal> {
    let Granularity::Channel(axis) = it.granularity else { return make_room_for_all(it, weight, bias, input) };
    let mut scales = it.scale.to_f32s()?;
    if scales.len() != bias.len() {
        return Ok(());
    }
    let inner: usize = weight.dims()[axis + 1..].iter().product();
    let channel_of = |place: usize| place / inner % scales.len();
    let mut empty = vec![true; scales.len()];
    let values = weight.to_f32s()?;
    values
        .iter()
        .enumerate()
        .filter(|(_, value)| **value != 0.0)
        .for_each(|(place, _)| empty[channel_of(place)] = false);
    let mut changed = vec![false; scales.len()];
    for (channel, scale) in scales.iter_mut().enumerate() {
        let product = f64::from(bias[channel].abs()) / f64::from(input);
        let wanted = match empty[channel] {
            // Numbers of 16 bits reach no further down, which is still a thousandth of a step of most inputs.
            true if product > 0.0 && short_scales => (product / FINE).max(LEAST_SHORT),
            true if product > 0.0 => product / FINE,
            true => continue,
            false => (product / LARGEST).max(f64::from(*scale)),
        };
        let wanted = (wanted as f32).max(f32::MIN_POSITIVE);
        // Ten bits behind the first: so much more is no less when it is rounded.
        let wanted = if short_scales { stored_scale(DType::Float16, wanted * (1.0 + 1.0 / 1024.0)) } else { wanted };
        changed[channel] = wanted != *scale;
        *scale = wanted;
    }
    if !changed.contains(&true) {
        return Ok(());
    }
    let mut codes = it.codes.to_i64s()?;
    let zeros = it.zero_points()?.to_i64s()?;
    let (low, high) = onnxpress_ir::tensor::range(it.codes.dtype());
    for (place, code) in codes.iter_mut().enumerate() {
        let channel = place / inner % scales.len();
        if changed[channel] {
            let exact = f64::from(values[place]) / f64::from(scales[channel]);
            *code = (exact.round_ties_even() as i64).saturating_add(zeros[channel]).clamp(low, high);
        }
    }
    it.codes = Tensor::from_i64s(it.codes.dtype(), it.codes.dims(), &codes)?;
    it.scale = Tensor::from_values(it.scale.dims(), scales)?;
    Ok(())
}

/// The same where all channels have one scale.
fn make_room_for_all(it: &mut Quantized, weight: &Tensor, bias: &[f32], input: f32) -> Result<(), Refusal> {
    let Some(&scale) = it.scale.to_f32s()?.first() else { return Ok(()) };
    let largest = bias.iter().fold(0f32, |largest, bias| largest.max(bias.abs()));
    let wanted = (f64::from(largest) / f64::from(input) / LARGEST) as f32;
    if wanted <= scale {
        return Ok(());
    }
    let zero = it.zero_points()?.to_i64s()?.first().copied().unwrap_or(0);
    let (low, high) = onnxpress_ir::tensor::range(it.codes.dtype());
    let code =
        |value: &f32| ((f64::from(value / wanted).round_ties_even() as i64).saturating_add(zero)).clamp(low, high);
    let codes: Vec<i64> = weight.to_f32s()?.iter().map(code).collect();
    it.codes = Tensor::from_i64s(it.codes.dtype(), it.codes.dims(), &codes)?;
    it.scale = Tensor::from_values(it.scale.dims(), vec![wanted])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::quantize::weight::{self, Scheme};

    #[test]
    fn a_bias_too_large_for_its_scale_widens_it() {
        let tensor = Tensor::from_values(&[3, 2], vec![1e-9f32, -2e-9, 1.27, 0.5, 0.0, 0.0]).unwrap();
        let mut it = weight::quantize(&tensor, Granularity::Channel(0), &Scheme::INT8).unwrap();
        let bias = [5.0, 0.25, 0.125];
        assert!(IntegerBias::of(&bias, &it, 0.01).unwrap().is_none());
        make_room(&mut it, &tensor, &bias, 0.01, false).unwrap();
        assert_eq!(it.codes.to_i64s().unwrap(), [0, 0, 127, 50, 0, 0]);
        let held = IntegerBias::of(&bias, &it, 0.01).unwrap().unwrap().dequantized().unwrap().to_f32s().unwrap();
        for (held, bias) in held.iter().zip(bias) {
            assert!((held - bias).abs() < 1e-4, "{held} {bias}");
        }
    }
}
