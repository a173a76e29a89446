//! A graph with all graphs inside of it, their constants, and which of these are to read which.

use onnxpress_ir::{ConstantForm, Graph, NodeId, Order, Tensor, Vertex};

/// The way from a graph to one inside of it: the node that holds the next graph, and which of the node's subgraphs that is.
pub(super) type Path = Vec<(NodeId, usize)>;

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
            if let Some(tensor) = constant.value.dense() {
                let given_out = |reader: NodeId| matches!(graph.get(reader), Some(Vertex::Output(_)));
                let stays = graph.readers(id.port(0)).any(|reading| given_out(reading.node));
                let is_node = matches!(constant.form, ConstantForm::Node { .. });
                self.constants.push(Found { graph: number, id, tensor, stays, is_node, order: constant.order });
            }
        }
        self.constants[first..].sort_by_key(|found| (!found.stays, found.is_node, found.order, found.id));
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
            let seen = merges.iter_mut().find(|(_, merge)| path.starts_with(&merge.path));
            match seen {
                Some((_, merge)) if !found.stays => merge.gone.push((path[merge.path.len()..].to_vec(), found.id)),
                _ => merges.push((index, Merge { path: path.clone(), keep: Some(found.id), gone: Vec::new() })),
            }
        }
        let movable = |(index, _): &(usize, Merge)| !self.constants[*index].stays;
        if merges.iter().filter(|merge| movable(merge)).count() < 2 {
            return merges.into_iter().map(|(_, merge)| merge).filter(|merge| !merge.gone.is_empty()).collect();
        }
        // Beside each other: one in the graph around them all.
        let (moved, kept): (Vec<_>, Vec<_>) = merges.into_iter().partition(movable);
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
        let kept = kept.into_iter().map(|(_, merge)| merge).filter(|merge| !merge.gone.is_empty());
        kept.chain([one]).collect()
    }
}
