//! A graph with all graphs inside of it, their constants, and which of these are to read which.

use onnxpress_ir::{Constant, ConstantForm, Graph, NodeId, Order, Slot, Tensor, ValueId, Vertex};

use crate::reading_across::Path;
use crate::rewrite::file_size;

/// A dense constant somewhere in the tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'g> {
    /// The graph, by its number.
    pub(super) graph: usize,
    pub(super) id: NodeId,
    pub(super) tensor: &'g Tensor,
    /// Whether it must stay: a graph output gives it out, so its name is the output's.
    stays: bool,
    is_node: bool,
    order: Order,
    /// Bytes of its name.
    name: usize,
    /// What it takes in a file, names where it is read aside.
    bytes: usize,
    /// How often its name stands in a file as something read.
    readings: usize,
}

impl<'g> Found<'g> {
    fn new(graph: &'g Graph, number: usize, id: NodeId, constant: &'g Constant) -> Option<Self> {
        let value = id.port(0);
        let given_out = |reader: NodeId| matches!(graph.get(reader), Some(Vertex::Output(_)));
        Some(Self {
            graph: number,
            id,
            tensor: constant.value.dense()?,
            stays: graph.readers(value).any(|reading| given_out(reading.node)),
            is_node: matches!(constant.form, ConstantForm::Node { .. }),
            order: constant.order,
            name: constant.port.name.as_ref().map_or(file_size::NEW_NAME, |name| name.as_bytes().len()),
            bytes: file_size::constant(constant, false),
            readings: readings(graph, value),
        })
    }

    /// Whether the file grows if what reads this reads what has a name of `name` bytes.
    fn is_shorter_than(&self, name: usize) -> bool {
        self.bytes + self.readings * self.name < self.readings * name
    }
}

/// How often a value is read, inside of subgraphs too.
fn readings(graph: &Graph, value: ValueId) -> usize {
    let of_reading = |reading: onnxpress_ir::Use| match (reading.slot, graph.node(reading.node)) {
        (Slot::Capture(operand), Some(node)) => node
            .subgraphs()
            .flat_map(|body| body.captures().map(move |(id, capture)| (body, id, capture)))
            .filter(|(_, _, capture)| capture.operand == operand)
            .map(|(body, id, _)| readings(body, id.port(0)))
            .sum(),
        _ => 1,
    };
    graph.readers(value).map(of_reading).sum()
}

/// The graphs, each before those inside of it.
#[derive(Debug)]
pub(super) struct Tree<'g> {
    paths: Vec<Path>,
    /// In the order of graphs; within one, in the order in which they are best kept.
    pub(super) constants: Vec<Found<'g>>,
}

/// One constant that others are to be read as.
#[derive(Debug)]
pub(super) struct Merge {
    /// The graph where it is, or is to be.
    pub(super) path: Path,
    /// The constant; `None` if it is to be made, a copy of the first of those that go.
    pub(super) keep: Option<NodeId>,
    /// Those that go: the rest of the way to their graphs, and who they are.
    pub(super) gone: Vec<(Path, NodeId)>,
}

impl<'g> Tree<'g> {
    pub(super) fn of(graph: &'g Graph) -> Self {
        let mut tree = Self { paths: Vec::new(), constants: Vec::new() };
        tree.enter(graph, Vec::new());
        tree
    }

    fn enter(&mut self, graph: &'g Graph, path: Path) {
        let number = self.paths.len();
        self.paths.push(path.clone());
        let first = self.constants.len();
        for (id, constant) in graph.constants() {
            self.constants.extend(Found::new(graph, number, id, constant));
        }
        // Of those that may go, that of the shortest name is best kept.
        let rank = |found: &Found<'_>| (!found.stays, found.is_node, found.name, found.order, found.id);
        self.constants[first..].sort_by_key(rank);
        for (id, node) in graph.nodes() {
            for (index, body) in node.subgraphs().enumerate() {
                let mut inner = path.clone();
                inner.push((id, index));
                self.enter(body, inner);
            }
        }
    }

    /// What is to be done, given lists of constants that are alike.
    pub(super) fn plan(&self, classes: Vec<Vec<usize>>) -> Vec<Merge> {
        classes.iter().flat_map(|class| self.plan_class(class)).collect()
    }

    fn plan_class(&self, class: &[usize]) -> Vec<Merge> {
        let mut merges: Vec<(usize, Merge)> = Vec::new();
        for &index in class {
            let found = &self.constants[index];
            let path = &self.paths[found.graph];
            let longer = |index: usize| found.is_shorter_than(self.constants[index].name);
            let fits = |(index, merge): &&mut (usize, Merge)| path.starts_with(&merge.path) && !longer(*index);
            match merges.iter_mut().find(fits) {
                Some((_, merge)) if !found.stays => merge.gone.push((path[merge.path.len()..].to_vec(), found.id)),
                _ => merges.push((index, Merge { path: path.clone(), keep: Some(found.id), gone: Vec::new() })),
            }
        }
        // Those that stand alone because of their names are left alone.
        let alone = |index: usize| {
            let path = &self.paths[self.constants[index].graph];
            !merges.iter().any(|(other, merge)| *other != index && path.starts_with(&merge.path))
        };
        let alone: Vec<bool> = merges.iter().map(|(index, _)| alone(*index)).collect();
        let mut alone = alone.into_iter();
        let (merges, left): (Vec<_>, Vec<_>) = merges.into_iter().partition(|_| alone.next() == Some(true));
        let movable = |(index, _): &(usize, Merge)| !self.constants[*index].stays;
        let (moved, mut kept): (Vec<_>, Vec<_>) = merges.into_iter().partition(movable);
        kept.extend(left);
        let kept = kept.into_iter().map(|(_, merge)| merge);
        if moved.len() < 2 {
            let moved = moved.into_iter().map(|(_, merge)| merge);
            return kept.chain(moved).filter(|merge| !merge.gone.is_empty()).collect();
        }
        // Beside each other: one in the graph around them all.
        let mut around = moved[0].1.path.clone();
        for (_, merge) in &moved {
            let common = around.iter().zip(&merge.path).take_while(|(a, b)| a == b).count();
            around.truncate(common);
        }
        let depth = around.len();
        let mut one = Merge { path: around, keep: None, gone: Vec::new() };
        for (_, merge) in moved {
            let rest = &merge.path[depth..];
            one.gone.extend(merge.keep.map(|id| (rest.to_vec(), id)));
            one.gone.extend(merge.gone.into_iter().map(|(path, id)| ([rest, &path].concat(), id)));
        }
        kept.filter(|merge| !merge.gone.is_empty()).chain([one]).collect()
    }
}
