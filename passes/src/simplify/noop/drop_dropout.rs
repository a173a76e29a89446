//! Drops `Dropout` where it drops nothing.
//!
//! Before `y = Dropout(x, ratio, training_mode)`; after, every reader of `y` reads `x`.
//! Fires in inference mode: `training_mode` (opset 12 and newer) is left out or constant and false, opsets 7 to 11 always,
//! `is_test` (opset 6 and older) is not 0; if nothing reads the mask. The ratio does not matter. Where a graph output needs the
//! node for its name, it becomes an `Identity`.
//! Exact: by the definition of the operator the two are one value. Ends: one such node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use crate::rewrite::{Bypass, Found, MatchCx, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropDropout;

impl Rule for DropDropout {
    const NAME: &'static str = "drop-dropout";
    const CONTRACT: &'static str = crate::contract!("drop_dropout.rs");
    const ROOTS: Roots = Roots::Operators(&["Dropout"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        let node = cx.operator(root, "Dropout")?;
        match node.version {
            ..7 => {
                let is_test = cx.attribute(root, node.attrs().flag("is_test"))?;
                cx.require(is_test, root, "it is in training mode")?;
            }
            7..12 => {}
            _ if node.has(2) => {
                let training = cx.required_constant(root, 2, "training_mode")?.to_i64s();
                cx.require(training.is_ok_and(|values| values == [0]), root, "it is in training mode")?;
            }
            _ => {}
        }
        if node.node.port_count() > 1 {
            cx.require(!cx.is_read(root.port(1)), root, "its mask is read")?;
        }
        Bypass::of(cx, root)
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
