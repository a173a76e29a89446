//! Orders of nodes: by dependency, and as the file has them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

/// Nodes that depend on each other in a circle, so that none can run first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the graph has a cycle through {}", .0.join(", "))]
pub struct Cycle(
    /// The nodes on it, in the order of flow.
    pub Vec<String>,
);

impl Graph {
    fn order(&self, id: NodeId) -> Order {
        match self.get(id) {
            Some(Vertex::Node(node)) => node.order,
            Some(Vertex::Constant(constant)) => constant.order,
            _ => Order::default(),
        }
    }

    fn is_written_as_node(&self, id: NodeId) -> bool {
        match self.get(id) {
            Some(Vertex::Node(_)) => true,
            Some(Vertex::Constant(constant)) => matches!(constant.form, ConstantForm::Node { .. }),
            _ => false,
        }
    }

    /// The nodes, and the constants that the file writes as nodes, each after all that it reads; where there is a choice, in
    /// the order of the file.
    ///
    /// # Errors
    /// If nodes depend on each other in a circle.
    pub fn topological(&self) -> Result<Vec<NodeId>, Cycle> {
        let mut waiting = vec![0u32; self.slot_bound()];
        let mut ready = BinaryHeap::new();
        let mut count = 0;
        for (id, _) in self.vertices().filter(|&(id, _)| self.is_written_as_node(id)) {
            count += 1;
            waiting[id.slot()] = self.reads(id).filter(|value| self.is_written_as_node(value.node)).count() as u32;
            if waiting[id.slot()] == 0 {
                ready.push(Reverse((self.order(id), id)));
            }
        }
        let mut sorted = Vec::with_capacity(count);
        while let Some(Reverse((_, id))) = ready.pop() {
            sorted.push(id);
            for edge in self.store.edges_directed(NodeIndex::new(id.slot()), Direction::Outgoing) {
                let reader = self.id_at(edge.target());
                if !self.is_written_as_node(reader) {
                    continue;
                }
                waiting[reader.slot()] -= 1;
                if waiting[reader.slot()] == 0 {
                    ready.push(Reverse((self.order(reader), reader)));
                }
            }
        }
        if sorted.len() == count { Ok(sorted) } else { Err(self.find_cycle(&waiting)) }
    }

    /// Follows operands among the nodes that never became ready until one comes again.
    fn find_cycle(&self, waiting: &[u32]) -> Cycle {
        let stuck = |id: NodeId| waiting[id.slot()] > 0;
        let Some((start, _)) = self.nodes().find(|&(id, _)| stuck(id)) else { return Cycle(Vec::new()) };
        let mut path = vec![start];
        let mut place = vec![usize::MAX; waiting.len()];
        place[start.slot()] = 0;
        loop {
            let last = path[path.len() - 1];
            let Some(before) = self.reads(last).map(|value| value.node).find(|&id| stuck(id)) else { break };
            if place[before.slot()] != usize::MAX {
                path.drain(..place[before.slot()]);
                break;
            }
            place[before.slot()] = path.len();
            path.push(before);
        }
        Cycle(path.iter().rev().take(8).map(|&id| self.describe(id)).collect())
    }

    /// The nodes as a file should list them: in the order of the file they came from as long as that respects every
    /// dependency, or nothing was changed; by [`topological`](Self::topological) order otherwise.
    ///
    /// # Errors
    /// If nodes depend on each other in a circle.
    pub fn file_order(&self, untouched: bool) -> Result<Vec<NodeId>, Cycle> {
        let mut listed: Vec<_> = self
            .vertices()
            .map(|(id, _)| id)
            .filter(|&id| self.is_written_as_node(id))
            .map(|id| (self.order(id), id))
            .collect();
        listed.sort_unstable();
        let listed: Vec<_> = listed.into_iter().map(|(_, id)| id).collect();
        if untouched {
            return Ok(listed);
        }
        let mut seen = vec![false; self.slot_bound()];
        for &id in &listed {
            if self.reads(id).any(|value| self.is_written_as_node(value.node) && !seen[value.node.slot()]) {
                return self.topological();
            }
            seen[id.slot()] = true;
        }
        Ok(listed)
    }

    /// The places of nodes, for a pass that puts new ones where old ones stood.
    pub fn place(&self, id: NodeId) -> Order {
        self.order(id)
    }
}
