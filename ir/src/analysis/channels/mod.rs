//! Coupling: which indices can only be removed together, and everything that goes with them.
//!
//! Removing a channel from one weight means removing it from every tensor that shares the index. Each axis of each value is a
//! span of indices; what a node says of its axes, in letters, makes spans one, over the whole graph and whatever their sizes.
//! What comes out are [leaves](Leaf): sets of indices that stand for themselves. To remove index 3 of a leaf is to remove it
//! from every axis in which the leaf occurs, and nothing else has to go. A residual stream through all stages of a network is one
//! leaf; so is the set of heads of an attention layer, and the set of indices within each.
//!
//! A constant has axes for each reading, since two readers that want different cuts can be given a copy each. What nobody can
//! say anything about, and what the world outside knows, is pinned, with the reason.
//!
//! As DepGraph (Fang et al., CVPR 2023), but on index sets instead of layers. One visit a node and axis, and the work of
//! taking spans apart is bounded: linear in the size of the graph.

mod forest;
mod relation;
#[cfg(test)]
mod tests;

use indexmap::IndexMap;

pub use forest::{Leaf, Made, Settled, SpanId};
pub use relation::{Axis, Letter, Relation};

use forest::Forest;

use crate::graph::{Graph, NodeId, Slot, Use, ValueId, Vertex};
use crate::types::Type;

/// The spans of a tensor's axes, outermost first.
pub type Axes = Vec<SpanId>;

/// Which indices can only be removed together.
#[derive(Clone, Debug, Default)]
pub struct Coupling {
    /// What spans are made of.
    pub spans: Settled,
    values: IndexMap<ValueId, Axes>,
    readings: IndexMap<Use, Axes>,
    letters: IndexMap<NodeId, Vec<(String, SpanId)>>,
    asked: std::collections::HashSet<Use>,
}

impl Coupling {
    /// The coupling of a graph of whose nodes `relate` tells how their axes are related, or why nobody knows.
    pub fn of(graph: &Graph, mut relate: impl FnMut(NodeId) -> Result<Relation, String>) -> Self {
        let mut building = Building { graph, forest: Forest::default(), found: Self::default(), used: Vec::new() };
        building.seat_values();
        let order = graph.topological().unwrap_or_default();
        for id in order {
            if graph.node(id).is_none() {
                continue;
            }
            let place = graph.describe(id);
            match relate(id) {
                Ok(relation) => building.relate(id, &relation, &place),
                Err(reason) => building.pin_all(id, &format!("{place}: {reason}")),
            }
            for value in graph.implicit_operands(id).flatten() {
                building.pin_value(value, &format!("read in a subgraph of {place}"));
            }
        }
        building.finish()
    }

    /// The axes of a value that a node gives out or the graph takes in; `None` where its rank is not known.
    pub fn axes(&self, value: ValueId) -> Option<&[SpanId]> {
        self.values.get(&value).map(Vec::as_slice)
    }

    /// The axes of what is read there: those of the value, or, of a constant, those of this reading.
    pub fn read(&self, graph: &Graph, reading: Use) -> Option<&[SpanId]> {
        if let Some(axes) = self.readings.get(&reading) {
            return Some(axes);
        }
        let value = match reading.slot {
            Slot::Operand(index) => graph.operand(reading.node, index as usize)?,
            Slot::Capture(index) => graph.implicit_operands(reading.node).nth(index as usize)??,
        };
        self.axes(value)
    }

    /// Whether no element is read there, so that the reader takes a constant cut or whole.
    pub fn is_only_asked(&self, reading: Use) -> bool {
        self.asked.contains(&reading)
    }

    /// The letters of a node's relation and their spans.
    pub fn letters(&self, node: NodeId) -> &[(String, SpanId)] {
        self.letters.get(&node).map_or(&[], Vec::as_slice)
    }

    /// The span that a letter of a node's relation stands for.
    pub fn letter(&self, node: NodeId, name: &str) -> Option<SpanId> {
        self.letters(node).iter().find(|(letter, _)| letter == name).map(|(_, span)| *span)
    }
}

impl Coupling {
    /// Keeps whole whatever a span is made of, because of something that came up later.
    pub fn pin(&mut self, span: SpanId, reason: &str) {
        self.spans.pin(span, reason);
    }

    /// Says along which spans lies what is read there from now on: a constant that was not there before.
    pub fn declare(&mut self, reading: Use, axes: Axes) {
        self.readings.insert(reading, axes);
    }

    /// Every value's axes.
    pub fn values(&self) -> impl Iterator<Item = (ValueId, &[SpanId])> {
        self.values.iter().map(|(value, axes)| (*value, axes.as_slice()))
    }
}

struct Building<'g> {
    graph: &'g Graph,
    forest: Forest,
    found: Coupling,
    used: Vec<SpanId>,
}

impl Building<'_> {
    /// Axes of their own for every value, and for every reading of a constant.
    fn seat_values(&mut self) {
        for (id, vertex) in self.graph.vertices() {
            if let Vertex::Constant(_) = vertex {
                let readings: Vec<Use> = self.graph.readers(id.port(0)).collect();
                for reading in readings {
                    let Some(axes) = self.fresh(self.graph.ty(id.port(0))) else { continue };
                    // Readings that no node's relation will speak of.
                    if self.graph.node(reading.node).is_none() || matches!(reading.slot, Slot::Capture(_)) {
                        self.pin_axes(&axes, &format!("read by {}", self.graph.describe(reading.node)));
                    }
                    self.found.readings.insert(reading, axes);
                }
                continue;
            }
            for (port, known) in (0u32..).zip(vertex.ports()) {
                if let Some(axes) = self.fresh(&known.ty) {
                    self.found.values.insert(id.port(port), axes);
                }
            }
            match vertex {
                Vertex::Input(_) => self.pin_value(id.port(0), &format!("{} of the graph", self.graph.describe(id))),
                Vertex::Capture(_) => self.pin_value(id.port(0), &format!("{} from outside", self.graph.describe(id))),
                _ => {}
            }
        }
        for &output in self.graph.outputs() {
            if let Some(value) = self.graph.operand(output, 0) {
                self.pin_value(value, &format!("{} of the graph", self.graph.describe(output)));
            }
        }
    }

    fn fresh(&mut self, ty: &Type) -> Option<Axes> {
        let shape = ty.shape()?;
        let mut axes = Vec::with_capacity(shape.len());
        for dim in shape.iter() {
            let extent = dim.as_const().and_then(|extent| u64::try_from(extent).ok());
            let span = self.forest.leaf(extent);
            if extent.is_some_and(|extent| extent < 2) {
                self.forest.pin(span, "an axis of a single index");
            }
            axes.push(span);
        }
        self.used.extend(&axes);
        Some(axes)
    }

    fn read(&self, reading: Use, value: ValueId) -> Option<Axes> {
        self.found.readings.get(&reading).or_else(|| self.found.values.get(&value)).cloned()
    }

    fn pin_axes(&mut self, axes: &[SpanId], reason: &str) {
        for &axis in axes {
            self.forest.pin(axis, reason);
        }
    }

    fn pin_value(&mut self, value: ValueId, reason: &str) {
        if let Some(axes) = self.found.values.get(&value).cloned() {
            self.pin_axes(&axes, reason);
        }
    }

    /// The axes of operands and outputs, by place.
    fn sides(&self, id: NodeId) -> (Vec<Option<Axes>>, Vec<Option<Axes>>) {
        let slot = |index: usize| Use { node: id, slot: Slot::Operand(index as u32) };
        let operands = self.graph.operands(id).enumerate();
        let operands = operands.map(|(index, value)| value.and_then(|value| self.read(slot(index), value))).collect();
        let ports = 0..self.graph.vertex(id).ports().len() as u32;
        (operands, ports.map(|port| self.found.values.get(&id.port(port)).cloned()).collect())
    }

    fn pin_all(&mut self, id: NodeId, reason: &str) {
        let (operands, outputs) = self.sides(id);
        for axes in operands.into_iter().chain(outputs).flatten() {
            self.pin_axes(&axes, reason);
        }
    }

    fn relate(&mut self, id: NodeId, relation: &Relation, place: &str) {
        let mut letters = Vec::with_capacity(relation.letters.len());
        for letter in &relation.letters {
            let span = self.forest.leaf(letter.extent);
            if let Some(reason) = &letter.pinned {
                self.forest.pin(span, format!("{place}: {reason}"));
            }
            letters.push(span);
        }
        let (operands, outputs) = self.sides(id);
        let said = |rows: &[Option<Vec<Axis>>], count: usize| -> Vec<Option<Vec<Axis>>> {
            (0..count).map(|index| rows.get(index).cloned().flatten()).collect()
        };
        let rows = said(&relation.operands, operands.len()).into_iter().chain(said(&relation.outputs, outputs.len()));
        for (index, (row, axes)) in rows.zip(operands.iter().chain(&outputs)).enumerate() {
            let Some(axes) = axes.clone() else {
                // What is there and has no axes, because its rank is not known, would let the letters slip through.
                let there = match index.checked_sub(operands.len()) {
                    None => self.graph.operand(id, index).is_some(),
                    Some(port) => self.graph.vertex(id).ports().get(port).is_some_and(|port| !port.omitted),
                };
                if there && row.is_some() {
                    let reason = format!("{place}: the rank of what it reads or gives out is not known");
                    letters.iter().for_each(|&letter| self.forest.pin(letter, &reason));
                }
                continue;
            };
            match row.filter(|row| row.len() == axes.len()) {
                None => self.pin_axes(&axes, &format!("{place}: nothing is known of the axis")),
                Some(row) => row.iter().zip(axes).for_each(|(axis, span)| self.lay(axis, &letters, span)),
            }
        }
        for (index, row) in (0u32..).zip(&relation.operands) {
            let asked = |letter: &usize| relation.letters[*letter].asked;
            if row.as_ref().is_some_and(|row| row.iter().flatten().flatten().all(asked)) {
                self.found.asked.insert(Use { node: id, slot: Slot::Operand(index) });
            }
        }
        let names = relation.letters.iter().map(|letter| letter.name.clone());
        self.used.extend(&letters);
        self.found.letters.insert(id, names.zip(letters).collect());
    }

    fn lay(&mut self, axis: &Axis, letters: &[SpanId], span: SpanId) {
        let segments: Vec<SpanId> = axis
            .iter()
            .map(|factors| match factors.as_slice() {
                [] => self.forest.leaf(Some(1)),
                factors => self.forest.product(factors.iter().map(|&letter| letters[letter]).collect()),
            })
            .collect();
        if segments.is_empty() {
            return;
        }
        let whole = self.forest.sum(segments);
        self.forest.unify(whole, span);
    }

    fn finish(self) -> Coupling {
        let Self { forest, mut found, used, .. } = self;
        found.spans = forest.settle(used);
        found
    }
}
