//! Merges a `Gather` into the one behind it.
//!
//! Before `y = Gather(Gather(x, i), j)` along one axis; after `y = Gather(x, i[j])`.
//! Fires if `i` is a known vector, `j` is known, and nothing else reads what is between.
//! Exact: the same elements. Ends: one node fewer each time.

use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{DType, Edit, EditError, NodeId, Tensor};
use onnxpress_ops::node::NodeCx;

use crate::rewrite::{Change, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct MergeGather;

impl Rule for MergeGather {
    const NAME: &'static str = "merge-gather";
    const CONTRACT: &'static str = crate::contract!("merge_gather.rs");
    const ROOTS: Roots = Roots::Operators(&["Gather"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        let inner = cx.producer(root, 0, "Gather")?;
        let data = cx.operand(inner.id, 0)?;
        let rank = cx.shape(data).ok_or(Miss::NotHere)?.len();
        let axis = |node: &NodeCx<'_>| -> Found<Option<usize>> {
            Ok(normalize_axis(cx.attribute(node.id, node.attrs().int_or("axis", 0))?, rank))
        };
        let (first, second) = (cx.operand(inner.id, 1)?, cx.operand(root, 1)?);
        let vector = cx.shape(first).is_some_and(|shape| shape.len() == 1);
        if !vector || axis(&node)?.is_none() || axis(&node)? != axis(&inner)? || !cx.is_read_once(inner.id.port(0)) {
            return Err(Miss::NotHere);
        }
        let (from, to) = (cx.ints(first).ok_or(Miss::NotHere)?, cx.ints(second).ok_or(Miss::NotHere)?);
        let picked: Option<Vec<i64>> = to
            .iter()
            .map(|&index| usize::try_from(if index < 0 { index + from.len() as i64 } else { index }).ok())
            .map(|index| from.get(index?).copied())
            .collect();
        let dims = cx.shape(second).and_then(|shape| shape.as_consts()).ok_or(Miss::NotHere)?;
        let indices =
            Tensor::from_i64s(DType::Int64, &dims, &picked.ok_or(Miss::NotHere)?).map_err(|_| Miss::NotHere)?;
        Change::operands(cx, root, [data.into(), indices.into()])
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
