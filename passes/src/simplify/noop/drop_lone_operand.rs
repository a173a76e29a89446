//! Drops operators that combine any number of operands where there is one.
//!
//! Before `y = Concat(x)`, or `Sum`, `Max`, `Min`, `Mean` of one operand, or a `Split` into one part; after, every reader of `y`
//! reads `x`. A `Split` is one into one part too where the first is the whole and nothing reads the others.
//! Fires at each of them. Where a graph output needs the node for its name, it becomes an `Identity`.
//! Exact: one operand is its own sum, mean, greatest, and all there is to put together. Ends: one such node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use crate::rewrite::{Bypass, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropLoneOperand;

impl Rule for DropLoneOperand {
    const NAME: &'static str = "drop-lone-operand";
    const CONTRACT: &'static str = crate::contract!("drop_lone_operand.rs");
    const ROOTS: Roots = Roots::Operators(&["Concat", "Sum", "Max", "Min", "Mean", "Split"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        let node = cx.node(root)?;
        let is_split = node.node.is("Split");
        let lone = match is_split {
            true => (1..node.node.port_count() as u32).all(|port| !cx.is_read(root.port(port))),
            false => node.operand_count() == 1,
        };
        if !lone || is_split && !cx.same_shape(cx.operand(root, 0)?, root.port(0)) {
            return Err(Miss::NotHere);
        }
        Bypass::of(cx, root)
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
