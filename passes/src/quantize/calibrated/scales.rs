//! Scales of weights as they are written: in 16 bits behind a `Cast` where that is shorter, for runtimes that fold it when they load the
//! model.

use onnxpress_ir::{Attr, DType, Edit, EditError, Name, Node, Tensor};

use crate::quantize::weight::{self, Parts, Quantized, Written};

/// From so many scales on, a node that makes them of something else takes fewer bytes than they do.
pub(super) const WORTH_A_NODE: usize = 32;

/// Of so many codes on, a scale takes so little beside them that it is not worth rounding.
pub(super) const CODES_OF_A_SCALE: usize = 256;

/// Whether scales of a weight of these extents are to be rounded so that 16 bits hold them.
pub(super) fn is_worth_rounding(weight: &Tensor, axis: Option<usize>) -> bool {
    let count = axis.and_then(|axis| weight.dims().get(axis).copied()).unwrap_or(1);
    count >= WORTH_A_NODE && weight.len() / count < CODES_OF_A_SCALE
}

/// Scales as numbers of 16 bits; `None` where these do not hold all of them as they are.
fn in_sixteen_bits(scales: &Tensor) -> Option<Tensor> {
    let exact = scales.to_f64s().ok().filter(|_| scales.dtype() == DType::Float)?;
    let short = Tensor::from_f64s(DType::Float16, scales.dims(), &exact).ok()?;
    (short.to_f64s().ok()? == exact).then_some(short)
}

/// Adds codes, scales and zero points of a weight of this name; `compact` where scales may stand behind a node.
///
/// # Errors
/// Where the graph does not take it: a defect.
pub(super) fn parts(
    edit: &mut Edit<'_>,
    name: Option<&Name>,
    it: &Quantized,
    compact: bool,
) -> Result<Parts, EditError> {
    let short = (compact && it.scale.len() >= WORTH_A_NODE).then(|| in_sixteen_bits(&it.scale)).flatten();
    let Some(scale) = short else { return Ok(weight::parts(edit, name, it, Written::AsUsual)) };
    let mut parts = weight::parts(edit, name, &Quantized { scale, ..it.clone() }, Written::AsUsual);
    let floats = Node::new("Cast", 1).with(Attr::int("to", DType::Float.code()));
    parts.scale = edit.add(floats, &[parts.scale])?;
    Ok(parts)
}
