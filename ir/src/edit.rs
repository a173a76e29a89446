//! Transactions: the only way for a pass to change a graph.
//!
//! An edit infers the type of whatever it adds at once, refuses a replacement whose type is not compatible with what it
//! replaces, and stamps each new node with the rule that made it. What is not committed is taken back, so a rule that gives
//! up halfway leaves no trace. Removals happen at the commit, so every id stays good until then.

use std::sync::Arc;

use crate::attr::Attr;
use crate::dim::Dim;
use crate::graph::{
    Constant, ConstantForm, ConstantValue, Graph, Node, NodeId, Order, Origin, Port, Slot, Use, ValueId, Vertex,
};
use crate::name::Name;
use crate::tensor::Tensor;
use crate::types::{Type, TypeConflict};

/// What is known of one output of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fact {
    /// The type.
    pub ty: Type,
    /// The elements, if the value is a small tensor of whole numbers that are known or symbolic.
    pub elements: Option<Arc<[Dim]>>,
}

/// The meaning of operators, as far as editing needs it. This crate knows no operator; `onnxpress-ops` implements it.
pub trait Semantics: Sync {
    /// What is known of the node's outputs, one fact a port, from what is known of its operands.
    ///
    /// # Errors
    /// Where the node contradicts its operator's definition.
    fn infer(&self, graph: &Graph, node: NodeId) -> Result<Vec<Fact>, InferError>;
}

/// Why a node makes no sense: its operands or attributes contradict its operator's definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{node}: {reason}")]
pub struct InferError {
    /// The node, as messages call it.
    pub node: String,
    /// What was found and what was expected.
    pub reason: String,
}

/// Why an edit was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The new node makes no sense.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// The replacement is of another type.
    #[error("`{old}` cannot be replaced by `{new}`: {conflict}")]
    Incompatible {
        /// The value that was to be replaced.
        old: String,
        /// The value that was to take its place.
        new: String,
        /// How they differ.
        conflict: TypeConflict,
    },
    /// The replacement depends on what it replaces, so the graph would have a cycle.
    #[error("`{old}` cannot be replaced by `{new}`, which is computed from it")]
    Circular {
        /// The value that was to be replaced.
        old: String,
        /// The value that was to take its place.
        new: String,
    },
}

enum Undo {
    Added(NodeId),
    Connected(NodeId, Slot, Option<ValueId>),
    Popped(NodeId, Option<ValueId>),
    Pushed(NodeId),
    Attrs(NodeId, Vec<Attr>),
    Constant(NodeId, Box<Constant>),
    Named(ValueId, Option<Name>),
    Operator(NodeId, Name, Name),
    Ports(NodeId, Vec<Port>),
    Fact(ValueId, Fact),
}

/// A transaction on one graph. Dropping it without [`commit`](Self::commit) takes everything back.
pub struct Edit<'g> {
    graph: &'g mut Graph,
    semantics: &'g dyn Semantics,
    origin: Arc<Origin>,
    place: Order,
    made: u32,
    undo: Vec<Undo>,
    doomed: Vec<NodeId>,
    touched: Touched,
    revision: u64,
    committed: bool,
}

/// What a committed edit did, for whoever keeps a worklist.
#[derive(Debug, Default)]
pub struct Touched {
    /// Vertices added, in the order of making.
    pub added: Vec<NodeId>,
    /// Readers of what was replaced, and vertices whose operands or attributes changed.
    pub changed: Vec<NodeId>,
    /// Producers that lost a reader; some may be dead now.
    pub orphaned: Vec<NodeId>,
    /// Nodes removed.
    pub removed: usize,
    /// Which they were. Nothing has these ids any more.
    pub gone: Vec<NodeId>,
}

impl<'g> Edit<'g> {
    /// Begins. New nodes are stamped with `rule` and the nodes it works on, the first of which also lends them its place.
    pub fn new(graph: &'g mut Graph, semantics: &'g dyn Semantics, rule: &'static str, from: &[NodeId]) -> Self {
        let mut names = Vec::new();
        for &id in from {
            if let Some(Vertex::Node(node)) = graph.get(id) {
                match (&node.origin, &node.name) {
                    (Some(origin), _) => names.extend(origin.from.iter().cloned()),
                    (None, Some(name)) => names.push(name.clone()),
                    (None, None) => names.extend(node.ports().iter().find_map(|port| port.name.clone())),
                }
            }
        }
        let place = from.first().map(|&id| graph.place(id)).unwrap_or_default();
        let revision = graph.revision();
        let origin = Arc::new(Origin { rule, from: names });
        Self {
            graph,
            semantics,
            origin,
            place,
            made: place.made,
            undo: Vec::new(),
            doomed: Vec::new(),
            touched: Touched::default(),
            revision,
            committed: false,
        }
    }

    /// The graph as it is in the middle of the edit.
    pub fn graph(&self) -> &Graph {
        self.graph
    }

    fn next_order(&mut self) -> Order {
        self.made = self.made.saturating_add(1);
        Order { file: self.place.file, made: self.made }
    }

    /// Adds a node. Its place is that of the first node the edit works on; its outputs' types are inferred at once.
    ///
    /// # Errors
    /// Where the node contradicts its operator's definition.
    pub fn add_node(&mut self, node: Node, operands: &[Option<ValueId>]) -> Result<NodeId, EditError> {
        self.add_holder(node, operands, &[])
    }

    /// Adds a node with subgraphs, whose captures are numbers in `implicit`. What is known inside of the subgraphs stays as it
    /// is; the outputs' types are inferred at once.
    ///
    /// # Errors
    /// Where the node contradicts its operator's definition.
    pub fn add_holder(
        &mut self,
        mut node: Node,
        operands: &[Option<ValueId>],
        implicit: &[Option<ValueId>],
    ) -> Result<NodeId, EditError> {
        node.order = self.next_order();
        node.origin = Some(Arc::clone(&self.origin));
        let id = self.graph.add_node(node, operands);
        self.undo.push(Undo::Added(id));
        self.touched.added.push(id);
        for &value in implicit {
            self.graph.push_slot(id, true, value);
        }
        self.infer(id)?;
        Ok(id)
    }

    /// Adds a node with one output and no omitted operand; answers the output.
    ///
    /// # Errors
    /// Where the node contradicts its operator's definition.
    pub fn add(&mut self, node: Node, operands: &[ValueId]) -> Result<ValueId, EditError> {
        let operands: Vec<_> = operands.iter().copied().map(Some).collect();
        Ok(self.add_node(node, &operands)?.port(0))
    }

    /// Adds a constant, to be written as an initializer (inside a function, as a node).
    pub fn add_constant(&mut self, name: Option<Name>, tensor: Tensor) -> ValueId {
        let order = self.next_order();
        let value = self.graph.add_constant(Constant {
            value: ConstantValue::Dense(tensor),
            port: Port { name, ..Port::default() },
            form: ConstantForm::Initializer,
            order,
        });
        self.undo.push(Undo::Added(value.node));
        self.touched.added.push(value.node);
        value
    }

    fn infer(&mut self, id: NodeId) -> Result<(), EditError> {
        let facts = self.semantics.infer(self.graph, id)?;
        for (port, fact) in (0u32..).zip(facts) {
            let value = id.port(port);
            let old = self.graph.port(value);
            let before = Fact { ty: old.ty.clone(), elements: old.elements.clone() };
            self.undo.push(Undo::Fact(value, before));
            self.graph.set_fact(value, fact.ty, fact.elements);
        }
        Ok(())
    }

    /// Makes operand `index` of a node read `value`, or nothing.
    pub fn set_operand(&mut self, id: NodeId, index: usize, value: Option<ValueId>) {
        while self.graph.node(id).is_some_and(|node| node.operand_count() <= index) {
            self.graph.push_slot(id, false, None);
            self.undo.push(Undo::Pushed(id));
        }
        self.connect(Use { node: id, slot: Slot::Operand(index as u32) }, value);
        self.touched.changed.push(id);
    }

    /// Makes one reading of a value read another.
    pub fn connect(&mut self, reading: Use, value: Option<ValueId>) {
        let before = self.graph.connect(reading.node, reading.slot, value);
        self.undo.push(Undo::Connected(reading.node, reading.slot, before));
        if let Some(before) = before {
            self.touched.orphaned.push(before.node);
        }
    }

    /// Drops the operands of a node from number `count` on.
    pub fn truncate_operands(&mut self, id: NodeId, count: usize) {
        while self.graph.node(id).is_some_and(|node| node.operand_count() > count) {
            let before = self.graph.pop_operand(id);
            self.undo.push(Undo::Popped(id, before));
            if let Some(before) = before {
                self.touched.orphaned.push(before.node);
            }
        }
        self.touched.changed.push(id);
    }

    /// Sets an attribute of a node, in place of one of the same name. Infer its outputs again with [`refresh`](Self::refresh).
    pub fn set_attr(&mut self, id: NodeId, attr: Attr) {
        let attrs = &mut self.graph.node_mut(id).attrs;
        let before = attrs.clone();
        match attrs.iter_mut().find(|old| old.name == attr.name) {
            Some(old) => *old = attr,
            None => attrs.push(attr),
        }
        self.undo.push(Undo::Attrs(id, before));
        self.touched.changed.push(id);
    }

    /// Removes an attribute of a node, if it has it.
    pub fn remove_attr(&mut self, id: NodeId, name: &str) {
        let attrs = &mut self.graph.node_mut(id).attrs;
        let before = attrs.clone();
        attrs.retain(|attr| attr.name != name);
        self.undo.push(Undo::Attrs(id, before));
        self.touched.changed.push(id);
    }

    /// Makes a node an application of another operator, its operands and attributes aside.
    pub fn set_operator(&mut self, id: NodeId, domain: Name, op_type: Name) {
        let node = self.graph.node_mut(id);
        let before = (std::mem::replace(&mut node.domain, domain), std::mem::replace(&mut node.op_type, op_type));
        self.undo.push(Undo::Operator(id, before.0, before.1));
        self.touched.changed.push(id);
    }

    /// Leaves an optional output out that nothing reads; ones left out at the end of the list go altogether, but the first.
    pub fn omit_output(&mut self, value: ValueId) {
        if self.graph.readers(value).next().is_some() {
            return;
        }
        let node = self.graph.node_mut(value.node);
        let before = node.ports().to_vec();
        let mut ports = before.clone();
        if let Some(port) = ports.get_mut(value.port as usize) {
            *port = Port { omitted: true, ..Port::default() };
        }
        let kept = ports.iter().rposition(|port| !port.omitted).map_or(1, |last| last + 1);
        ports.truncate(kept);
        node.set_ports(ports);
        self.undo.push(Undo::Ports(value.node, before));
        self.touched.changed.push(value.node);
    }

    /// Writes a constant in another way: as an initializer, or as a node.
    pub fn set_form(&mut self, id: NodeId, form: ConstantForm) {
        let constant = self.graph.constant_mut(id);
        let before = constant.clone();
        constant.form = form;
        self.undo.push(Undo::Constant(id, Box::new(before)));
    }

    /// Infers the outputs of a node anew, after its operands or attributes were changed.
    ///
    /// # Errors
    /// Where the node contradicts its operator's definition now.
    pub fn refresh(&mut self, id: NodeId) -> Result<(), EditError> {
        self.infer(id)
    }

    /// Infers the outputs of a node anew whose operator, operands or attributes were changed so that it gives the same as
    /// before. What was known of them holds on.
    ///
    /// # Errors
    /// Where the node contradicts its operator's definition now, or gives something that it cannot have given before.
    pub fn restate(&mut self, id: NodeId) -> Result<(), EditError> {
        let before: Vec<Fact> = self.facts(id);
        self.infer(id)?;
        for (port, (old, new)) in (0u32..).zip(before.into_iter().zip(self.facts(id))) {
            let value = id.port(port);
            let merged = old.ty.merge(&new.ty).map_err(|conflict| {
                let label = self.graph.label(value);
                EditError::Incompatible { old: label.clone(), new: label, conflict }
            })?;
            self.graph.set_fact(value, merged, new.elements.or(old.elements));
        }
        Ok(())
    }

    fn facts(&self, id: NodeId) -> Vec<Fact> {
        let fact = |port: &Port| Fact { ty: port.ty.clone(), elements: port.elements.clone() };
        self.graph.vertex(id).ports().iter().map(fact).collect()
    }

    /// Puts another tensor in the place of a constant's, for every reader of it.
    pub fn set_constant(&mut self, id: NodeId, tensor: Tensor) {
        if let Vertex::Constant(constant) = self.graph.vertex(id) {
            self.undo.push(Undo::Constant(id, constant.clone()));
        }
        self.graph.set_constant(id, tensor);
        self.touched.changed.push(id);
    }

    /// Makes every reader of `old` read `new`. The name of `old` goes with it where `new` has none of its own, and always where
    /// a graph output gives it out.
    ///
    /// # Errors
    /// If the two cannot be of the same type.
    pub fn replace(&mut self, old: ValueId, new: ValueId) -> Result<(), EditError> {
        let labels = |graph: &Graph| (graph.label(old), graph.label(new));
        if old == new {
            return Ok(());
        }
        let merged = self.graph.ty(old).merge(self.graph.ty(new)).map_err(|conflict| {
            let (old, new) = labels(self.graph);
            EditError::Incompatible { old, new, conflict }
        })?;
        // What was known of the old value holds for the new one.
        let port = self.graph.port(new);
        let before = Fact { ty: port.ty.clone(), elements: port.elements.clone() };
        let elements = before.elements.clone().or_else(|| self.graph.port(old).elements.clone());
        if merged != before.ty || elements != before.elements {
            self.undo.push(Undo::Fact(new, before));
            self.graph.set_fact(new, merged, elements);
        }
        let readers: Vec<_> = self.graph.readers(old).collect();
        for reading in readers {
            if reading.node == new.node {
                let (old, new) = labels(self.graph);
                return Err(EditError::Circular { old, new });
            }
            self.connect(reading, Some(new));
            self.touched.changed.push(reading.node);
        }
        self.hand_over_name(old, new);
        self.touched.orphaned.push(old.node);
        Ok(())
    }

    /// A value that a graph output gives out bears the output's name; one that lost its output, none.
    fn hand_over_name(&mut self, old: ValueId, new: ValueId) {
        let given_out = self.graph.readers(new).filter_map(|reading| match self.graph.vertex(reading.node) {
            Vertex::Output(output) => Some(output.name.clone()),
            _ => None,
        });
        let mut given_out: Vec<_> = given_out.collect();
        given_out.sort();
        // Inputs and captures have names that others know them by.
        let nameable = match self.graph.vertex(new.node) {
            Vertex::Node(_) => true,
            Vertex::Constant(constant) => !matches!(constant.form, ConstantForm::ListedAsInput { .. }),
            _ => false,
        };
        let own = self.graph.port(new).name.clone();
        let name = match given_out.first() {
            Some(name) if nameable => own.clone().filter(|own| given_out.contains(own)).or_else(|| Some(name.clone())),
            _ => own.clone().or_else(|| self.graph.port(old).name.clone()),
        };
        if name != own {
            self.rename(new, name.clone());
        }
        if self.graph.port(old).name == name {
            self.rename(old, None);
        }
    }

    /// Gives a value another label.
    pub fn rename(&mut self, value: ValueId, name: Option<Name>) {
        self.undo.push(Undo::Named(value, self.graph.port(value).name.clone()));
        self.graph.set_name(value, name);
    }

    /// Removes a vertex at the commit. Nothing may read it then.
    pub fn remove(&mut self, id: NodeId) {
        self.doomed.push(id);
    }

    /// Ends the edit and answers what it touched.
    pub fn commit(mut self) -> Touched {
        self.committed = true;
        self.undo.clear();
        for id in std::mem::take(&mut self.doomed) {
            if self.graph.contains(id) {
                let operands: Vec<_> = self.graph.reads(id).map(|value| value.node).collect();
                self.graph.remove(id);
                self.touched.removed += 1;
                self.touched.gone.push(id);
                self.touched.orphaned.extend(operands);
            }
        }
        let mut touched = std::mem::take(&mut self.touched);
        touched.added.retain(|&id| self.graph.contains(id));
        for list in [&mut touched.changed, &mut touched.orphaned] {
            list.sort_unstable();
            list.dedup();
            list.retain(|&id| self.graph.contains(id));
        }
        if self.graph.revision() == self.revision {
            return touched;
        }
        self.graph.touch();
        touched
    }
}

impl Drop for Edit<'_> {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Added(id) => {
                    self.graph.remove(id);
                }
                Undo::Connected(id, slot, before) => {
                    self.graph.connect(id, slot, before);
                }
                Undo::Popped(id, before) => {
                    self.graph.push_slot(id, false, before);
                }
                Undo::Pushed(id) => {
                    self.graph.pop_operand(id);
                }
                Undo::Attrs(id, before) => self.graph.node_mut(id).attrs = before,
                Undo::Constant(id, before) => *self.graph.constant_mut(id) = *before,
                Undo::Named(value, before) => self.graph.set_name(value, before),
                Undo::Operator(id, domain, op_type) => {
                    let node = self.graph.node_mut(id);
                    node.domain = domain;
                    node.op_type = op_type;
                }
                Undo::Ports(id, before) => self.graph.node_mut(id).set_ports(before),
                Undo::Fact(value, before) => self.graph.set_fact(value, before.ty, before.elements),
            }
        }
        // What was taken back never was a change.
        self.graph.set_revision(self.revision);
    }
}
