//! A node that hands a value on as it came, and how to do without it.

use onnxpress_ir::{Edit, EditError, NodeId, ValueId};

use super::match_cx::MatchCx;
use super::rule::Found;

/// Every reader of `old` is to read `new`, which is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bypass {
    /// What the node gives.
    pub old: ValueId,
    /// What it is given.
    pub new: ValueId,
}

impl Bypass {
    /// The first operand of a node in the place of its first output.
    ///
    /// # Errors
    /// [`Miss::NotHere`](super::Miss::NotHere) without such an operand; a decline where a graph output needs the node for its
    /// name.
    pub fn of(cx: &MatchCx<'_>, node: NodeId) -> Found<Self> {
        let bypass = Self { old: node.port(0), new: cx.operand(node, 0)? };
        cx.can_take_over(bypass.old, bypass.new)?;
        Ok(bypass)
    }

    /// Carries it out; the node, which nothing reads then, goes.
    ///
    /// # Errors
    /// Where the two are of different types.
    pub fn apply(self, edit: &mut Edit<'_>) -> Result<(), EditError> {
        edit.replace(self.old, self.new)
    }
}
