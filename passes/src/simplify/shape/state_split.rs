//! States the sizes of a `Split` that are computed.
//!
//! Before `y, z = Split(x, sizes)` with sizes that are computed from extents; after the same without sizes, which is a `Split` into
//! equal parts.
//! Fires if sizes are equal to each other for all extents, and together are the extent of `x`.
//! Exact: the same parts. Ends: one computed list fewer each time.

use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{Attr, Dim, Edit, EditError, NodeId};

use crate::rewrite::{Change, Found, MatchCx, Miss, Roots, Rule};

/// The first version that takes the sizes as an operand.
const SIZES_SINCE: i64 = 13;

/// The first version that is told how many parts there are.
const COUNT_SINCE: i64 = 18;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct StateSplit;

impl Rule for StateSplit {
    const NAME: &'static str = "state-split";
    const CONTRACT: &'static str = crate::contract!("state_split.rs");
    const ROOTS: Roots = Roots::Operators(&["Split"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        if node.version < SIZES_SINCE {
            return Err(Miss::NotHere);
        }
        let (data, list) = (cx.operand(root, 0)?, cx.operand(root, 1)?);
        if cx.constant(list).is_some() {
            return Err(Miss::NotHere);
        }
        let sizes = cx.elements(list).ok_or(Miss::NotHere)?;
        let shape = cx.shape(data).ok_or(Miss::NotHere)?;
        let along = cx.attribute(root, node.attrs().int_or("axis", 0))?;
        let axis = normalize_axis(along, shape.len()).ok_or(Miss::NotHere)?;
        let first = sizes.first().ok_or(Miss::NotHere)?;
        let count = sizes.len();
        let equal = sizes.iter().all(|size| size.equals(first) == Some(true));
        let whole = &Dim::from(count as i64) * first;
        if !equal || whole.equals(&shape[axis]) != Some(true) || count != node.node.port_count() {
            return Err(Miss::NotHere);
        }
        let mut attrs = node.node.attrs.clone();
        if node.version >= COUNT_SINCE {
            attrs.push(Attr::int("num_outputs", count as i64));
        }
        Change::new(cx, root, "Split", [data.into()], attrs)
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
