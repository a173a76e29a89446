//! What is taken down about one graph while rules work on it, so that nobody has to look for it again.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use onnxpress_ir::{DType, Graph, NodeId, Tensor, ValueId, Vertex};

/// The longest list of whole numbers that is kept in mind: shapes, axes, pads.
const LONGEST: usize = 16;

/// Element type, extents, bytes.
type Content = (DType, Vec<usize>, Vec<u8>);

/// The notes on one graph.
#[derive(Debug, Default)]
pub struct Notes {
    /// The nodes that were found to depend on constants alone.
    ahead: RefCell<HashSet<NodeId>>,
    /// Constants that are short lists of whole numbers, the first of each.
    lists: RefCell<HashMap<Content, ValueId>>,
}

impl Notes {
    /// With the lists that are in a graph.
    pub(super) fn of(graph: &Graph) -> Self {
        let notes = Self::default();
        graph.constants().for_each(|(id, _)| notes.constant(graph, id));
        notes
    }

    pub(super) fn is_ahead(&self, id: NodeId) -> bool {
        self.ahead.borrow().contains(&id)
    }

    pub(super) fn note_ahead(&self, id: NodeId) {
        self.ahead.borrow_mut().insert(id);
    }

    /// Takes a vertex down, if it is a list.
    pub(super) fn constant(&self, graph: &Graph, id: NodeId) {
        let Some(Vertex::Constant(constant)) = graph.get(id) else { return };
        let Some(content) = constant.value.dense().and_then(content) else { return };
        let mut lists = self.lists.borrow_mut();
        let known = lists.entry(content).or_insert(id.port(0));
        if !graph.contains(known.node) {
            *known = id.port(0);
        }
    }

    /// A constant of the graph that is this list.
    pub(super) fn list(&self, graph: &Graph, tensor: &Tensor) -> Option<ValueId> {
        let value = *self.lists.borrow().get(&content(tensor)?)?;
        graph.constant(value).filter(|known| known.same_as(tensor)).map(|_| value)
    }
}

fn content(tensor: &Tensor) -> Option<Content> {
    let short = tensor.dtype().is_integer() && tensor.len() <= LONGEST;
    let bytes = tensor.bytes().filter(|_| short)?;
    Some((tensor.dtype(), tensor.dims().to_vec(), bytes.to_vec()))
}
