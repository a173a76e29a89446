//! The vertices that are to be looked at, and who wants to be looked at again when something changes.

use std::collections::VecDeque;

use onnxpress_ir::{Graph, NodeId, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};

use super::rule::Watch;

/// First in, first out, and nobody twice.
#[derive(Debug, Default)]
pub(super) struct Worklist {
    queue: VecDeque<NodeId>,
    queued: FxHashSet<NodeId>,
    vertices: FxHashMap<NodeId, Vec<NodeId>>,
    few_readers: FxHashMap<ValueId, Vec<NodeId>>,
    /// By producer: its values in `few_readers`.
    values: FxHashMap<NodeId, Vec<ValueId>>,
}

impl Worklist {
    /// Queues a vertex.
    pub(super) fn push(&mut self, id: NodeId) {
        if self.queued.insert(id) {
            self.queue.push_back(id);
        }
    }

    /// The next vertex.
    pub(super) fn pop(&mut self) -> Option<NodeId> {
        let id = self.queue.pop_front()?;
        self.queued.remove(&id);
        Some(id)
    }

    /// Takes down what a look at `root` depended on.
    pub(super) fn watch(&mut self, root: NodeId, mut watched: Vec<Watch>) {
        // A rule may look at one thing many times.
        watched.sort_unstable();
        watched.dedup();
        for watch in watched {
            match watch {
                Watch::Vertex(id) if id == root => {}
                Watch::Vertex(id) => add(self.vertices.entry(id).or_default(), root),
                Watch::Readers(value) => {
                    add(self.few_readers.entry(value).or_default(), root);
                    add(self.values.entry(value.node).or_default(), value);
                }
            }
        }
    }

    /// Queues a vertex that changed, and whose look depended on it.
    pub(super) fn changed(&mut self, id: NodeId) {
        self.push(id);
        for root in self.vertices.remove(&id).unwrap_or_default() {
            self.push(root);
        }
    }

    /// Queues those who waited for a value of this producer, which lost readers, to have no more than one.
    pub(super) fn lost_readers(&mut self, graph: &Graph, producer: NodeId) {
        let Some(values) = self.values.remove(&producer) else { return };
        for value in values {
            if graph.readers(value).nth(1).is_some() {
                add(self.values.entry(producer).or_default(), value);
                continue;
            }
            for root in self.few_readers.remove(&value).unwrap_or_default() {
                self.push(root);
            }
        }
    }
}

/// Rules look at one thing several times in a row; more than that need not be recognized.
fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if list.last() != Some(&item) {
        list.push(item);
    }
}
