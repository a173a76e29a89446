//! Which functions of a model its nodes call.

use std::collections::BTreeSet;

use onnxpress_ir::{Callables, Function, Graph, Node};
use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;

/// The functions of a model by what calls them, each by its place in the list.
#[derive(Clone, Debug)]
pub(crate) struct Calls<'m> {
    callables: Callables<'m>,
}

/// A function in the order of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Callee {
    /// Its place in the list.
    pub(crate) place: usize,
    /// Whether it calls itself, directly or through others.
    pub(crate) recursive: bool,
}

impl<'m> Calls<'m> {
    pub(crate) fn of(functions: &'m [Function]) -> Self {
        Self { callables: Callables::of(functions) }
    }

    /// The function that a node calls.
    pub(crate) fn of_node(&self, node: &Node) -> Option<usize> {
        self.callables.called_by(node)
    }

    /// The functions that a graph and its subgraphs call, one entry a call.
    pub(crate) fn in_graph(&self, graph: &Graph) -> Vec<usize> {
        let mut called = Vec::new();
        each_node(graph, &mut |node| called.extend(self.of_node(node)));
        called
    }

    /// The functions that a graph calls, directly or through other functions.
    pub(crate) fn reachable_from(&self, graph: &Graph) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut waiting = self.in_graph(graph);
        while let Some(place) = waiting.pop() {
            if reached.insert(place) {
                waiting.extend(self.in_graph(&self.callables.functions()[place].body));
            }
        }
        reached
    }

    /// All functions, each after those that it calls.
    pub(crate) fn callees_first(&self) -> Vec<Callee> {
        let mut graph = DiGraph::<usize, ()>::new();
        let nodes: Vec<_> = (0..self.callables.functions().len()).map(|place| graph.add_node(place)).collect();
        for (caller, function) in self.callables.functions().iter().enumerate() {
            for callee in self.in_graph(&function.body).into_iter().collect::<BTreeSet<_>>() {
                graph.add_edge(nodes[caller], nodes[callee], ());
            }
        }
        let mut order = Vec::with_capacity(nodes.len());
        // Strongly connected components come callees first.
        for component in kosaraju_scc(&graph) {
            let recursive = component.len() > 1 || component.iter().any(|&node| graph.contains_edge(node, node));
            order.extend(component.into_iter().map(|node| Callee { place: graph[node], recursive }));
        }
        order
    }
}

/// Visits every node of a graph and of its subgraphs.
pub(crate) fn each_node<'g>(graph: &'g Graph, visit: &mut impl FnMut(&'g Node)) {
    for (_, node) in graph.nodes() {
        visit(node);
        for inner in node.subgraphs() {
            each_node(inner, visit);
        }
    }
}
