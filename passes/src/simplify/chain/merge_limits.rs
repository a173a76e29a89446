//! Merges `Clip` and `Relu` into the one behind them.
//!
//! Before `y = Clip(Clip(x, a, b), c, d)`, with `Relu` as a `Clip` from 0; after `y = Clip(x, max(a, c), min(b, d))` or what it comes to
//! where these cross, `Relu` where it is that.
//! Fires if all limits are known, the elements are floats, and nothing else reads what is between.
//! Exact: what is limited twice is within both. Ends: one node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use super::super::forms::bounds::{self, Bounds};
use crate::rewrite::{Change, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct MergeLimits;

impl Rule for MergeLimits {
    const NAME: &'static str = "merge-limits";
    const CONTRACT: &'static str = crate::contract!("merge_limits.rs");
    const ROOTS: Roots = Roots::Operators(&["Clip", "Relu"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        let between = cx.operand(root, 0)?;
        let inner = cx.node(between.node)?;
        let (first, second) = (bounds::limits(cx, &inner)?, bounds::limits(cx, &node)?);
        let data = cx.operand(inner.id, 0)?;
        let dtype = cx.ty(data).dtype().filter(|dtype| dtype.is_float()).ok_or(Miss::NotHere)?;
        if !cx.is_read_once(between) || [first, second].iter().any(|limits| limits.low > limits.high) {
            return Err(Miss::NotHere);
        }
        let merged = Bounds {
            low: first.low.max(second.low).min(second.high),
            high: first.high.min(second.high).max(second.low),
        };
        bounds::limit(cx, root, data, dtype, merged)
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
