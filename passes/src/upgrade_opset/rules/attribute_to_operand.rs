//! Attributes that became operands, so that they can be computed.

use onnxpress_ir::{AttrValue, DType, Tensor};

use crate::upgrade_opset::site::{Refusal, Site};

/// `axes` to operand 1. No axes and no attribute meant the same, all of them or none, and still do.
pub(in crate::upgrade_opset) fn axes(site: &mut Site<'_>) -> Result<(), Refusal> {
    let node = site.cx()?.node;
    if matches!(node.attr("axes"), Some(AttrValue::Ints(axes)) if axes.is_empty()) && !node.is("Unsqueeze") {
        site.remove_attr("axes");
    }
    site.attr_into_operand("axes", 1)?;
    site.done()
}

/// `split` of Split, to operand 1.
pub(in crate::upgrade_opset) fn split(site: &mut Site<'_>) -> Result<(), Refusal> {
    site.attr_into_operand("split", 1)?;
    site.done()
}

/// `starts`, `ends` and `axes` of Slice.
pub(in crate::upgrade_opset) fn slice(site: &mut Site<'_>) -> Result<(), Refusal> {
    for (slot, name) in [(1, "starts"), (2, "ends"), (3, "axes")] {
        site.attr_into_operand(name, slot)?;
    }
    site.done()
}

/// `k` of TopK, to an operand of one element.
pub(in crate::upgrade_opset) fn top_k(site: &mut Site<'_>) -> Result<(), Refusal> {
    let k = site.int("k")?.ok_or("it has no `k`")?;
    site.remove_attr("k");
    let k = site.constant("k", Tensor::vector(vec![k]));
    site.set_operand(1, Some(k));
    site.done()
}

/// `scales` of Upsample, to operand 1.
pub(in crate::upgrade_opset) fn scales(site: &mut Site<'_>) -> Result<(), Refusal> {
    site.attr_into_operand("scales", 1)?;
    site.done()
}

/// `pads` and `value` of Pad. A value of 0 is what the operand is when it is left out.
pub(in crate::upgrade_opset) fn pad(site: &mut Site<'_>) -> Result<(), Refusal> {
    let value = site.float("value")?.unwrap_or(0.0);
    site.attr_into_operand("pads", 1)?;
    site.remove_attr("value");
    // The sign of a zero is told by its bits.
    if value.to_bits() != 0 {
        let dtype = site.dtype(0)?;
        let value = site.scalar("value", dtype, f64::from(value))?;
        site.set_operand(2, Some(value));
    }
    site.done()
}

/// `min` and `max` of Clip. By default they were the ends of binary32, which bound no number of that type nor of a narrower
/// one, but do bound those of binary64.
pub(in crate::upgrade_opset) fn clip(site: &mut Site<'_>) -> Result<(), Refusal> {
    for (slot, name, end) in [(1, "min", f32::MIN), (2, "max", f32::MAX)] {
        let bound = site.float(name)?.unwrap_or(end);
        site.remove_attr(name);
        let dtype = site.cx()?.dtype(0);
        if bound == end && matches!(dtype, Some(DType::Float | DType::Float16)) {
            continue;
        }
        let bound = site.dtype(0).and_then(|dtype| site.scalar(name, dtype, f64::from(bound)))?;
        site.set_operand(slot, Some(bound));
    }
    site.done()
}

/// `axis` of DFT, to operand 2; the default is another axis now.
pub(in crate::upgrade_opset) fn dft_axis(site: &mut Site<'_>) -> Result<(), Refusal> {
    if let Some(axis) = site.int("axis")? {
        site.remove_attr("axis");
        let axis = site.constant("axis", Tensor::scalar(axis));
        site.set_operand(2, Some(axis));
    }
    site.done()
}
