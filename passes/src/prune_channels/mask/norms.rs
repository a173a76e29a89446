//! Normalizations whose statistics are taken along channels that go, where the request lets them go.
//!
//! Zeros in the place of channels would count in the mean and the variance. So in the witness the normalization is given what
//! stays, by a Gather before it, and its results are put back among zeros, by a Pad and a Gather behind it.

use onnxpress_ir::analysis::channels::Coupling;
use onnxpress_ir::{Attr, Edit, Graph, Model, Node, Slot, Tensor, Use, ValueId};
use onnxpress_ops::coupling::is_norm;
use onnxpress_ops::infer::Standard;

use crate::pass::PassError;
use crate::prune_channels::cut::slices::Kept;
use crate::prune_channels::cut::{self, Change, Left, kept_of};

/// Restricts all normalizations of the witness of `graph` to what is left.
///
/// # Errors
/// Where one cannot be: a defect.
pub(super) fn restrict(witness: &mut Model, graph: &Graph, coupling: &Coupling, left: &Left) -> Result<(), PassError> {
    let broken = |error: &dyn std::fmt::Display| PassError::Broken(error.to_string());
    let mut edit = Edit::new(&mut witness.graph, &Standard, "prune-channels", &[]);
    for (id, _) in graph.nodes().filter(|(_, node)| is_norm(node)) {
        let wanted = |axes: Option<&[_]>| axes.and_then(|axes| kept_of(coupling, axes, left));
        let reading = |index: usize| Use { node: id, slot: Slot::Operand(index as u32) };
        let operands: Vec<Option<Kept>> =
            (0..graph.operands(id).len()).map(|index| wanted(coupling.read(graph, reading(index)))).collect();
        let ports = 0..graph.vertex(id).ports().len() as u32;
        let outputs: Vec<Option<Kept>> = ports.map(|port| wanted(coupling.axes(id.port(port)))).collect();
        for (index, kept) in operands.into_iter().enumerate() {
            let (Some(kept), Some(mut value)) = (kept, graph.operand(id, index)) else { continue };
            value = edit.graph().operand(id, index).unwrap_or(value);
            for (axis, kept) in kept.iter().enumerate() {
                if let Some(kept) = kept {
                    value = gather(&mut edit, value, axis, kept).map_err(|error| broken(&error))?;
                }
            }
            edit.set_operand(id, index, Some(value));
        }
        let mut changes = Vec::new();
        cut::node_changes(graph, id, coupling, left, &mut changes).map_err(PassError::Broken)?;
        for change in changes {
            if let Change::Attribute(node, attr) = change {
                edit.set_attr(node, attr);
            }
        }
        edit.refresh(id).map_err(|error| broken(&error))?;
        for (port, kept) in (0u32..).zip(outputs) {
            let Some(kept) = kept else { continue };
            let readers: Vec<Use> = edit.graph().readers(id.port(port)).collect();
            let mut value = id.port(port);
            for (axis, kept) in kept.iter().enumerate() {
                let extent = coupling.axes(id.port(port)).and_then(|axes| coupling.spans.extent(*axes.get(axis)?));
                if let (Some(kept), Some(extent)) = (kept, extent) {
                    value = put_back(&mut edit, value, axis, kept, extent).map_err(|error| broken(&error))?;
                }
            }
            readers.into_iter().for_each(|reading| edit.connect(reading, Some(value)));
        }
    }
    edit.commit();
    Ok(())
}

fn gather(
    edit: &mut Edit<'_>,
    value: ValueId,
    axis: usize,
    indices: &[usize],
) -> Result<ValueId, onnxpress_ir::EditError> {
    let indices = edit.add_constant(None, Tensor::vector(indices.iter().map(|&index| index as i64).collect()));
    edit.add(Node::new("Gather", 1).with(Attr::int("axis", axis as i64)), &[value, indices])
}

/// Puts the indices of an axis back where they were, zeros elsewhere.
fn put_back(
    edit: &mut Edit<'_>,
    value: ValueId,
    axis: usize,
    kept: &[usize],
    extent: usize,
) -> Result<ValueId, onnxpress_ir::EditError> {
    let rank = edit.graph().ty(value).shape().map_or(axis + 1, |shape| shape.len());
    let mut pads = vec![0i64; 2 * rank];
    pads[rank + axis] = 1;
    let pads = edit.add_constant(None, Tensor::vector(pads));
    let padded = edit.add(Node::new("Pad", 1), &[value, pads])?;
    let places: Vec<usize> = (0..extent).map(|index| kept.binary_search(&index).unwrap_or(kept.len())).collect();
    gather(edit, padded, axis, &places)
}
