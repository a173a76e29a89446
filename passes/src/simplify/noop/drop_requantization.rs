//! Drops a `DequantizeLinear` and the `QuantizeLinear` behind it that undoes it.
//!
//! Before `y = QuantizeLinear(DequantizeLinear(x, scale, zero), scale, zero)`; after, every reader of `y` reads `x`.
//! Fires if both read the same scale and zero point, or equal constants, in the same way (axis, block size), `y` has the
//! element type of `x`, of at most 16 bits. Where a graph output needs the node for its name, it becomes an `Identity`.
//! Exact: `(x - zero) * scale / scale` is off by far less than half a step before it is rounded. Ends: one such node fewer each
//! time.

use onnxpress_ir::{Edit, EditError, NodeId};
use onnxpress_ops::node::NodeCx;

use crate::rewrite::{Bypass, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropRequantization;

impl Rule for DropRequantization {
    const NAME: &'static str = "drop-requantization";
    const CONTRACT: &'static str = crate::contract!("drop_requantization.rs");
    const ROOTS: Roots = Roots::Operators(&["QuantizeLinear"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        let node = cx.node(root)?;
        let inner = cx.producer(root, 0, "DequantizeLinear")?;
        let (old, new) = (root.port(0), cx.operand(inner.id, 0)?);
        let dtype = cx.ty(new).dtype().filter(|dtype| dtype.is_integer() && dtype.bits() <= 16).ok_or(Miss::NotHere)?;
        let both = |index| (cx.graph().operand(root, index), cx.graph().operand(inner.id, index));
        let equal = |index| match both(index) {
            (Some(one), Some(other)) => {
                let tensors = (cx.constant(one), cx.constant(other));
                one == other || matches!(tensors, (Some(one), Some(other)) if one.same_as(other))
            }
            (one, other) => one.is_none() && other.is_none(),
        };
        let same = |name: &str, otherwise| -> Found<bool> {
            let of = |node: &NodeCx<'_>| cx.attribute(node.id, node.attrs().int_or(name, otherwise));
            Ok(of(&node)? == of(&inner)?)
        };
        let alike = equal(1) && equal(2) && same("axis", 1)? && same("block_size", 0)?;
        if !alike || cx.ty(old).dtype() != Some(dtype) {
            return Err(Miss::NotHere);
        }
        Bypass::between(cx, old, new)
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
