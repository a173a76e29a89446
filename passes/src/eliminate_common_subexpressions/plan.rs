//! Which nodes are to be read in the place of which: numbers for values, equal if and only if the values are seen to be.
//!
//! A node's number stands for its operator, its attributes, the numbers of what it reads, and, through the numbers of their
//! outputs, its subgraphs. Producers come before readers, so one visit to each node is enough.

use std::collections::{BTreeSet, HashMap};

use onnxpress_ir::{Constant, Graph, Name, Node, NodeId, ValueId, Vertex};

use super::key::Key;
use crate::reading_across::Path;
use crate::rewrite::{Effect, ModelFacts};

/// Constants of more bytes than this are equal only if they are one: `dedupe-initializers` sees to the rest.
const SMALL: usize = 4096;

/// A node that is to go.
#[derive(Debug)]
pub(super) struct Merge {
    /// The graph of the node that stays.
    pub(super) path: Path,
    /// The node that stays.
    pub(super) kept: NodeId,
    /// The way from there to the graph of the node that goes.
    pub(super) inside: Path,
    /// The node that goes.
    pub(super) gone: NodeId,
}

/// The merges of a graph and all inside of it.
pub(super) fn merges(graph: &Graph, facts: &ModelFacts) -> Vec<Merge> {
    let mut planner = Planner {
        facts,
        numbers: HashMap::new(),
        next: 0,
        first: HashMap::new(),
        levels: Vec::new(),
        merges: Vec::new(),
    };
    planner.graph(graph, Path::new());
    planner.merges
}

/// A number and a port.
type Value = (u64, u32);

struct Planner<'g> {
    facts: &'g ModelFacts,
    numbers: HashMap<Vec<u8>, u64>,
    next: u64,
    /// The first node of each number, and how many graphs are around it.
    first: HashMap<u64, (usize, NodeId)>,
    /// The graphs around the one that is visited, and that one.
    levels: Vec<Level<'g>>,
    merges: Vec<Merge>,
}

struct Level<'g> {
    graph: &'g Graph,
    path: Path,
    values: HashMap<NodeId, Value>,
    /// The outputs that give a value out, or will once what is planned is done.
    names: HashMap<ValueId, BTreeSet<Name>>,
}

impl Level<'_> {
    /// A capture stands for a port of another node; everything else has ports of its own.
    fn value(&self, value: ValueId) -> Option<Value> {
        self.values.get(&value.node).map(|&(number, port)| (number, port + value.port))
    }
}

impl<'g> Planner<'g> {
    /// Visits a graph; answers its outputs.
    fn graph(&mut self, graph: &'g Graph, path: Path) -> Vec<Option<Value>> {
        let mut names: HashMap<ValueId, BTreeSet<Name>> = HashMap::new();
        for &id in graph.outputs() {
            if let Some(value) = graph.operand(id, 0) {
                names.entry(value).or_default().insert(graph.output(id).name.clone());
            }
        }
        let inputs: HashMap<NodeId, usize> =
            graph.inputs().iter().enumerate().map(|(place, &id)| (id, place)).collect();
        let level = self.levels.len();
        self.levels.push(Level { graph, path, values: HashMap::new(), names });
        let mut first_here = Vec::new();
        // Producers first; what is no node reads nothing.
        let others = graph.vertices().filter(|(_, vertex)| !matches!(vertex, Vertex::Node(_))).map(|(id, _)| id);
        let nodes = graph.topological().unwrap_or_default();
        for id in others.chain(nodes.into_iter().filter(|&id| graph.node(id).is_some())) {
            let value = match graph.get(id) {
                Some(Vertex::Node(node)) => (self.node(id, node, &mut first_here), 0),
                Some(Vertex::Constant(constant)) => (self.constant(constant), 0),
                Some(Vertex::Input(_)) => {
                    let mut key = Key::new(0);
                    key.number(level as u64);
                    key.number(inputs.get(&id).map_or(u64::MAX, |&place| place as u64));
                    (self.number(key), 0)
                }
                Some(Vertex::Capture(capture)) => match self.captured(capture.operand as usize) {
                    Some(value) => value,
                    None => (self.unlike_any(), 0),
                },
                Some(Vertex::Output(_)) | None => continue,
            };
            self.levels[level].values.insert(id, value);
        }
        for number in first_here {
            self.first.remove(&number);
        }
        let level = self.levels.pop();
        let value = |&id: &NodeId| level.as_ref().and_then(|level| level.value(graph.operand(id, 0)?));
        graph.outputs().iter().map(value).collect()
    }

    /// The value that an implicit operand of the node around the graph is.
    fn captured(&self, operand: usize) -> Option<Value> {
        let [.., around, inside] = &self.levels[..] else { return None };
        let (holder, _) = inside.path.last()?;
        around.value(around.graph.implicit_operands(*holder).nth(operand)??)
    }

    fn constant(&mut self, constant: &Constant) -> u64 {
        match constant.value.dense().filter(|tensor| tensor.byte_len() <= SMALL) {
            Some(tensor) => {
                let mut key = Key::new(1);
                key.tensor(tensor);
                self.number(key)
            }
            None => self.unlike_any(),
        }
    }

    fn node(&mut self, id: NodeId, node: &'g Node, first_here: &mut Vec<u64>) -> u64 {
        let level = self.levels.len() - 1;
        let merges = self.merges.len();
        let mut bodies = Vec::new();
        for (index, body) in node.subgraphs().enumerate() {
            let mut path = self.levels[level].path.clone();
            path.push((id, index));
            bodies.push((body.inputs().len(), self.graph(body, path)));
        }
        if node.port_count() == 0 || Effect::of(node, self.facts) != Effect::Pure {
            return self.unlike_any();
        }
        let here = &self.levels[level];
        let operands: Vec<_> = here.graph.operands(id).map(|value| value.map(|value| here.value(value))).collect();
        let version = here.graph.opsets.version(node.canonical_domain()).unwrap_or(1);
        let mut known = true;
        let mut key = Key::new(2);
        key.number(operands.len() as u64);
        for operand in operands {
            known &= operand != Some(None);
            let (number, port) = operand.flatten().unwrap_or((u64::MAX, 0));
            key.number(number);
            key.number(u64::from(port));
        }
        key.node(node, version, |key, index| {
            let (inputs, outputs) = &bodies[index];
            key.number(*inputs as u64);
            key.number(outputs.len() as u64);
            for output in outputs {
                known &= output.is_some();
                let (number, port) = output.unwrap_or((u64::MAX, 0));
                key.number(number);
                key.number(u64::from(port));
            }
        });
        if !known {
            return self.unlike_any();
        }
        let number = self.number(key);
        match self.first.get(&number) {
            Some(&(around, kept)) => {
                if self.can_stand_for(kept, around, id) {
                    // What is planned inside of a node that goes need not be done.
                    self.merges.truncate(merges);
                    let (from, to) = (&self.levels[around].path, &self.levels[level].path);
                    let inside = to[from.len()..].to_vec();
                    self.merges.push(Merge { path: from.clone(), kept, inside, gone: id });
                }
            }
            None => {
                self.first.insert(number, (level, id));
                first_here.push(number);
            }
        }
        number
    }

    /// Whether whatever reads `gone`, of the graph that is visited, can read `kept`, of the one at level `around`. A value
    /// has one name, and a subgraph cannot give out what is not computed in it.
    fn can_stand_for(&mut self, kept: NodeId, around: usize, gone: NodeId) -> bool {
        let level = self.levels.len() - 1;
        let (here, there) = (&self.levels[level], &self.levels[around]);
        let ports = 0..here.graph.vertex(gone).ports().len() as u32;
        let none = BTreeSet::new();
        let names = |level: &Level<'_>, value| level.names.get(&value).unwrap_or(&none).clone();
        let fits = |port: u32| {
            let (old, new) = (gone.port(port), kept.port(port));
            let given_out = names(here, old);
            let together = given_out.union(&names(there, new)).count();
            here.graph.ty(old).merge(there.graph.ty(new)).is_ok()
                && (given_out.is_empty() || around == level && together == 1)
        };
        if !ports.clone().all(fits) {
            return false;
        }
        for port in ports {
            if let Some(given_out) = self.levels[level].names.remove(&gone.port(port)) {
                self.levels[around].names.entry(kept.port(port)).or_default().extend(given_out);
            }
        }
        true
    }

    fn number(&mut self, key: Key) -> u64 {
        let next = &mut self.next;
        *self.numbers.entry(key.into_bytes()).or_insert_with(|| {
            *next += 1;
            *next
        })
    }

    fn unlike_any(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
