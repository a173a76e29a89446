//! States the entries of a `Reshape`'s computed shape that can be stated, where not all can.
//!
//! Before `y = Reshape(x, Concat(p, q, r))`; after the same with 0 in the place of `q`, whose entries are the extents that `x` has at
//! these places whatever the sizes.
//! Fires if nothing else reads the `Concat`, which of its operands stands where is known, and `allowzero` is not set.
//! Exact: 0 keeps the extent. Ends: one computed entry fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use crate::rewrite::{Change, Found, MatchCx, Miss, Reads, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct StateEntries;

impl Rule for StateEntries {
    const NAME: &'static str = "state-entries";
    const CONTRACT: &'static str = crate::contract!("state_entries.rs");
    const ROOTS: Roots = Roots::Operators(&["Reshape"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        let concat = cx.producer(root, 1, "Concat")?;
        let from = cx.shape(cx.operand(root, 0)?).ok_or(Miss::NotHere)?;
        let keeps = !cx.attribute(root, node.attrs().flag("allowzero"))?;
        if !keeps || !cx.is_read_once(concat.id.port(0)) {
            return Err(Miss::NotHere);
        }
        let mut at = Some(0usize);
        let mut reads = Vec::new();
        let mut stated = false;
        for value in cx.graph().operands(concat.id).flatten() {
            let count = cx.shape(value).and_then(|shape| usize::try_from(shape.first()?.as_const()?).ok());
            let dims = at.zip(count).and_then(|(at, count)| from.get(at..at.checked_add(count)?));
            let stays = cx.elements(value).zip(dims).is_some_and(|(entries, dims)| {
                !entries.is_empty() && entries.iter().zip(dims).all(|(entry, dim)| entry.equals(dim) == Some(true))
            });
            if stays && cx.constant(value).is_none() && count.is_some_and(|count| count <= MOST) {
                reads.push(Reads::ints(vec![0; count.unwrap_or_default()]));
                stated = true;
            } else {
                reads.push(value.into());
            }
            at = at.zip(count).map(|(at, count)| at.saturating_add(count));
        }
        if stated { Change::operands(cx, concat.id, reads) } else { Err(Miss::NotHere) }
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

/// Entries of one operand that are stated; shapes are short.
const MOST: usize = 16;
