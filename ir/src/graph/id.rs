//! Identities of vertices and values.

use std::fmt;

/// A vertex of one graph: a slot, and the stamp of whoever sits in it.
///
/// petgraph hands the slot of a removed vertex to the next one; the stamp tells the two apart, so that an id outlives its
/// vertex as an error and never as a different vertex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    pub(super) slot: u32,
    pub(super) stamp: u32,
}

impl NodeId {
    /// The value on the vertex's port number `port`.
    pub const fn port(self, port: u32) -> ValueId {
        ValueId { node: self, port }
    }

    /// The slot: small, dense, unique among the vertices that live at the same time. For side tables.
    pub const fn slot(self) -> usize {
        self.slot as usize
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}", self.slot, self.stamp)
    }
}

/// A value: a port of the vertex that produces it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId {
    /// The producer.
    pub node: NodeId,
    /// Which of its outputs.
    pub port: u32,
}

impl fmt::Debug for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{}", self.node, self.port)
    }
}

/// Where a vertex reads a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// An operand that the node lists.
    Operand(u32),
    /// An implicit operand: what the node's subgraphs capture.
    Capture(u32),
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operand(index) => write!(f, "operand {index}"),
            Self::Capture(index) => write!(f, "implicit operand {index}"),
        }
    }
}

/// One reading of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Use {
    /// The reader.
    pub node: NodeId,
    /// Where it reads.
    pub slot: Slot,
}
