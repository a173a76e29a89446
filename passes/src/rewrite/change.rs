//! A node that is to give the same in another way: another operator, other operands, other attributes.
//!
//! The node stays where it is, with its name, its outputs and what its file said of it, so rules that put one node in the
//! place of several say which of them is changed to stand for all.

use onnxpress_ir::{Attr, Edit, EditError, Name, Node, NodeId, Tensor, ValueId};

use super::file_size;
use super::match_cx::MatchCx;
use super::rule::Found;

/// What a change may add to the file, as long as the file stays smaller than it came: a new shape, a list of axes.
const GROWTH: usize = 1024;

/// Vertices that are looked at to see what goes.
const REACH: usize = 32;

/// What a node reads.
#[derive(Clone, Debug)]
pub enum Reads {
    /// A value of the graph.
    Value(ValueId),
    /// A constant that is made for it.
    New(Tensor),
    /// Nothing: an optional operand that is left out.
    Nothing,
}

impl From<ValueId> for Reads {
    fn from(value: ValueId) -> Self {
        Self::Value(value)
    }
}

impl From<Tensor> for Reads {
    fn from(tensor: Tensor) -> Self {
        Self::New(tensor)
    }
}

impl Reads {
    /// A vector of whole numbers: a shape, axes, pads.
    pub fn ints(values: impl Into<Vec<i64>>) -> Self {
        Self::New(Tensor::vector::<i64>(values.into()))
    }
}

/// A node, and what it is to be.
#[derive(Debug)]
pub struct Change {
    root: NodeId,
    op_type: Name,
    operands: Vec<Reads>,
    attrs: Vec<Attr>,
}

impl Change {
    /// The node as an operator of the standard that reads these and has these attributes.
    ///
    /// # Errors
    /// A decline where the file would grow.
    pub fn new(
        cx: &MatchCx<'_>,
        root: NodeId,
        op_type: impl Into<Name>,
        operands: impl IntoIterator<Item = Reads>,
        attrs: Vec<Attr>,
    ) -> Found<Self> {
        // A list that is there already is not made again.
        let known = |operand| match operand {
            Reads::New(tensor) => cx.list(&tensor).map_or(Reads::New(tensor), Reads::Value),
            other => other,
        };
        let mut operands: Vec<Reads> = operands.into_iter().map(known).collect();
        while matches!(operands.last(), Some(Reads::Nothing)) {
            operands.pop();
        }
        let change = Self { root, op_type: op_type.into(), operands, attrs };
        let kept: Vec<ValueId> = change.operands.iter().filter_map(Reads::value).collect();
        let freed = cx.bytes_of(&cx.goes_but(root, &kept, REACH));
        cx.pays(root, change.bytes(cx), freed, GROWTH)?;
        Ok(change)
    }

    /// The node with other operands and nothing else changed.
    ///
    /// # Errors
    /// A decline where the file would grow.
    pub fn operands(cx: &MatchCx<'_>, root: NodeId, operands: impl IntoIterator<Item = Reads>) -> Found<Self> {
        let node = cx.node(root)?.node;
        Self::new(cx, root, node.op_type.clone(), operands, node.attrs.clone())
    }

    /// How many bytes of the file the node and its new constants will take.
    fn bytes(&self, cx: &MatchCx<'_>) -> usize {
        let graph = cx.graph();
        let Some(old) = graph.node(self.root) else { return 0 };
        let mut node = Node::new(self.op_type.clone(), 0).with_ports(old.ports().to_vec()).named(old.name.clone());
        node.attrs.clone_from(&self.attrs);
        let names = self.operands.iter().map(|operand| match operand {
            Reads::Value(value) => graph.port(*value).name.as_ref().map_or(0, |name| name.as_bytes().len()),
            Reads::New(_) => file_size::NEW_NAME,
            Reads::Nothing => 0,
        });
        let made = self.operands.iter().map(|operand| match operand {
            Reads::New(tensor) => file_size::new_tensor(tensor, None, cx.written()),
            _ => 0,
        });
        file_size::node_reading(&node, names) + made.sum::<usize>()
    }

    /// Carries it out.
    ///
    /// # Errors
    /// Where the node would make no sense, or give something else than before.
    pub fn apply(self, edit: &mut Edit<'_>) -> Result<(), EditError> {
        let Self { root, op_type, operands, attrs } = self;
        let Some(old) = edit.graph().node(root) else { return Ok(()) };
        let (before, count) = (old.attrs.clone(), old.operand_count());
        if old.op_type != op_type {
            let domain = old.domain.clone();
            edit.set_operator(root, domain, op_type);
        }
        for attr in before.iter().filter(|old| !attrs.iter().any(|new| new.name == old.name)) {
            edit.remove_attr(root, &attr.name.to_str());
        }
        for attr in attrs {
            edit.set_attr(root, attr);
        }
        let kept = operands.len();
        for (index, operand) in operands.into_iter().enumerate() {
            let value = match operand {
                Reads::Value(value) => Some(value),
                Reads::New(tensor) => Some(edit.add_constant(None, tensor)),
                Reads::Nothing => None,
            };
            if index >= count || edit.graph().operand(root, index) != value {
                edit.set_operand(root, index, value);
            }
        }
        if kept < count {
            edit.truncate_operands(root, kept);
        }
        edit.restate(root)
    }
}

impl Reads {
    fn value(&self) -> Option<ValueId> {
        match self {
            Self::Value(value) => Some(*value),
            _ => None,
        }
    }
}
