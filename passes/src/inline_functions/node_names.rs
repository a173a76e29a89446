//! Names of nodes, by which tools tell nodes of a model, or of a function, from each other.

use std::collections::HashSet;

use onnxpress_ir::{Graph, Name};

/// The names that nodes of a graph and of its subgraphs have.
#[derive(Debug)]
pub(super) struct NodeNames(HashSet<Name>);

impl NodeNames {
    pub(super) fn of(graph: &Graph) -> Self {
        let mut names = Self(HashSet::new());
        names.enter(graph);
        names
    }

    fn enter(&mut self, graph: &Graph) {
        for (_, node) in graph.nodes() {
            self.0.extend(node.name.iter().filter(|name| !name.is_empty()).cloned());
            node.subgraphs().for_each(|body| self.enter(body));
        }
    }

    /// The name of a node of a function where it is inlined: its own if that is free, else one that tells the call too.
    pub(super) fn derive(&mut self, own: &Name, call: Option<&Name>) -> Name {
        if own.is_empty() || self.0.insert(own.clone()) {
            return own.clone();
        }
        let base = match call.filter(|call| !call.is_empty()) {
            Some(call) => call.suffixed(&format!("/{own}")),
            None => own.clone(),
        };
        let numbered = (1u64..).map(|number| base.suffixed(&format!("_{number}")));
        let mut candidates = std::iter::once(base.clone()).chain(numbered);
        candidates.find(|name| self.0.insert(name.clone())).unwrap_or(base)
    }
}
