//! Names for a file: one for every value, none twice, those of the interface where the interface has them.
//!
//! In the graph a name is only a label, so passes leave values without one, and labels that stand twice. A file knows values
//! by nothing else. A [`NamePlan`] says how each value is to be called in a file or text, and changes nothing;
//! [`assign_names`] carries it out. The rules, the strongest first:
//!
//! 1. A captured value is called inside a subgraph as it is called outside.
//! 2. Inputs and outputs of the main graph and of functions keep their names; a computed value that an output gives out has
//!    the output's name. (Inputs and outputs of subgraphs go by position. They keep their names unless rule 1 takes them.)
//! 3. Names from the file win over names that passes gave; among equals, the earlier in the file. Of constants, one that is
//!    read wins over one that is not: a file may have two of one name, of which only the last counts.
//! 4. Who loses a name or has none gets a new one, derived from the old one, the node's own or its operator's, and equal to
//!    no name in the model. Nothing here depends on anything but the model, so equal models get equal names.
//!
//! A value has one name, so an output that gives out what has another name (an input, an initializer, a captured value, or
//! what another output gives out too) needs a node in between. That is the standard's `Identity`, and together with
//! `Constant` it is all that this crate knows of operators: both are ways to write a value, not to compute one.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::graph::{ConstantForm, Graph, Node, NodeId, Order, Port, Slot, ValueId, Vertex};
use crate::model::Model;
use crate::name::Name;

/// How the values of a graph, and of its subgraphs, are called in a file, as far as that differs from their labels.
#[derive(Clone, Debug, Default)]
pub struct NamePlan {
    values: HashMap<ValueId, Name>,
    outputs: HashMap<NodeId, Name>,
    identities: Vec<NodeId>,
    nested: BTreeMap<NodeId, Vec<NamePlan>>,
}

impl NamePlan {
    /// The plan of a graph that is not part of a model.
    pub fn of_graph(graph: &Graph) -> Self {
        let mut taken = Taken::default();
        taken.enter(graph);
        plan(graph, None, &mut taken)
    }

    /// The plans of a model: of the main graph, and of the functions in order.
    pub fn of_model(model: &Model) -> (Self, Vec<Self>) {
        let mut taken = Taken::default();
        taken.enter(&model.graph);
        model.functions.iter().for_each(|function| taken.enter(&function.body));
        let main = plan(&model.graph, None, &mut taken);
        (main, model.functions.iter().map(|function| plan(&function.body, None, &mut taken)).collect())
    }

    /// The name of a value of the graph that the plan was made for; empty for an output left out.
    pub fn value<'a>(&'a self, graph: &'a Graph, value: ValueId) -> &'a [u8] {
        match self.values.get(&value) {
            Some(name) => name.as_bytes(),
            None => label(graph.port(value)).map_or(b"", Name::as_bytes),
        }
    }

    /// The name of a graph output.
    pub fn output<'a>(&'a self, graph: &'a Graph, output: NodeId) -> &'a [u8] {
        self.outputs.get(&output).unwrap_or(&graph.output(output).name).as_bytes()
    }

    /// The outputs that give out a value of another name, and so need an `Identity` in between.
    pub fn identities(&self) -> &[NodeId] {
        &self.identities
    }

    /// The plan of a node's subgraph, by its number among them.
    pub fn nested(&self, node: NodeId, index: usize) -> &Self {
        static EMPTY: std::sync::OnceLock<NamePlan> = std::sync::OnceLock::new();
        self.nested.get(&node).and_then(|plans| plans.get(index)).unwrap_or_else(|| EMPTY.get_or_init(Self::default))
    }

    /// Whether every value, inside subgraphs too, is called by its label already.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.outputs.is_empty() && self.identities.is_empty() && self.nested.is_empty()
    }
}

/// What [`assign_names`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Assigned {
    /// Values that got a name, or another one.
    pub named: usize,
    /// Nodes of operator `Identity` that were put between a value and an output of another name.
    pub identities: usize,
}

/// Calls every value of a model as a file can: see the [module's rules](self). A model that is so already is not changed, and
/// its revision stays.
pub fn assign_names(model: &mut Model) -> Assigned {
    let (main, functions) = NamePlan::of_model(model);
    let mut done = Assigned::default();
    carry_out(&mut model.graph, main, &mut done);
    for (function, plan) in model.functions.iter_mut().zip(functions) {
        carry_out(&mut function.body, plan, &mut done);
    }
    done
}

fn carry_out(graph: &mut Graph, plan: NamePlan, done: &mut Assigned) {
    done.named += plan.values.len();
    for (value, name) in plan.values {
        graph.set_name(value, Some(name));
    }
    for (output, name) in plan.outputs {
        graph.output_mut(output).name = name;
    }
    let mut made: HashMap<(ValueId, Name), ValueId> = HashMap::new();
    for output in plan.identities {
        let Some(value) = graph.operand(output, 0) else { continue };
        let name = graph.output(output).name.clone();
        let given = *made.entry((value, name.clone())).or_insert_with(|| {
            done.identities += 1;
            let port = Port { name: Some(name), omitted: false, ..graph.port(value).clone() };
            let mut identity = Node::new("Identity", 0).with_ports([port]);
            // Behind all others, so that it stands after whatever it reads.
            identity.order = Order { file: u32::MAX, made: 0 };
            graph.add_node(identity, &[Some(value)]).port(0)
        });
        graph.connect(output, Slot::Operand(0), Some(given));
    }
    for (node, plans) in plan.nested {
        for (inner, plan) in graph.subgraphs_mut(node).zip(plans) {
            carry_out(inner, plan, done);
        }
    }
}

fn label(port: &Port) -> Option<&Name> {
    port.name.as_ref().filter(|name| !name.is_empty() && !port.omitted)
}

/// Every name in the model, so that no new one is equal to any.
#[derive(Default)]
struct Taken {
    names: HashSet<Name>,
    /// Labels that computed values and constants have been called by so far.
    claimed: HashSet<Name>,
    /// For each name that new ones were derived from, the number of the last.
    numbers: HashMap<Name, u32>,
}

impl Taken {
    fn enter(&mut self, graph: &Graph) {
        for (_, vertex) in graph.vertices() {
            self.names.extend(vertex.ports().iter().filter_map(label).cloned());
            match vertex {
                Vertex::Output(output) => {
                    self.names.insert(output.name.clone());
                }
                Vertex::Node(node) => node.subgraphs().for_each(|inner| self.enter(inner)),
                _ => {}
            }
        }
    }

    fn derive(&mut self, base: &Name) -> Name {
        if self.names.insert(base.clone()) {
            return base.clone();
        }
        let number = self.numbers.entry(base.clone()).or_default();
        loop {
            *number += 1;
            let name = base.suffixed(&format!("_{number}"));
            if self.names.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// The names of one graph while they are given away.
struct Level<'g> {
    graph: &'g Graph,
    plan: NamePlan,
    /// Who has a name; `None` if an `Identity` will.
    holders: HashMap<Name, Option<ValueId>>,
}

/// The plan of a graph; `outer` has the names of what a subgraph may capture.
fn plan(graph: &Graph, outer: Option<&[Name]>, taken: &mut Taken) -> NamePlan {
    let mut level = Level { graph, plan: NamePlan::default(), holders: HashMap::with_capacity(graph.vertex_count()) };
    level.name_captures(outer, taken);
    level.name_inputs(outer.is_some(), taken);
    let given_out = level.name_outputs(outer.is_some(), taken);
    for (made, value) in level.others(&given_out) {
        level.name_anew(value, made, taken);
    }
    level.name_subgraphs(taken);
    level.plan
}

impl Level<'_> {
    /// Gives a name to a value unless another one has it.
    fn give(&mut self, value: ValueId, name: &Name) -> bool {
        if self.holders.contains_key(name) {
            return false;
        }
        self.holders.insert(name.clone(), Some(value));
        if label(self.graph.port(value)) != Some(name) {
            self.plan.values.insert(value, name.clone());
        }
        true
    }

    /// Lets a value keep its label if no other has it, else gives it a new name.
    fn name(&mut self, value: ValueId, taken: &mut Taken) {
        let own = label(self.graph.port(value));
        if own.is_some_and(|name| self.give(value, name)) {
            return;
        }
        let name = taken.derive(&own.cloned().unwrap_or_else(|| self.base(value)));
        self.give(value, &name);
    }

    /// The same for a value whose label a pass may have made: in graphs inside of one another, where files hide one name behind
    /// another, passes do not.
    fn name_anew(&mut self, value: ValueId, made: bool, taken: &mut Taken) {
        let own = label(self.graph.port(value)).cloned();
        let Some(own) = own.filter(|own| !taken.claimed.insert(own.clone()) && made) else {
            self.name(value, taken);
            return;
        };
        let name = taken.derive(&own);
        self.give(value, &name);
    }

    /// What the name of a value without a label is derived from.
    fn base(&self, value: ValueId) -> Name {
        match self.graph.vertex(value.node) {
            Vertex::Node(node) => match node.name.as_ref().filter(|name| !name.is_empty()) {
                Some(name) if node.port_count() == 1 => name.suffixed("_output"),
                Some(name) => name.suffixed(&format!("_output_{}", value.port)),
                None if node.op_type.is_empty() => Name::from("value"),
                None => Name::from_bytes(node.op_type.as_bytes().to_ascii_lowercase().into()),
            },
            Vertex::Constant(constant) => match &constant.form {
                ConstantForm::Node { name: Some(name), .. } if !name.is_empty() => name.suffixed("_output"),
                _ => Name::from("constant"),
            },
            Vertex::Input(_) => Name::from("input"),
            Vertex::Capture(_) => Name::from("captured"),
            Vertex::Output(_) => Name::from("output"),
        }
    }

    fn name_captures(&mut self, outer: Option<&[Name]>, taken: &mut Taken) {
        for (id, capture) in self.graph.captures() {
            let value = id.port(0);
            let outside = outer.and_then(|names| names.get(capture.operand as usize)).filter(|name| !name.is_empty());
            match outside.or(label(&capture.port)) {
                None => self.name(value, taken),
                // Two vertices may capture one value; both have its name.
                Some(name) if !self.give(value, name) && label(&capture.port) != Some(name) => {
                    self.plan.values.insert(value, name.clone());
                }
                Some(_) => {}
            }
        }
    }

    fn name_inputs(&mut self, in_subgraph: bool, taken: &mut Taken) {
        let listed =
            self.graph.constants().filter(|(_, constant)| matches!(constant.form, ConstantForm::ListedAsInput { .. }));
        let all: Vec<_> = self.graph.inputs().iter().copied().chain(listed.map(|(id, _)| id)).collect();
        for id in all {
            let value = id.port(0);
            match label(self.graph.port(value)) {
                // A name that the interface has twice is for the verifier to report.
                Some(name) if !in_subgraph => {
                    self.holders.entry(name.clone()).or_insert(Some(value));
                }
                _ => self.name(value, taken),
            }
        }
    }

    /// Names what outputs give out, and plans an `Identity` where that is not possible. Answers the values that are named.
    fn name_outputs(&mut self, in_subgraph: bool, taken: &mut Taken) -> HashSet<ValueId> {
        let graph = self.graph;
        let read = |(place, &output): (usize, &NodeId)| Some((place, output, graph.operand(output, 0)?));
        let mut outputs: Vec<_> = graph.outputs().iter().enumerate().filter_map(read).collect();
        // Of several outputs that give out one value, the one whose name it has already comes first.
        outputs.sort_by_key(|&(_, output, value)| label(graph.port(value)) != Some(&graph.output(output).name));
        let mut given_out: HashMap<ValueId, Name> = HashMap::new();
        let mut without = Vec::new();
        for (place, output, value) in outputs {
            let name = &graph.output(output).name;
            let other = match given_out.get(&value) {
                Some(given) => Some(given.clone()),
                None => self.fixed_name(value, name),
            };
            match other {
                Some(other) if other == *name => {}
                Some(_) => without.push((place, output, name)),
                None => {
                    let name = self.output_name(output, name, in_subgraph, taken);
                    if !self.give(value, &name) && label(graph.port(value)) != Some(&name) {
                        // Only two outputs, or an output and an input, of one name can do that; the verifier reports them.
                        self.plan.values.insert(value, name.clone());
                    }
                    given_out.insert(value, name);
                }
            }
        }
        without.sort_unstable_by_key(|&(place, ..)| place);
        for (_, output, name) in without {
            let name = self.output_name(output, name, in_subgraph, taken);
            self.holders.entry(name).or_insert(None);
            self.plan.identities.push(output);
        }
        given_out.into_keys().collect()
    }

    /// The name of an output; in a subgraph a new one, if a captured value has it.
    fn output_name(&mut self, output: NodeId, name: &Name, in_subgraph: bool, taken: &mut Taken) -> Name {
        if !in_subgraph || !self.holders.contains_key(name) {
            return name.clone();
        }
        let new = taken.derive(name);
        self.plan.outputs.insert(output, new.clone());
        new
    }

    /// The name of a value that cannot be called after an output. A constant can only where that is its name already: people
    /// know weights by name.
    fn fixed_name(&self, value: ValueId, output: &Name) -> Option<Name> {
        let own = || label(self.graph.port(value)).cloned();
        match self.graph.vertex(value.node) {
            Vertex::Input(_) | Vertex::Capture(_) => self.plan.values.get(&value).cloned().or_else(own),
            Vertex::Constant(constant) => match constant.form {
                ConstantForm::ListedAsInput { .. } => self.plan.values.get(&value).cloned().or_else(own),
                ConstantForm::Initializer => own().filter(|name| name != output),
                ConstantForm::Node { .. } => None,
            },
            _ => None,
        }
    }

    /// The constants and results that are not named yet, and whether a pass made them: those of the file first, each kind in
    /// order.
    fn others(&self, named: &HashSet<ValueId>) -> Vec<(bool, ValueId)> {
        let mut others = Vec::new();
        for (id, vertex) in self.graph.vertices() {
            let (made, idle, order) = match vertex {
                Vertex::Constant(constant) if !matches!(constant.form, ConstantForm::ListedAsInput { .. }) => {
                    (constant.order.made > 0, !self.graph.is_read(id), constant.order)
                }
                Vertex::Node(node) => (node.origin.is_some() || node.order.made > 0, false, node.order),
                _ => continue,
            };
            let is_node = matches!(vertex, Vertex::Node(_));
            for (index, port) in (0u32..).zip(vertex.ports()) {
                if !port.omitted && !named.contains(&id.port(index)) {
                    others.push((made, idle, is_node, order, id.port(index)));
                }
            }
        }
        others.sort_unstable();
        others.into_iter().map(|(made, .., value)| (made, value)).collect()
    }

    fn name_subgraphs(&mut self, taken: &mut Taken) {
        for (id, node) in self.graph.nodes().filter(|(_, node)| node.has_subgraphs()) {
            let name = |value| Name::from_bytes(self.plan.value(self.graph, value).to_vec().into());
            let outer: Vec<_> =
                self.graph.implicit_operands(id).map(|value| value.map(name).unwrap_or_default()).collect();
            let plans: Vec<_> = node.subgraphs().map(|inner| plan(inner, Some(&outer), taken)).collect();
            if plans.iter().any(|plan| !plan.is_empty()) {
                self.plan.nested.insert(id, plans);
            }
        }
    }
}
