//! A node that hands a value on as it came, and how to do without it.

use onnxpress_ir::{Edit, EditError, Name, NodeId, ValueId};

use super::match_cx::MatchCx;
use super::rule::Found;

/// Every reader of `old` is to read `new`, which is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bypass {
    /// What the node gives.
    pub old: ValueId,
    /// What it is given, or what that is the same as.
    pub new: ValueId,
    /// Whether the file needs a node between the two, since a graph output has a name that `new` cannot have.
    pub stays: bool,
}

impl Bypass {
    /// The first operand of a node in the place of its first output.
    ///
    /// # Errors
    /// As [`between`](Self::between); a miss that nobody hears of without such an operand.
    pub fn of(cx: &MatchCx<'_>, node: NodeId) -> Found<Self> {
        Self::between(cx, node.port(0), cx.operand(node, 0)?)
    }

    /// One value in the place of another, the first output of its node. Where a graph output needs the node for its name, it
    /// becomes an `Identity`, by which everyone sees that it does nothing.
    ///
    /// # Errors
    /// A decline where it is one already, or gives something else besides.
    pub fn between(cx: &MatchCx<'_>, old: ValueId, new: ValueId) -> Found<Self> {
        match cx.can_take_over(old, new) {
            Ok(()) => Ok(Self { old, new, stays: false }),
            Err(miss) => {
                let node = cx.node(old.node).map_err(|_| miss.clone())?;
                let plain = node.node.port_count() == 1 && node.node.canonical_domain().is_empty();
                if plain && !node.node.is("Identity") { Ok(Self { old, new, stays: true }) } else { Err(miss) }
            }
        }
    }

    /// Carries it out; the node, which nothing reads then, goes.
    ///
    /// # Errors
    /// Where the two are of different types.
    pub fn apply(self, edit: &mut Edit<'_>) -> Result<(), EditError> {
        if !self.stays {
            return edit.replace(self.old, self.new);
        }
        let id = self.old.node;
        let Some(node) = edit.graph().node(id) else { return Ok(()) };
        let (domain, attrs): (Name, Vec<Name>) =
            (node.domain.clone(), node.attrs.iter().map(|attr| attr.name.clone()).collect());
        edit.set_operator(id, domain, "Identity".into());
        for name in attrs {
            edit.remove_attr(id, &name.to_str());
        }
        edit.set_operand(id, 0, Some(self.new));
        edit.truncate_operands(id, 1);
        edit.restate(id)
    }
}
