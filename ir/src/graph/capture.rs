//! Captures: the seam between a subgraph and the graph around it.

use std::sync::Arc;

use super::*;

/// Longest tensor of whole numbers whose elements are tracked as symbolic values: shapes, axes, pads are shorter.
const MAX_TRACKED: usize = 64;

/// The elements of a small constant of whole numbers.
pub(super) fn small_elements(tensor: &Tensor) -> Option<Arc<[Dim]>> {
    if tensor.len() > MAX_TRACKED || tensor.rank() > 2 {
        return None;
    }
    if let Ok(values) = tensor.values::<i64>() {
        return Some(values.iter().map(|&v| Dim::from(v)).collect());
    }
    tensor.values::<i32>().ok().map(|values| values.iter().map(|&v| Dim::from(i64::from(v))).collect())
}

impl Graph {
    /// Adds, inside a subgraph, the vertex for implicit operand number `operand` of the node that holds the subgraph.
    pub fn add_capture(&mut self, operand: u32, port: Port) -> ValueId {
        self.seat_capture(Capture { port, operand })
    }

    /// Appends `value` to the implicit operands of a node; answers its number for [`add_capture`](Self::add_capture).
    ///
    /// # Panics
    /// If the vertex was removed or is no node.
    pub fn add_implicit_operand(&mut self, node: NodeId, value: ValueId) -> u32 {
        match self.push_slot(node, true, Some(value)) {
            Slot::Capture(index) | Slot::Operand(index) => index,
        }
    }

    /// The node's subgraphs, to be changed. Counts as a change of this graph.
    ///
    /// # Panics
    /// If the vertex was removed or is no node.
    pub fn subgraphs_mut(&mut self, node: NodeId) -> impl Iterator<Item = &mut Graph> {
        self.node_mut(node).attrs.iter_mut().flat_map(|attr| attr.value.graphs_mut())
    }

    /// The node's subgraphs, to record what is known of the values inside. Knowledge is no change: the revision stays.
    ///
    /// # Panics
    /// If the vertex was removed or is no node.
    pub fn annotating_subgraphs(&mut self, node: NodeId) -> impl Iterator<Item = &mut Graph> {
        match self.get_mut(node) {
            Some(Vertex::Node(node)) => node.attrs.iter_mut().flat_map(|attr| attr.value.graphs_mut()),
            _ => unreachable!("the vertex is no node"),
        }
    }

    /// Drops captures that nothing inside reads, and the implicit operands that no subgraph captures any more.
    /// Answers whether there were any.
    ///
    /// # Panics
    /// If the vertex was removed or is no node.
    pub fn drop_unread_captures(&mut self, id: NodeId) -> bool {
        let Some(count) = self.node(id).map(Node::capture_count) else { return false };
        if count == 0 {
            return false;
        }
        let revision = self.revision;
        let mut read = vec![false; count];
        let mut dropped = false;
        for graph in self.subgraphs_mut(id) {
            let captures: Vec<_> = graph.captures().map(|(inner, capture)| (inner, capture.operand as usize)).collect();
            for (inner, operand) in captures {
                if graph.is_read(inner) {
                    read[operand] = true;
                } else {
                    graph.remove(inner);
                    dropped = true;
                }
            }
        }
        if read.iter().all(|&read| read) {
            if !dropped {
                self.revision = revision;
            }
            return dropped;
        }
        let values: Vec<_> = self.implicit_operands(id).collect();
        for index in 0..count {
            self.connect(id, Slot::Capture(index as u32), None);
        }
        self.node_mut(id).captures.clear();
        let mut renumbered = vec![0u32; count];
        for (index, value) in values.into_iter().enumerate().filter(|&(index, _)| read[index]) {
            let (Slot::Capture(new) | Slot::Operand(new)) = self.push_slot(id, true, value);
            renumbered[index] = new;
        }
        for graph in self.subgraphs_mut(id) {
            let captures: Vec<_> = graph.captures().map(|(inner, _)| inner).collect();
            for inner in captures {
                graph.renumber_capture(inner, &renumbered);
            }
        }
        true
    }

    fn seat_capture(&mut self, capture: Capture) -> ValueId {
        self.seat_any(Vertex::Capture(Box::new(capture)))
    }

    fn renumber_capture(&mut self, id: NodeId, renumbered: &[u32]) {
        if let Some(Vertex::Capture(capture)) = self.get_mut(id) {
            capture.operand = renumbered[capture.operand as usize];
        }
    }
}
