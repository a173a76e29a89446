//! Upsample, which became Resize at 10, and Resize, whose coordinates are a choice from 11 on.
//!
//! Both put sample `x` at `x / scale`. To the nearest one, Upsample took the index below; Resize 10, as onnxruntime has it,
//! takes the one above along an axis that shrinks.

use onnxpress_ir::{Attr, Tensor};

use crate::upgrade_opset::site::{Refusal, Site};

/// Upsample is called Resize. Where the walk goes on the attributes of version 11 are set at once: that an Upsample only
/// enlarges is known now, and after it is a Resize no more.
pub(in crate::upgrade_opset) fn upsample(site: &mut Site<'_>) -> Result<(), Refusal> {
    site.rename("Resize");
    if site.to < 11 {
        return site.done();
    }
    with_coordinates(site, "floor")
}

/// Coordinates and rounding are said, and there is an operand for a region.
pub(in crate::upgrade_opset) fn coordinates(site: &mut Site<'_>) -> Result<(), Refusal> {
    let cx = site.cx()?;
    if cx.node.attr("coordinate_transformation_mode").is_some() {
        return site.done();
    }
    let scales = cx.constant(1).map(Tensor::to_f32s);
    let linear = site.string("mode")?.is_some_and(|mode| mode != "nearest");
    let rounding = match scales {
        _ if linear => "floor",
        Some(Ok(scales)) if scales.iter().all(|&scale| scale >= 1.0) => "floor",
        Some(Ok(scales)) if scales.iter().all(|&scale| scale <= 1.0) => "ceil",
        Some(Ok(_)) => return Err("it shrinks along one axis and grows along another".to_owned()),
        _ => return Err("whether it shrinks is not known, and rounding depends on it".to_owned()),
    };
    with_coordinates(site, rounding)
}

fn with_coordinates(site: &mut Site<'_>, rounding: &'static str) -> Result<(), Refusal> {
    let mode = match site.string("mode")?.as_deref() {
        None | Some("nearest") => "nearest",
        Some("linear" | "bilinear") => "linear",
        Some(other) => return Err(format!("`mode` is `{other}`")),
    };
    let scales = site.cx()?.operand(1);
    site.set_attr(Attr::string("mode", mode));
    site.set_attr(Attr::string("coordinate_transformation_mode", "asymmetric"));
    if mode == "nearest" {
        site.set_attr(Attr::string("nearest_mode", rounding));
    }
    let nowhere = site.constant("roi", Tensor::vector(Vec::<f32>::new()));
    site.set_operand(1, Some(nowhere));
    site.set_operand(2, scales);
    // A version from before infers by the scales where the region is now.
    if site.version >= 11 { site.done() } else { Ok(()) }
}

/// Operands without elements can be left out, and one choice of coordinates is gone.
///
/// `tf_half_pixel_for_nn` was `(x + 0.5) / scale`; rounded down, that is `(x + 0.5) / scale - 0.5` rounded half up.
pub(in crate::upgrade_opset) fn optional_operands(site: &mut Site<'_>) -> Result<(), Refusal> {
    if site.string("coordinate_transformation_mode")?.as_deref() == Some("tf_half_pixel_for_nn") {
        let nearest = site.string("mode")?.is_none_or(|mode| mode == "nearest");
        if !nearest || site.string("nearest_mode")?.as_deref() != Some("floor") {
            return Err("coordinates `tf_half_pixel_for_nn` without rounding down are no choice any more".to_owned());
        }
        site.set_attr(Attr::string("coordinate_transformation_mode", "half_pixel"));
        site.set_attr(Attr::string("nearest_mode", "round_prefer_ceil"));
    }
    for slot in [1, 2] {
        if site.cx()?.shape(slot).is_some_and(|shape| shape.size().as_const() == Some(0)) {
            site.set_operand(slot, None);
        }
    }
    site.done()
}
