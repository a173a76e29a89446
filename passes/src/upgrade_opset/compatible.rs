//! Which versions of an operator take whatever the version before took, and mean the same by it, as far as schemas tell.

use onnxpress_ops::schema::{Formal, FormalKind, OpSchema};

/// Whether the newer version differs by nothing but names and types, and by operands and results that have become optional.
///
/// Anything that is new, be it optional or an attribute with a default, needs a line among the
/// [steps](super::steps): whether leaving it out means what was meant before, no schema tells. Types that are gone are found
/// in the end, by the verifier, since a version that is only passed through need not allow them.
pub(super) fn is_same(old: &OpSchema, new: &OpSchema) -> bool {
    let lists = same_formals(&old.inputs, &new.inputs) && same_formals(&old.outputs, &new.outputs);
    let attributes = old.attributes.len() == new.attributes.len()
        && old.attributes.iter().zip(&new.attributes).all(|(old, new)| {
            (old.name, old.kind, &old.default) == (new.name, new.kind, &new.default) && (old.required || !new.required)
        });
    lists && attributes && !new.deprecated
}

fn same_formals(old: &[Formal], new: &[Formal]) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| takes(new.kind, old.kind))
}

/// Whether a formal of kind `new` takes all that one of kind `old` takes.
fn takes(new: FormalKind, old: FormalKind) -> bool {
    match (old, new) {
        (FormalKind::Single, FormalKind::Optional) => true,
        (FormalKind::Variadic { min: old, homogeneous: same }, FormalKind::Variadic { min: new, homogeneous }) => {
            new <= old && (same || !homogeneous)
        }
        _ => old == new,
    }
}
