//! Drops pooling of one element at a time.
//!
//! Before `y = GlobalAveragePool(x)` or `GlobalMaxPool(x)` of spatial extents that are 1, or `AveragePool` or `MaxPool` with windows
//! of one element, strides of 1 and no padding; after, every reader of `y` reads `x`.
//! Fires if nothing reads the indices of a `MaxPool`. Where a graph output needs the node for its name, it becomes an
//! `Identity`.
//! Exact: one element is its own mean and maximum. Ends: one such node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use crate::rewrite::{Bypass, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropPooling;

impl Rule for DropPooling {
    const NAME: &'static str = "drop-pooling";
    const CONTRACT: &'static str = crate::contract!("drop_pooling.rs");
    const ROOTS: Roots = Roots::Operators(&["GlobalAveragePool", "GlobalMaxPool", "AveragePool", "MaxPool"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        let node = cx.node(root)?;
        if node.node.port_count() > 1 {
            cx.require(!cx.is_read(root.port(1)), root, "its indices are read")?;
        }
        if !node.node.op_type.to_str().starts_with("Global") {
            let all = |name: &str, value: i64| -> Found<bool> {
                let list = cx.attribute(root, node.attrs().ints(name))?.unwrap_or_default();
                Ok(list.iter().all(|&entry| entry == value))
            };
            if !(all("kernel_shape", 1)? && all("strides", 1)? && all("pads", 0)?) {
                return Err(Miss::NotHere);
            }
        }
        if cx.same_shape(cx.operand(root, 0)?, root.port(0)) { Bypass::of(cx, root) } else { Err(Miss::NotHere) }
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
