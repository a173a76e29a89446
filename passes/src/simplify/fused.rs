//! One node in the place of several.

use onnxpress_ir::{DType, Edit, EditError, Node, NodeId, Port, ValueId};
use onnxpress_ops::schema;

use crate::rewrite::file_size::{self, Written};
use crate::rewrite::{Found, MatchCx, Miss, Reads};

/// Bytes that the file may grow by for a constant that several nodes did without, as long as it stays smaller than it came.
const GROWTH: usize = 1024;

/// A node that gives what several gave.
#[derive(Debug)]
pub(super) struct Fused {
    node: Node,
    reads: Vec<Reads>,
    /// What each of its outputs is given instead of; `None` for one that is left out.
    outputs: Vec<Option<ValueId>>,
    saved: usize,
}

impl Fused {
    /// A node that reads `reads` and gives what `root` gave, in the place of the nodes `gone`, `root` among them.
    ///
    /// # Errors
    /// [`Miss::NotHere`] where the model's version of the standard has no such operator for elements of type `dtype`, or no
    /// node would be saved. A decline where someone else reads what is computed on the way, or the file would grow.
    pub(super) fn new(
        cx: &MatchCx<'_>,
        root: NodeId,
        gone: &[NodeId],
        node: Node,
        reads: Vec<Reads>,
        dtype: DType,
    ) -> Found<Self> {
        Self::giving(cx, vec![Some(root.port(0))], gone, node, reads, dtype)
    }

    /// The same for a node whose outputs come in the place of several values, the first of which is there.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(super) fn giving(
        cx: &MatchCx<'_>,
        outputs: Vec<Option<ValueId>>,
        gone: &[NodeId],
        mut node: Node,
        mut reads: Vec<Reads>,
        dtype: DType,
    ) -> Found<Self> {
        let root = outputs.first().copied().flatten().ok_or(Miss::NotHere)?.node;
        let ports = outputs.iter().map(|output| Port { omitted: output.is_none(), ..Port::default() });
        node = node.with_ports(ports);
        let version = cx.node(root)?.version;
        if !is_there(&node.op_type.to_str(), version, dtype) {
            return Err(Miss::NotHere);
        }
        while matches!(reads.last(), Some(Reads::Nothing)) {
            reads.pop();
        }
        let left = sole_members(cx, outputs.iter().flatten().map(|value| value.node).collect(), gone);
        // Where there are no initializers, a new constant is a node too.
        let is_new = |reads: &&Reads| matches!(reads, Reads::New(_)) && cx.written() == Written::Node;
        if left.len() < 2 + reads.iter().filter(is_new).count() {
            return Err(Miss::NotHere);
        }
        let old = cx.node(root)?.node;
        let mut written =
            Node::new(node.op_type.clone(), 0).with_ports([old.ports()[0].clone()]).named(old.name.clone());
        written.attrs.clone_from(&node.attrs);
        let names = reads.iter().map(|reads| match reads {
            Reads::Value(value) => cx.port(*value).name.as_ref().map_or(0, |name| name.as_bytes().len()),
            Reads::New(_) => file_size::NEW_NAME,
            Reads::Nothing => 0,
        });
        let new = reads.iter().map(|reads| match reads {
            Reads::New(tensor) => file_size::new_tensor(tensor, None, cx.written()),
            _ => 0,
        });
        let made = file_size::node_reading(&written, names) + new.sum::<usize>();
        let operands = left.iter().flat_map(|&id| cx.graph().operands(id).flatten());
        let mut freed = cx.constants_read_by(operands, &left);
        freed.retain(|id| !reads.iter().any(|reads| matches!(reads, Reads::Value(value) if value.node == *id)));
        freed.extend(&left);
        cx.pays(root, made, cx.bytes_of(&freed), GROWTH)?;
        Ok(Self { node, reads, outputs, saved: left.len() - 1 })
    }

    /// How many nodes fewer there will be.
    pub(super) fn saved(&self) -> usize {
        self.saved
    }

    /// Another value for an operand, which was not there when this was made.
    pub(super) fn set_operand(&mut self, index: usize, value: ValueId) {
        if let Some(operand) = self.reads.get_mut(index) {
            *operand = Reads::Value(value);
        }
    }

    /// Carries it out.
    ///
    /// # Errors
    /// Where the node makes no sense, or gives something of another type.
    pub(super) fn apply(self, edit: &mut Edit<'_>) -> Result<(), EditError> {
        let first = self.outputs.first().copied().flatten();
        let name = first.and_then(|value| edit.graph().node(value.node)?.name.clone());
        let mut operands = Vec::new();
        for reads in self.reads {
            operands.push(match reads {
                Reads::Value(value) => Some(value),
                Reads::New(tensor) => Some(edit.add_constant(None, tensor)),
                Reads::Nothing => None,
            });
        }
        let id = edit.add_node(self.node.named(name), &operands)?;
        let old = (0u32..).zip(self.outputs).filter_map(|(port, old)| Some((port, old?)));
        old.into_iter().try_for_each(|(port, old)| edit.replace(old, id.port(port)))
    }
}

/// Whether a version of the standard has an operator whose first operand may be of this type.
pub(super) fn is_there(op_type: &str, version: i64, dtype: DType) -> bool {
    let Some(schema) = schema::schema(schema::STANDARD, op_type, version).filter(|schema| !schema.deprecated) else {
        return false;
    };
    let formal = schema.input(0);
    formal.and_then(|formal| schema.constraint(formal)).is_none_or(|allowed| allowed.types.tensors.contains(dtype))
}

/// `left`, and those of `nodes` that go when nothing reads these any more: all of whose readers go.
fn sole_members(cx: &MatchCx<'_>, mut left: Vec<NodeId>, nodes: &[NodeId]) -> Vec<NodeId> {
    left.sort_unstable();
    left.dedup();
    loop {
        let before = left.len();
        for &id in nodes {
            let ports = 0..cx.graph().vertex(id).ports().len() as u32;
            let mut readers = ports.flat_map(|port| cx.graph().readers(id.port(port)));
            if !left.contains(&id) && readers.all(|reading| left.contains(&reading.node)) {
                left.push(id);
            }
        }
        if left.len() == before {
            return left;
        }
    }
}
