//! Images: resampling, regions, boxes, patches.

mod affine_grid;
mod col2im;
mod gradient;
mod grid_sample;
mod grid_spelling;
mod image_scaler;
mod interpolate;
mod non_max_suppression;
mod resize;
mod roi_align;
mod target;

use crate::axes::Axes;
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &affine_grid::AFFINE_GRID,
    &col2im::COL2IM,
    &grid_sample::GRID_SAMPLE,
    &image_scaler::IMAGE_SCALER,
    &non_max_suppression::NON_MAX_SUPPRESSION,
    &resize::RESIZE,
    &resize::UPSAMPLE,
    &roi_align::ROI_ALIGN,
    &IMAGE_DECODER,
];

/// `ImageDecoder`: the bytes of an image file to `[height, width, channels]`.
///
/// Source: ONNX operator specification, `ImageDecoder`, opset 20.
static IMAGE_DECODER: Operator = Operator {
    domain: "",
    name: "ImageDecoder",
    infer: Infer::With(infer_image_decoder),
    axes: Axes::Opaque("the operand is a file"),
    evaluate: Evaluate::NotPossible(
        "it would take the decoders of seven image formats, whose pixels differ in the last place",
    ),
    linear: Linear::None("decodes"),
    quantize: Quantize::KeepsFloat("its output is of whole numbers"),
    cost: Cost::None("decodes"),
    effects: Effects::Pure,
    gradient: Gradient::Zero("its operand is a file"),
};

fn infer_image_decoder(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let channels = match cx.attrs().string_or("pixel_format", "RGB".into())?.as_ref() {
        "RGB" | "BGR" => 3,
        "Grayscale" => 1,
        other => return Err(Undecided::invalid(format!("`pixel_format` is `{other}`"))),
    };
    let dims = [onnxpress_ir::Dim::unknown(), onnxpress_ir::Dim::unknown(), channels.into()];
    cx.set_tensor(0, onnxpress_ir::DType::Uint8, dims.into_iter().collect::<onnxpress_ir::Shape>());
    Ok(())
}
