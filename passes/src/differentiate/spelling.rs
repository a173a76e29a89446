//! Operators that are made of others, written by those: they have their gradients.
//!
//! What an operator is made of, its data sheet says; what cannot be written so is left, and freezes what lies behind it.

use onnxpress_ir::{Edit, EditError, Graph, NodeId};
use onnxpress_ops::gradient::{self, GradientError};
use onnxpress_ops::infer::Standard;

/// Writes all of them otherwise.
///
/// # Errors
/// Where a node that was written makes no sense.
pub(super) fn spell_out(graph: &mut Graph) -> Result<(), EditError> {
    let nodes: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
    for id in nodes {
        let mut edit = Edit::new(graph, &Standard, super::NAME, &[id]);
        let written = match gradient::spell_out(&mut edit, id) {
            Ok(Some(written)) => written,
            Ok(None) | Err(GradientError::NotPossible(_)) => continue,
            Err(GradientError::Broken(error)) => return Err(error),
        };
        for (port, value) in (0u32..).zip(written) {
            let old = id.port(port);
            if let Some(value) = value.filter(|_| edit.graph().readers(old).next().is_some()) {
                edit.replace(old, value)?;
            }
        }
        // Of results that have no such form the node is asked on.
        if !edit.graph().is_read(id) {
            edit.remove(id);
        }
        edit.commit();
    }
    Ok(())
}
