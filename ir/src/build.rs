//! From names to edges: makes a graph of nodes that name their operands, as files and texts do.
//!
//! Files need not be sorted, so every definition is seated before the first reading is resolved; subgraphs are resolved
//! last, when all names around them are known. A name that a subgraph does not define is looked for outwards, and becomes a
//! capture at each level that it crosses. All this takes time in proportion to the names read, and recursion only as deep as
//! graphs are nested, which whoever fills the builder limits.

use std::collections::HashMap;
use std::sync::Arc;

use crate::attr::{Attr, AttrValue};
use crate::carried::Carried;
use crate::graph::{
    Constant, ConstantForm, Declared, Graph, Input, Node, NodeId, Opsets, Order, Port, Slot, ValueId, Vertex,
};
use crate::name::Name;
use crate::types::Type;

/// Why names make no graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A name is defined twice in one graph.
    #[error("{site}: `{name}` is defined twice, as {first} and as {second}")]
    Duplicate {
        /// The graph.
        site: String,
        /// The name.
        name: Name,
        /// Who defines it first.
        first: String,
        /// Who defines it again.
        second: String,
    },
    /// A name is read that neither the graph nor one around it defines.
    #[error("{site}: {reader} `{name}` is never defined")]
    Undefined {
        /// The graph.
        site: String,
        /// The reader and its slot.
        reader: String,
        /// The name.
        name: Name,
    },
    /// A graph output without a name gives nothing out.
    #[error("{site}: output {index} has no name")]
    NamelessOutput {
        /// The graph.
        site: String,
        /// Which output.
        index: usize,
    },
}

impl BuildError {
    /// The same error, told from the graph around the one where it was found.
    fn inside(mut self, outer: &str) -> Self {
        let (Self::Duplicate { site, .. } | Self::Undefined { site, .. } | Self::NamelessOutput { site, .. }) =
            &mut self;
        *site = format!("{outer}, {site}");
        self
    }
}

/// A node whose operands are names and whose subgraphs are not built yet.
#[derive(Debug)]
pub struct NodeDraft {
    node: Node,
    operands: Vec<Name>,
    /// One for each graph in the node's attributes, in order; the attributes hold empty graphs until these are built.
    nested: Vec<GraphBuilder>,
}

impl NodeDraft {
    /// A node with ports and without subgraphs. A port without a name, or with the empty one, is an output left out; so is
    /// an operand with the empty name.
    pub fn new(mut node: Node, operands: Vec<Name>) -> Self {
        let ports: Vec<_> = node.ports().iter().cloned().map(named_or_omitted).collect();
        node = node.with_ports(ports);
        Self { node, operands, nested: Vec::new() }
    }

    /// Appends an attribute that holds no graph; those that do come by [`push_graph`](Self::push_graph).
    pub fn push_attr(&mut self, attr: Attr) {
        self.node.attrs.push(attr);
    }

    /// Appends an attribute that holds one graph.
    pub fn push_graph(&mut self, name: Name, carried: Carried, body: GraphBuilder) {
        self.nested.push(body);
        self.node.attrs.push(Attr { name, value: AttrValue::Graph(Box::default()), carried });
    }

    /// Appends an attribute that holds a list of graphs.
    pub fn push_graphs(&mut self, name: Name, carried: Carried, bodies: Vec<GraphBuilder>) {
        let empty = bodies.iter().map(|_| Graph::default()).collect();
        self.nested.extend(bodies);
        self.node.attrs.push(Attr { name, value: AttrValue::Graphs(empty), carried });
    }
}

fn named_or_omitted(mut port: Port) -> Port {
    port.name = port.name.filter(|name| !name.is_empty());
    port.omitted = port.name.is_none();
    port
}

#[derive(Debug)]
struct OutputDraft {
    name: Name,
    declared: Type,
    carried: Carried,
}

/// Collects what a graph is made of, in any order, and makes the graph.
#[derive(Debug)]
pub struct GraphBuilder {
    graph: Graph,
    drafts: Vec<(NodeId, Vec<Name>, Vec<GraphBuilder>)>,
    outputs: Vec<OutputDraft>,
    initializers: u32,
    nodes: u32,
}

impl GraphBuilder {
    /// Begins a graph in these operator sets.
    pub fn new(opsets: Arc<Opsets>) -> Self {
        Self { graph: Graph::new(opsets), drafts: Vec::new(), outputs: Vec::new(), initializers: 0, nodes: 0 }
    }

    /// Names the graph.
    pub fn set_name(&mut self, name: Option<Name>) {
        self.graph.name = name;
    }

    /// Gives the graph the reader's companion.
    pub fn set_carried(&mut self, carried: Carried) {
        self.graph.carried = carried;
    }

    /// Adds an input after the others. What is known of it is what its interface declares.
    pub fn add_input(&mut self, mut input: Input) {
        if input.port.ty.is_unknown() {
            input.port.ty = input.declared.clone();
        }
        self.graph.add_input(input);
    }

    /// Adds a constant. Its place is after those added before: among the nodes if it is one, else among the initializers.
    pub fn add_constant(&mut self, mut constant: Constant) {
        let place = match constant.form {
            ConstantForm::Node { .. } => &mut self.nodes,
            ConstantForm::Initializer | ConstantForm::ListedAsInput { .. } => &mut self.initializers,
        };
        constant.order = Order { file: *place, made: 0 };
        *place = place.saturating_add(1);
        self.graph.add_constant(constant);
    }

    /// Adds an initializer that keeps the place it has.
    pub fn add_initializer(&mut self, constant: Constant) {
        self.initializers = self.initializers.max(constant.order.file.saturating_add(1));
        self.graph.add_constant(constant);
    }

    /// Adds a node. Its place is after the nodes, and constants that are nodes, added before.
    pub fn add_node(&mut self, draft: NodeDraft) {
        let NodeDraft { mut node, operands, nested } = draft;
        node.order = Order { file: self.nodes, made: 0 };
        self.nodes = self.nodes.saturating_add(1);
        let id = self.graph.add_node(node, &vec![None; operands.len()]);
        self.drafts.push((id, operands, nested));
    }

    /// Adds an output after the others.
    pub fn add_output(&mut self, name: Name, declared: Type, carried: Carried) {
        self.outputs.push(OutputDraft { name, declared, carried });
    }

    /// Declares the type of a value of this graph, as a file's `value_info` does; of none, where nothing has the name.
    pub fn declare(&mut self, name: Name, ty: Type, carried: Carried) {
        self.graph.declared.push(Declared { value: None, name, ty, carried });
    }

    /// Makes the graph.
    ///
    /// # Errors
    /// Where a name is defined twice in one graph, or read and defined nowhere, or missing from a graph output.
    pub fn build(self) -> Result<Graph, BuildError> {
        let mut scopes = Vec::new();
        resolve(self, &mut scopes)
    }
}

/// A graph in the making, and what its names stand for.
struct Scope {
    graph: Graph,
    /// Definitions of this graph, and names that were captured already.
    names: HashMap<Name, ValueId>,
    /// The node whose subgraphs are in the making, and its implicit operands so far.
    holder: Option<NodeId>,
    implicit: HashMap<ValueId, u32>,
}

impl Scope {
    fn site(&self) -> String {
        match &self.graph.name {
            Some(name) if !name.is_empty() => format!("graph `{name}`"),
            _ => "graph".to_owned(),
        }
    }

    /// Enters every definition.
    fn of(graph: Graph) -> Result<Self, BuildError> {
        let mut scope =
            Self { names: HashMap::with_capacity(graph.vertex_count()), graph, holder: None, implicit: HashMap::new() };
        for (id, vertex) in scope.graph.vertices() {
            for (index, port) in (0u32..).zip(vertex.ports()) {
                let Some(name) = port.name.as_ref().filter(|name| !name.is_empty()) else { continue };
                // Of constants of one name the last counts, as in onnxruntime: exporters' own optimizers write such files.
                let replaced = scope.names.insert(name.clone(), id.port(index));
                let constant = |id| matches!(scope.graph.get(id), Some(Vertex::Constant(_)));
                if let Some(first) = replaced.filter(|first| !constant(first.node) || !constant(id)) {
                    return Err(BuildError::Duplicate {
                        site: scope.site(),
                        name: name.clone(),
                        first: scope.definer(first),
                        second: scope.definer(id.port(index)),
                    });
                }
            }
        }
        Ok(scope)
    }

    fn definer(&self, value: ValueId) -> String {
        match self.graph.node(value.node) {
            Some(_) => format!("output {} of {}", value.port, self.graph.describe(value.node)),
            None => self.graph.describe(value.node),
        }
    }

    /// Believes a declaration as far as it agrees with what is known; who checks types reports the rest.
    fn believe(&mut self, value: ValueId, declared: &Type) {
        let port = self.graph.port(value);
        if let Ok(merged) = port.ty.merge(declared)
            && merged != port.ty
        {
            let elements = port.elements.clone();
            self.graph.set_fact(value, merged, elements);
        }
    }

    fn implicit_operand(&mut self, holder: NodeId, value: ValueId) -> u32 {
        if let Some(&operand) = self.implicit.get(&value) {
            return operand;
        }
        let operand = self.graph.add_implicit_operand(holder, value);
        self.implicit.insert(value, operand);
        operand
    }
}

/// Makes the graph of `builder` within the graphs that `scopes` holds, the outermost first.
fn resolve(builder: GraphBuilder, scopes: &mut Vec<Scope>) -> Result<Graph, BuildError> {
    let GraphBuilder { graph, drafts, outputs, .. } = builder;
    let mut scope = Scope::of(graph)?;
    let mut declared = std::mem::take(&mut scope.graph.declared);
    for entry in &mut declared {
        entry.value = scope.names.get(&entry.name).copied();
        if let Some(value) = entry.value {
            scope.believe(value, &entry.ty);
        }
    }
    scope.graph.declared = declared;
    for output in &outputs {
        if let Some(&value) = scope.names.get(&output.name) {
            scope.believe(value, &output.declared);
        }
    }
    let depth = scopes.len();
    scopes.push(scope);
    let mut readings = Vec::new();
    for (id, operands, nested) in drafts {
        for (slot, name) in (0u32..).zip(operands) {
            if name.is_empty() {
                continue;
            }
            let Some(value) = look_up(scopes, &name) else {
                let scope = &scopes[depth];
                let reader = format!("{}: input {slot}", scope.graph.describe(id));
                return Err(BuildError::Undefined { site: scope.site(), reader, name });
            };
            readings.push((id, Slot::Operand(slot), value));
        }
        if !nested.is_empty() {
            build_nested(id, nested, scopes)?;
        }
    }
    // The latest reading of a value is the first to be found again. Who rewrites a graph begins at its front, so the first
    // readers of what very many read come last here.
    for of_node in readings.chunk_by(|(one, ..), (other, ..)| one == other).rev() {
        for &(id, slot, value) in of_node {
            scopes[depth].graph.connect(id, slot, Some(value));
        }
    }
    for (index, OutputDraft { name, declared, carried }) in outputs.into_iter().enumerate() {
        if name.is_empty() {
            return Err(BuildError::NamelessOutput { site: scopes[depth].site(), index });
        }
        let Some(value) = look_up(scopes, &name) else {
            let reader = format!("output {index}");
            return Err(BuildError::Undefined { site: scopes[depth].site(), reader, name });
        };
        scopes[depth].graph.add_output(name, declared, carried, value);
    }
    let scope = scopes.pop().expect("the scope that was pushed above");
    Ok(scope.graph)
}

fn build_nested(holder: NodeId, nested: Vec<GraphBuilder>, scopes: &mut Vec<Scope>) -> Result<(), BuildError> {
    let depth = scopes.len() - 1;
    scopes[depth].holder = Some(holder);
    scopes[depth].implicit.clear();
    let mut graphs = Vec::with_capacity(nested.len());
    for builder in nested {
        let graph = resolve(builder, scopes).map_err(|error| {
            let scope = &scopes[depth];
            error.inside(&format!("{}, {}", scope.site(), scope.graph.describe(holder)))
        })?;
        graphs.push(graph);
    }
    for (place, graph) in scopes[depth].graph.subgraphs_mut(holder).zip(graphs) {
        *place = graph;
    }
    Ok(())
}

/// The value that a name stands for in the innermost graph; captured at each level that it crosses.
fn look_up(scopes: &mut [Scope], name: &Name) -> Option<ValueId> {
    let (found, mut value) =
        scopes.iter().enumerate().rev().find_map(|(depth, scope)| Some((depth, *scope.names.get(name)?)))?;
    for depth in found + 1..scopes.len() {
        let outer = &mut scopes[depth - 1];
        let holder = outer.holder.expect("a graph around another one holds it in a node");
        let operand = outer.implicit_operand(holder, value);
        let port = Port { omitted: false, ..outer.graph.port(value).clone() };
        let inner = &mut scopes[depth];
        value = inner.graph.add_capture(operand, port);
        inner.names.insert(name.clone(), value);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::dtype::DType;
    use crate::graph::{ConstantValue, Vertex};
    use crate::shape::Shape;
    use crate::tensor::Tensor;

    fn name(text: &'static str) -> Name {
        Name::from(text)
    }

    fn builder() -> GraphBuilder {
        GraphBuilder::new(Arc::default())
    }

    fn input(text: &'static str) -> Input {
        let declared = Type::tensor(DType::Float, Shape::scalar());
        Input { port: Port::new(text, Type::Unknown), default: None, declared, carried: Carried::none() }
    }

    fn node(op_type: &'static str, operands: &[&'static str], outputs: &[&'static str]) -> NodeDraft {
        let ports = outputs.iter().map(|&output| Port::new(output, Type::Unknown));
        NodeDraft::new(Node::new(op_type, 0).with_ports(ports), operands.iter().copied().map(Name::from).collect())
    }

    fn output(builder: &mut GraphBuilder, text: &'static str) {
        builder.add_output(name(text), Type::Unknown, Carried::none());
    }

    #[test]
    fn values_may_be_read_before_they_are_defined_and_places_are_kept() {
        let mut b = builder();
        b.add_node(node("Relu", &["t"], &["y"]));
        b.add_node(node("Clip", &["x", "", "x"], &["t"]));
        b.add_input(input("x"));
        output(&mut b, "y");
        output(&mut b, "x");
        let graph = b.build().unwrap();
        let ids: Vec<_> = graph.nodes().map(|(id, node)| (id, node.order.file)).collect();
        assert_eq!((ids[0].1, ids[1].1), (0, 1));
        assert_eq!(graph.operand(ids[0].0, 0), Some(ids[1].0.port(0)));
        let clip: Vec<_> = graph.operands(ids[1].0).collect();
        let x = graph.inputs()[0].port(0);
        assert_eq!(clip, [Some(x), None, Some(x)]);
        assert_eq!(graph.operand(graph.outputs()[1], 0), Some(x));
        assert_eq!(graph.ty(x).dtype(), Some(DType::Float), "an input is what it declares");
    }

    #[test]
    fn a_value_from_two_levels_up_is_captured_at_each_level_once() {
        let mut innermost = builder();
        innermost.add_node(node("Add", &["x", "x"], &["s"]));
        output(&mut innermost, "s");
        let mut middle = builder();
        let mut holder = node("If", &["c"], &["m"]);
        holder.push_graph(name("then_branch"), Carried::none(), innermost);
        middle.add_node(holder);
        output(&mut middle, "m");
        let mut other = builder();
        output(&mut other, "x");
        let mut outer = builder();
        let mut holder = node("If", &["c"], &["y"]);
        holder.push_graph(name("then_branch"), Carried::none(), middle);
        holder.push_graphs(name("more"), Carried::none(), vec![other]);
        outer.add_node(holder);
        // Defined after the node whose subgraphs read it.
        outer.add_node(node("Relu", &["c"], &["x"]));
        outer.add_input(input("c"));
        output(&mut outer, "y");

        let graph = outer.build().unwrap();
        let (holder, _) = graph.nodes().find(|(_, node)| node.is("If")).unwrap();
        let (relu, _) = graph.nodes().find(|(_, node)| node.is("Relu")).unwrap();
        let c = graph.inputs()[0].port(0);
        let implicit: Vec<_> = graph.implicit_operands(holder).collect();
        assert_eq!(implicit, [Some(c), Some(relu.port(0))], "both subgraphs share the implicit operand of x");
        let subgraphs: Vec<_> = graph.node(holder).unwrap().subgraphs().collect();
        let operands = |graph: &Graph| graph.captures().map(|(_, capture)| capture.operand).collect::<Vec<_>>();
        assert_eq!((operands(subgraphs[0]), operands(subgraphs[1])), (vec![0, 1], vec![1]));
        let (inner_holder, inner) = subgraphs[0].nodes().next().unwrap();
        assert_eq!(subgraphs[0].implicit_operands(inner_holder).len(), 1);
        assert_eq!(operands(inner.subgraphs().next().unwrap()), [0]);
    }

    #[test]
    fn an_inner_definition_shadows_an_outer_one() {
        let mut body = builder();
        body.add_node(node("Neg", &["x"], &["y"]));
        body.add_input(input("x"));
        output(&mut body, "y");
        let mut outer = builder();
        let mut holder = node("Scan", &["x"], &["y"]);
        holder.push_graph(name("body"), Carried::none(), body);
        outer.add_input(input("x"));
        outer.add_node(holder);
        output(&mut outer, "y");
        let graph = outer.build().unwrap();
        let (id, scan) = graph.nodes().next().unwrap();
        assert_eq!(graph.implicit_operands(id).len(), 0);
        assert_eq!(scan.subgraphs().next().unwrap().captures().count(), 0);
    }

    #[test]
    fn a_missing_output_name_is_a_port_left_out() {
        let mut b = builder();
        b.add_input(input("x"));
        b.add_node(node("TopK", &["x"], &["", "i"]));
        output(&mut b, "i");
        let graph = b.build().unwrap();
        let (_, topk) = graph.nodes().next().unwrap();
        assert_eq!((topk.ports()[0].omitted, topk.ports()[1].omitted), (true, false));
    }

    #[test]
    fn value_infos_are_kept_and_believed_as_far_as_they_agree() {
        let mut b = builder();
        let value = ConstantValue::Dense(Tensor::vector(vec![1f32, 2.0]));
        let port = Port { name: Some(name("w")), ..Port::default() };
        b.add_constant(Constant { value, port, form: ConstantForm::Initializer, order: Order::default() });
        b.add_node(node("Relu", &["w"], &["y"]));
        let wrong = Type::tensor(DType::Int8, None);
        for (text, ty) in [("w", wrong.clone()), ("y", Type::tensor(DType::Float, None)), ("ghost", wrong)] {
            b.declare(name(text), ty, Carried::none());
        }
        output(&mut b, "y");
        let graph = b.build().unwrap();
        let y = graph.operand(graph.outputs()[0], 0).unwrap();
        assert_eq!(graph.ty(y).dtype(), Some(DType::Float));
        let w = graph.operand(y.node, 0).unwrap();
        assert!(matches!(graph.vertex(w.node), Vertex::Constant(_)));
        assert_eq!(graph.ty(w).dtype(), Some(DType::Float));
        let declared: Vec<_> = graph.declared.iter().map(|entry| entry.value).collect();
        assert_eq!(declared, [Some(w), Some(y), None]);
    }

    #[test]
    fn errors_name_the_graph_the_reader_and_the_slot() {
        let mut b = builder();
        b.set_name(Some(name("main")));
        b.add_input(input("x"));
        b.add_node(node("Add", &["x", "ghost"], &["y"]));
        assert_eq!(b.build().unwrap_err().to_string(), "graph `main`: Add `y`: input 1 `ghost` is never defined");

        let mut b = builder();
        b.add_input(input("x"));
        b.add_node(node("Split", &["x"], &["a", "x"]));
        let found = b.build().unwrap_err().to_string();
        assert_eq!(found, "graph: `x` is defined twice, as input `x` and as output 1 of Split `a`");

        let mut body = builder();
        body.set_name(Some(name("body")));
        output(&mut body, "ghost");
        let mut b = builder();
        b.set_name(Some(name("main")));
        let mut holder = node("Loop", &[], &["y"]);
        holder.push_graph(name("body"), Carried::none(), body);
        b.add_node(holder);
        let found = b.build().unwrap_err().to_string();
        assert_eq!(found, "graph `main`, Loop `y`, graph `body`: output 0 `ghost` is never defined");

        let mut b = builder();
        output(&mut b, "");
        assert_eq!(b.build().unwrap_err().to_string(), "graph: output 0 has no name");
    }
}
