//! Defaults, names and numbers that are said otherwise.

use onnxpress_ir::Attr;

use crate::upgrade_opset::site::{Refusal, Site};

/// RoiAlign sampled pixels at their corners; by default it samples them at their centres now.
pub(in crate::upgrade_opset) fn roi_align(site: &mut Site<'_>) -> Result<(), Refusal> {
    site.set_attr(Attr::string("coordinate_transformation_mode", "output_half_pixel"));
    site.done()
}

/// GridSample's modes are called by the number of dimensions no more.
pub(in crate::upgrade_opset) fn grid_sample(site: &mut Site<'_>) -> Result<(), Refusal> {
    let mode = match site.string("mode")?.as_deref() {
        // Runtimes take the new words at the old version too.
        Some("bicubic" | "cubic") => "cubic",
        Some("nearest") => "nearest",
        None | Some("bilinear" | "linear") => "linear",
        Some(other) => return Err(format!("`mode` is `{other}`")),
    };
    site.set_attr(Attr::string("mode", mode));
    site.done()
}

/// Scatter is called ScatterElements.
pub(in crate::upgrade_opset) fn scatter(site: &mut Site<'_>) -> Result<(), Refusal> {
    site.rename("ScatterElements");
    site.done()
}

/// Split into equal parts says how many.
pub(in crate::upgrade_opset) fn num_outputs(site: &mut Site<'_>) -> Result<(), Refusal> {
    let cx = site.cx()?;
    if !cx.has(1) {
        let parts = i64::try_from(cx.node.port_count()).map_err(|error| error.to_string())?;
        site.set_attr(Attr::int("num_outputs", parts));
    }
    site.done()
}
