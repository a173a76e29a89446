//! Drops `Identity`.
//!
//! Before `y = Identity(x)`; after, every reader of `y` reads `x`.
//! Fires unless a graph output gives `y` out and `x` cannot have the output's name: `x` is an input, a captured value, or
//! given out already under another name. Then the file needs the node.
//! Exact: the two are one value. Ends: one node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use crate::rewrite::{Bypass, Found, MatchCx, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropIdentity;

impl Rule for DropIdentity {
    const NAME: &'static str = "drop-identity";
    const CONTRACT: &'static str = crate::contract!("drop_identity.rs");
    const ROOTS: Roots = Roots::Operators(&["Identity"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        Bypass::of(cx, root)
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
