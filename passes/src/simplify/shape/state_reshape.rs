//! States the shape of a `Reshape` that is computed.
//!
//! Before `y = Reshape(x, s)` with an `s` that is computed from extents; after `y = Reshape(x, shape)` with a constant: what is known as it
//! is, 0 for an extent that `x` has at the same place whatever the sizes, -1 for at most one other.
//! Fires if that says all entries, and the file does not grow on balance.
//! Exact: the same extents for all sizes; an entry that nothing is known of is what the others leave. Where there are no
//! elements, a -1 has no meaning, and runtimes refuse it. Ends: one computed shape fewer each time.

use onnxpress_ir::{Dim, Edit, EditError, NodeId, ValueId};

use super::super::forms::regrouping;
use crate::rewrite::{Change, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct StateReshape;

impl Rule for StateReshape {
    const NAME: &'static str = "state-reshape";
    const CONTRACT: &'static str = crate::contract!("state_reshape.rs");
    const ROOTS: Roots = Roots::Operators(&["Reshape"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        let (data, shape) = (cx.operand(root, 0)?, cx.operand(root, 1)?);
        if cx.constant(shape).is_some() {
            return Err(Miss::NotHere);
        }
        let asked = asked(cx, shape).ok_or(Miss::NotHere)?;
        let keeps = !cx.attribute(root, node.attrs().flag("allowzero"))?;
        let to = cx.shape(root.port(0)).filter(|to| to.len() == asked.len()).ok_or(Miss::NotHere)?;
        let from = cx.shape(data).map_or(&[][..], |from| &from[..]);
        let mut entries = Vec::with_capacity(asked.len());
        let mut left_over = false;
        for (axis, (entry, extent)) in asked.iter().zip(to).enumerate() {
            let stays = |dim: &Dim| from.get(axis).is_some_and(|before| before.equals(dim) == Some(true));
            entries.push(match (entry.as_const(), extent.as_const()) {
                (Some(0), _) if keeps => 0,
                (Some(known), _) | (None, Some(known)) if known > 0 => known,
                _ if stays(entry) || stays(extent) => 0,
                (Some(0), _) | (_, Some(0)) => return Err(Miss::NotHere),
                _ if !left_over => {
                    left_over = true;
                    -1
                }
                _ => return Err(Miss::declined(root, "its shape has more than one extent that only the caller knows")),
            });
        }
        regrouping::as_reshape(cx, root, data, entries)
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

/// The entries of a vector, unknown ones where nothing but their number is known.
fn asked(cx: &MatchCx<'_>, shape: ValueId) -> Option<Vec<Dim>> {
    if let Some(elements) = cx.elements(shape) {
        return Some(elements.to_vec());
    }
    let count = cx.shape(shape)?.first()?.as_const()?;
    (count <= 16).then(|| vec![Dim::unknown(); count.unsigned_abs() as usize])
}
