//! Calls of a model's functions: which one a node calls, and what its body is with what the call gives.

use std::collections::HashMap;

use crate::attr::{Attr, AttrValue};
use crate::carried::Carried;
use crate::graph::{Graph, Node, canonical_domain};
use crate::model::Function;
use crate::name::Name;

/// Domain, name, overload.
type Key<'m> = (&'m [u8], &'m [u8], &'m [u8]);

/// The functions of a model, by what calls them.
#[derive(Clone, Debug, Default)]
pub struct Callables<'m> {
    functions: &'m [Function],
    places: HashMap<Key<'m>, usize>,
}

impl<'m> Callables<'m> {
    /// An index of these functions. Of two for the same operator the first counts.
    pub fn of(functions: &'m [Function]) -> Self {
        let mut places = HashMap::with_capacity(functions.len());
        for (place, function) in functions.iter().enumerate() {
            let domain = canonical_domain(function.domain.as_bytes());
            places.entry((domain, function.name.as_bytes(), function.overload.as_bytes())).or_insert(place);
        }
        Self { functions, places }
    }

    /// The functions, in the order of the file.
    pub fn functions(&self) -> &'m [Function] {
        self.functions
    }

    /// The place in the list of the function that a node calls.
    pub fn called_by(&self, node: &Node) -> Option<usize> {
        if self.places.is_empty() {
            return None;
        }
        self.places.get(&(node.canonical_domain(), node.op_type.as_bytes(), node.overload.as_bytes())).copied()
    }
}

impl Function {
    /// The value that a call gives to an attribute of the function, or the function's default.
    fn given<'a>(&'a self, call: &'a Node, name: &Name) -> Option<&'a AttrValue> {
        let default = || self.defaults.iter().find(|attr| attr.name == *name);
        call.attrs.iter().find(|attr| attr.name == *name).or_else(default).map(|attr| &attr.value)
    }

    /// Attributes of a node of the body, with what the call gives in the place of references; those that it does not give
    /// are left out.
    pub fn attrs_at(&self, attrs: &[Attr], call: &Node) -> Vec<Attr> {
        let one = |attr: &Attr| {
            let value = match &attr.value {
                AttrValue::Reference { name, .. } => {
                    let value = self.given(call, name)?.clone();
                    return Some(Attr { name: attr.name.clone(), value, carried: Carried::none() });
                }
                AttrValue::Graph(body) => AttrValue::Graph(Box::new(self.graph_at(body, call))),
                AttrValue::Graphs(bodies) => {
                    AttrValue::Graphs(bodies.iter().map(|body| self.graph_at(body, call)).collect())
                }
                other => other.clone(),
            };
            Some(Attr { value, ..attr.clone() })
        };
        attrs.iter().filter_map(one).collect()
    }

    /// The body with what the call gives.
    pub fn body_at(&self, call: &Node) -> Graph {
        self.graph_at(&self.body, call)
    }

    /// A graph of the function (its body, or a subgraph in it) with what the call gives.
    fn graph_at(&self, graph: &Graph, call: &Node) -> Graph {
        let mut graph = graph.clone();
        let refers = |attr: &Attr| matches!(attr.value, AttrValue::Reference { .. }) || !attr.value.graphs().is_empty();
        let nodes: Vec<_> = graph.nodes().filter(|(_, node)| node.attrs.iter().any(refers)).map(|(id, _)| id).collect();
        for id in nodes {
            let node = graph.node_mut(id);
            node.attrs = self.attrs_at(&node.attrs, call);
        }
        graph
    }
}
