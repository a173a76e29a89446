//! Whether edges and vertices agree: the invariants that the rest of the crate relies on.
//!
//! The primitive changes keep them, but [`Graph::node_mut`] and [`Graph::subgraphs_mut`] hand out whole vertices, and who puts
//! a new one in the place of the old breaks them. After that most questions to a graph panic, so the verifier asks here first.

use super::*;

/// An edge, or a list of the interface, that is out of step with the vertices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum Misfit {
    /// A slot names an edge that is gone or leads to another slot.
    #[error("{slot} has no edge of its own")]
    Slot { slot: Slot },
    /// An edge comes from a port that its producer does not have, or leaves out.
    #[error("{slot} reads output {port} of {producer}, which has no such output")]
    Port { slot: Slot, port: u32, producer: String },
    /// An edge leads to a slot that does not list it.
    #[error("an edge from {producer} leads to {slot}, which it does not have")]
    Stray { slot: Slot, producer: String },
    /// A graph output reads nothing.
    #[error("it gives nothing out")]
    Nothing,
    /// An input or output is not on the interface, or is on it twice.
    #[error("it stands {count} times on the interface")]
    Interface { count: usize },
}

impl Graph {
    /// Everything that is out of step, by vertex in the order of slots.
    pub(crate) fn misfits(&self) -> Vec<(NodeId, Misfit)> {
        let mut found = Vec::new();
        let mut listed = vec![0usize; self.slot_bound()];
        for id in self.inputs.iter().chain(&self.outputs) {
            match listed.get_mut(id.slot()) {
                Some(count) if self.contains(*id) => *count += 1,
                _ => found.push((*id, Misfit::Interface { count: 0 })),
            }
        }
        for (id, vertex) in self.vertices() {
            if matches!(vertex, Vertex::Input(_) | Vertex::Output(_)) && listed[id.slot()] != 1 {
                found.push((id, Misfit::Interface { count: listed[id.slot()] }));
            }
            if matches!(vertex, Vertex::Output(_)) && self.slots(id).0 == [None] {
                found.push((id, Misfit::Nothing));
            }
            let (operands, captures) = self.slots(id);
            let operands = (0u32..).zip(operands).map(|(index, &edge)| (Slot::Operand(index), edge));
            let captures = (0u32..).zip(captures).map(|(index, &edge)| (Slot::Capture(index), edge));
            for (slot, edge) in operands.chain(captures) {
                found.extend(edge.and_then(|edge| self.misfit(id, slot, edge)).map(|misfit| (id, misfit)));
            }
        }
        for edge in self.store.edge_indices() {
            let (Some((from, to)), Some(reading)) = (self.store.edge_endpoints(edge), self.store.edge_weight(edge))
            else {
                continue;
            };
            let reader = self.id_at(to);
            let (operands, captures) = self.slots(reader);
            let listed = match reading.to {
                Slot::Operand(index) => operands.get(index as usize),
                Slot::Capture(index) => captures.get(index as usize),
            };
            if listed != Some(&Some(edge)) {
                let producer = self.describe(self.id_at(from));
                found.push((reader, Misfit::Stray { slot: reading.to, producer }));
            }
        }
        found
    }

    fn misfit(&self, reader: NodeId, slot: Slot, edge: EdgeIndex) -> Option<Misfit> {
        let ends = self.store.edge_endpoints(edge).zip(self.store.edge_weight(edge));
        let Some(((from, to), reading)) =
            ends.filter(|((_, to), reading)| to.index() == reader.slot() && reading.to == slot)
        else {
            return Some(Misfit::Slot { slot });
        };
        debug_assert_eq!(to.index(), reader.slot());
        let producer = self.id_at(from);
        let port = self.get(producer).and_then(|vertex| vertex.ports().get(reading.from_port as usize));
        match port {
            Some(port) if !port.omitted => None,
            _ => Some(Misfit::Port { slot, port: reading.from_port, producer: self.describe(producer) }),
        }
    }
}
