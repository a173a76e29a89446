//! Gives every value its type, and puts casts where types meet.

use std::collections::{HashMap, HashSet};

use onnxpress_ir::graph::Graph;
use onnxpress_ir::{
    Attr, AttrValue, Carried, Constant, ConstantForm, ConstantValue, Node, NodeId, Port, Slot, Tensor, Type, Use,
    ValueId, Vertex,
};
use onnxpress_ops::node::NodeCx;

use super::decide::{self, Decision, Types, is_constant, is_converted, operand_converts, output_converts};
use super::rules::{Fit, fit};
use super::weights;

/// Bytes of a constant from which on there is only one of it.
const LARGE: usize = 1024;

/// Which values of a graph's interface are of the narrower type.
#[derive(Debug, Clone, Default)]
pub(super) struct Interface {
    /// Its inputs.
    pub(super) inputs: bool,
    /// Its outputs.
    pub(super) outputs: bool,
    /// Of each implicit operand of the node around it, whether it is.
    pub(super) captures: Vec<bool>,
}

/// What was converted.
#[derive(Debug, Default)]
pub(super) struct Converted {
    pub(super) nodes: usize,
    pub(super) constants: usize,
    /// What the user should know.
    pub(super) words: Vec<String>,
}

/// A graph on its way from one type to the other.
struct Conversion<'a> {
    types: Types,
    decision: &'a Decision,
    /// Values that are of the narrower type.
    narrow: HashSet<ValueId>,
    /// Values in the other type than they have.
    casts: HashMap<ValueId, ValueId>,
}

/// Converts a graph and all inside of it. In `witness`, the same graph, constants are rounded.
pub(super) fn graph(
    graph: &mut Graph,
    mut witness: Option<&mut Graph>,
    decision: &Decision,
    types: Types,
    io: &Interface,
    done: &mut Converted,
) {
    let mut it = Conversion { types, decision, narrow: HashSet::new(), casts: HashMap::new() };
    it.interface(graph, io);
    let nodes: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
    for &id in &nodes {
        it.outputs_of(graph, id);
    }
    let constants: Vec<NodeId> = graph.constants().map(|(id, _)| id).collect();
    for id in constants {
        it.constant(graph, witness.as_deref_mut(), id, io, done);
    }
    for &id in &nodes {
        it.operands_of(graph, id);
    }
    let outputs = graph.outputs().to_vec();
    for id in outputs {
        it.output(graph, id, io.outputs);
    }
    for &id in &nodes {
        if decision.is_narrow(id) {
            done.nodes += 1;
            it.attributes(graph, id);
        }
        it.bodies(graph, witness.as_deref_mut(), id, done);
    }
    it.declared(graph);
}

impl Conversion<'_> {
    /// The type of a value in the narrower type.
    fn retyped(&self, ty: &Type, narrow: bool) -> Type {
        let dtype = if narrow { self.types.to } else { self.types.from };
        Type::tensor(dtype, ty.shape().cloned())
    }

    fn set_narrow(&mut self, graph: &mut Graph, value: ValueId) {
        let ty = self.retyped(graph.ty(value), true);
        graph.set_fact(value, ty, None);
        self.narrow.insert(value);
    }

    fn interface(&mut self, graph: &mut Graph, io: &Interface) {
        let inputs: Vec<NodeId> = graph.inputs().to_vec();
        for id in inputs.into_iter().filter(|_| io.inputs) {
            if is_converted(graph, id.port(0), self.types) && graph.input(id).default.is_none() {
                self.set_narrow(graph, id.port(0));
                let declared = &graph.input(id).declared;
                if declared.dtype().is_some() {
                    let declared = self.retyped(declared, true);
                    graph.input_mut(id).declared = declared;
                }
            }
        }
        let captures: Vec<(NodeId, u32)> = graph.captures().map(|(id, capture)| (id, capture.operand)).collect();
        for (id, operand) in captures {
            if io.captures.get(operand as usize) == Some(&true) {
                self.set_narrow(graph, id.port(0));
            }
        }
    }

    /// What a narrow node gives is narrow.
    fn outputs_of(&mut self, graph: &mut Graph, id: NodeId) {
        if !self.decision.is_narrow(id) {
            return;
        }
        let Some(cx) = NodeCx::new(graph, id) else { return };
        let converted: Vec<ValueId> = (0..cx.node.port_count())
            .filter(|&port| output_converts(&cx, port, self.types))
            .map(|port| id.port(port as u32))
            .filter(|&value| is_converted(graph, value, self.types))
            .collect();
        converted.into_iter().for_each(|value| self.set_narrow(graph, value));
    }

    /// Whether a reading wants the narrower type; `None` where it takes what it gets.
    fn wants(&self, graph: &Graph, reading: Use, io: &Interface) -> Option<bool> {
        let Slot::Operand(slot) = reading.slot else { return None };
        let Some(cx) = NodeCx::new(graph, reading.node) else { return Some(io.outputs) };
        if !self.decision.is_narrow(reading.node) {
            return Some(false);
        }
        Some(cx.node.has_subgraphs() || operand_converts(&cx, slot as usize, self.types))
    }

    /// Whether a reading is that of a weight, by a layer that computes in the wider type for the range of its values alone.
    fn is_guarded_weight(&self, graph: &Graph, reading: Use) -> bool {
        let Slot::Operand(slot) = reading.slot else { return false };
        let Some(cx) = NodeCx::new(graph, reading.node) else { return false };
        self.decision.is_guarded(reading.node) && decide::weights(&cx).contains(&(slot as usize))
    }

    /// A constant becomes narrow where its readers want it so, or where it is a large weight of layers that compute in the wider type,
    /// which a `Cast` makes of it; a small one that is wanted both ways is there twice.
    fn constant(
        &mut self,
        graph: &mut Graph,
        witness: Option<&mut Graph>,
        id: NodeId,
        io: &Interface,
        done: &mut Converted,
    ) {
        let value = id.port(0);
        if !is_converted(graph, value, self.types) || !is_constant(graph, value) {
            return;
        }
        let Some(tensor) = graph.constant(value).cloned() else { return };
        let readers: Vec<Use> = graph.readers(value).collect();
        let wants: Vec<Option<bool>> = readers.iter().map(|&reading| self.wants(graph, reading, io)).collect();
        let (narrow, wide) = (wants.contains(&Some(true)), wants.contains(&Some(false)));
        let captured = wants.contains(&None);
        let large = tensor.byte_len() >= LARGE;
        let stored = large && !narrow && readers.iter().all(|&reading| self.is_guarded_weight(graph, reading));
        if !(narrow || captured && large && !wide || stored) {
            return;
        }
        let label = graph.label(value);
        let fits = fit(&tensor, self.types, &label);
        if matches!(fits, Fit::Not(_)) || stored && !matches!(fits, Fit::Well { lost: 0, tiny: false }) {
            return;
        }
        if let Fit::Well { lost: lost @ 1.., .. } = fits {
            done.words.push(format!("`{label}`: {lost} of {} elements become 0 in {}", tensor.len(), self.types.to));
        }
        let Ok(converted) = weights::converted(&tensor, self.types.to) else { return };
        if let (Some(witness), Ok(rounded)) = (witness, weights::rounded(&tensor, self.types.to))
            && witness.contains(id)
        {
            witness.set_constant(id, rounded);
        }
        done.constants += 1;
        if wide && !large {
            let copy = self.copy(graph, id, converted);
            let own = readers.iter().zip(&wants).filter(|(_, wants)| **wants == Some(true));
            own.for_each(|(&reading, _)| graph.read_instead(reading, copy));
            self.narrow.insert(copy);
            return;
        }
        graph.set_constant(id, converted);
        self.narrow.insert(value);
    }

    fn copy(&self, graph: &mut Graph, id: NodeId, tensor: Tensor) -> ValueId {
        let name = graph.port(id.port(0)).name.as_ref().map(|name| name.suffixed(&format!("_{}", self.types.to)));
        let (form, order) = match graph.vertex(id) {
            Vertex::Constant(constant) => {
                let form = match &constant.form {
                    ConstantForm::Node { .. } => ConstantForm::Node { name: None, carried: Carried::none() },
                    _ => ConstantForm::Initializer,
                };
                (form, constant.order)
            }
            _ => (ConstantForm::Initializer, graph.place(id)),
        };
        let port = Port { name, ..Port::default() };
        graph.add_constant(Constant { value: ConstantValue::Dense(tensor), port, form, order })
    }

    /// Gives each operand of a node the type that it wants.
    fn operands_of(&mut self, graph: &mut Graph, id: NodeId) {
        let io = Interface::default();
        let count = graph.node(id).map_or(0, Node::operand_count) as u32;
        for slot in 0..count {
            let reading = Use { node: id, slot: Slot::Operand(slot) };
            let Some(value) = graph.operand(id, slot as usize) else { continue };
            if let Some(wants) = self.wants(graph, reading, &io) {
                self.meet(graph, reading, value, wants);
            }
        }
    }

    /// Makes a reading read the value in the type that it wants.
    fn meet(&mut self, graph: &mut Graph, reading: Use, value: ValueId, wants: bool) {
        let is_narrow = self.narrow.contains(&value);
        let is_wide = !is_narrow && is_converted(graph, value, self.types);
        if wants && is_wide || !wants && is_narrow {
            let cast = self.cast(graph, value, wants);
            graph.read_instead(reading, cast);
        }
    }

    /// The value in the other type; the cast stands behind its producer.
    fn cast(&mut self, graph: &mut Graph, value: ValueId, narrow: bool) -> ValueId {
        if let Some(&known) = self.casts.get(&value) {
            return known;
        }
        let to = if narrow { self.types.to } else { self.types.from };
        let name = graph.port(value).name.as_ref().map(|name| name.suffixed(&format!("_{to}")));
        let ty = self.retyped(graph.ty(value), narrow);
        let mut node =
            Node::new("Cast", 1).with(Attr::int("to", to.code())).with_ports([Port { name, ty, ..Port::default() }]);
        node.order = graph.place(value.node);
        node.order.made = node.order.made.saturating_add(1);
        let cast = graph.add_node(node, &[Some(value)]).port(0);
        self.casts.insert(value, cast);
        if narrow {
            self.narrow.insert(cast);
        }
        cast
    }

    /// An output has the type of the interface, and keeps its name.
    fn output(&mut self, graph: &mut Graph, id: NodeId, narrow: bool) {
        let Some(value) = graph.operand(id, 0) else { return };
        let converts = self.narrow.contains(&value) || is_converted(graph, value, self.types);
        if !converts {
            return;
        }
        if self.narrow.contains(&value) != narrow {
            let computed = matches!(graph.get(value.node), Some(Vertex::Node(_)));
            let cast = self.cast(graph, value, narrow);
            graph.read_instead(Use { node: id, slot: Slot::Operand(0) }, cast);
            // The output's name goes to what is given out now.
            let name = graph.output(id).name.clone();
            if computed && graph.port(value).name.as_ref() == Some(&name) {
                let own = if narrow { self.types.from } else { self.types.to };
                graph.set_name(value, Some(name.suffixed(&format!("_{own}"))));
                graph.set_name(cast, Some(name));
            }
        }
        if narrow && graph.output(id).declared.dtype().is_some() {
            let declared = self.retyped(&graph.output(id).declared, true);
            graph.output_mut(id).declared = declared;
        }
    }

    /// Types that stand in attributes.
    fn attributes(&self, graph: &mut Graph, id: NodeId) {
        let Some(node) = graph.node(id) else { return };
        let gives_narrow = (0..node.port_count() as u32).any(|port| self.narrow.contains(&id.port(port)));
        if !gives_narrow {
            return;
        }
        if node.is("Cast") {
            let to = self.types.to.code();
            let attrs = &mut graph.node_mut(id).attrs;
            attrs.iter_mut().filter(|attr| attr.name == "to").for_each(|attr| attr.value = AttrValue::Int(to));
        } else if node.is("ConstantOfShape") {
            let filling = match node.attr("value") {
                Some(AttrValue::Tensor(tensor)) => weights::converted(tensor, self.types.to).ok(),
                _ => Tensor::from_f64s(self.types.to, &[1], &[0.0]).ok(),
            };
            let Some(filling) = filling else { return };
            let attrs = &mut graph.node_mut(id).attrs;
            attrs.retain(|attr| attr.name != "value");
            attrs.push(Attr::new("value", AttrValue::Tensor(filling)));
        }
    }

    /// The graphs inside of a node, whose interface is of the type that the node has.
    fn bodies(&self, graph: &mut Graph, witness: Option<&mut Graph>, id: NodeId, done: &mut Converted) {
        let bodies = self.decision.bodies(id);
        if bodies.is_empty() {
            return;
        }
        let narrow = self.decision.is_narrow(id);
        let captures: Vec<bool> =
            graph.implicit_operands(id).map(|value| value.is_some_and(|value| self.narrow.contains(&value))).collect();
        let io = Interface { inputs: narrow, outputs: narrow, captures };
        let mut beside: Vec<Option<&mut Graph>> = match witness {
            Some(witness) => witness.subgraphs_mut(id).map(Some).collect(),
            None => bodies.iter().map(|_| None).collect(),
        };
        for ((body, decision), witness) in graph.subgraphs_mut(id).zip(bodies).zip(beside.iter_mut()) {
            self::graph(body, witness.as_deref_mut(), decision, self.types, &io, done);
        }
    }

    /// What the file declares of values in between.
    fn declared(&self, graph: &mut Graph) {
        let mut entries = std::mem::take(&mut graph.declared);
        for entry in &mut entries {
            let Some(value) = entry.value.filter(|value| graph.contains(value.node)) else { continue };
            if self.narrow.contains(&value) && entry.ty.dtype() == Some(self.types.from) {
                entry.ty = self.retyped(&entry.ty, true);
            }
        }
        graph.declared = entries;
    }
}
