//! The witness: the model before the cut, with what goes put to zero.
//!
//! Where channels are removed rightly, one that is all zero contributes nothing anywhere, so the masked model computes what the
//! pruned one does. What divides, the scale of a quantization or a variance among it, is put to one instead.
//! A normalization that takes statistics along what goes is the exception: zeros would count (`norms`).

mod norms;

use onnxpress_ir::analysis::channels::Coupling;
use onnxpress_ir::{Edit, Graph, Model, Name, Slot, Use};
use onnxpress_ops::infer::Standard;

use super::cut::slices::masked;
use super::cut::{self, Left};
use crate::pass::PassError;

/// The model with the contribution of everything that is not left put to zero.
///
/// # Errors
/// Where a constant cannot be masked: a defect.
pub(crate) fn witness(model: &Model, coupling: &Coupling, left: &Left) -> Result<Model, PassError> {
    let mut witness = model.clone();
    let cuts = cut::cuts(&model.graph, coupling, left);
    let mut edit = Edit::new(&mut witness.graph, &Standard, "prune-channels", &[]);
    for (id, cuts) in cuts {
        let Some(tensor) = model.graph.constant(id.port(0)) else { continue };
        for (index, (kept, readings)) in cuts.into_iter().enumerate() {
            let Some(kept) = kept else { continue };
            let one = readings.iter().any(|reading| divides(&model.graph, reading));
            let part = masked(tensor, &kept, one).map_err(|error| PassError::Broken(error.to_string()))?;
            if index == 0 {
                edit.set_constant(id, part);
                continue;
            }
            let name = model.graph.port(id.port(0)).name.as_ref();
            let copy = edit.add_constant(name.map(|name| Name::from(format!("{name}_{index}"))), part);
            readings.into_iter().for_each(|reading| edit.connect(reading, Some(copy)));
        }
    }
    edit.commit();
    norms::restrict(&mut witness, &model.graph, coupling, left)?;
    Ok(witness)
}

/// Whether what is read there divides: a divisor, the scale of a quantization, or a variance, to which nothing may be added.
fn divides(graph: &Graph, reading: &Use) -> bool {
    let Some(node) = graph.node(reading.node) else { return false };
    let quantizes = ["QuantizeLinear", "DequantizeLinear"].iter().any(|name| node.is(name));
    match reading.slot {
        Slot::Operand(1) => quantizes || node.is("Div"),
        Slot::Operand(4) => node.is("BatchNormalization"),
        _ => false,
    }
}
