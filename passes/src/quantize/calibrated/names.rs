//! Which nodes a request names.

use std::collections::BTreeSet;

use onnxpress_ir::{Graph, NodeId, Vertex};

use super::options::{Exempt, Override, Quantize};
use crate::options::Pattern;
use crate::pass::PassError;

/// What a request allows of each node.
pub(crate) struct Selection<'o> {
    options: &'o Quantize,
    overrides: Vec<Override>,
    first: BTreeSet<NodeId>,
    last: BTreeSet<NodeId>,
}

/// What patterns are held against: the names of a node, of its results and of its constants.
pub(crate) fn names(graph: &Graph, id: NodeId) -> Vec<String> {
    let Some(node) = graph.node(id) else { return Vec::new() };
    let own = node.name.iter().filter(|name| !name.is_empty()).map(ToString::to_string);
    let given = node.ports().iter().filter_map(|port| Some(port.name.as_ref()?.to_string()));
    let constants = graph.operands(id).flatten().filter(|value| graph.constant(*value).is_some());
    own.chain(given).chain(constants.map(|value| graph.label(value))).collect()
}

fn says(pattern: &Pattern, names: &[String]) -> bool {
    names.iter().any(|name| pattern.matches(name))
}

impl<'o> Selection<'o> {
    /// Of the nodes of a graph, of which `is_layer` tells the linear maps.
    ///
    /// # Errors
    /// Where a pattern names nothing.
    pub(crate) fn of(
        options: &'o Quantize,
        graph: &Graph,
        is_layer: &dyn Fn(NodeId) -> bool,
    ) -> Result<Self, PassError> {
        let overrides = options.overrides()?;
        let all: Vec<Vec<String>> = graph.nodes().map(|(id, _)| names(graph, id)).collect();
        let patterns = options.only.iter().chain(&options.keep).map(|pattern| (pattern, pattern.to_string()));
        let patterns = patterns.chain(overrides.iter().map(|it| (&it.pattern, it.text.clone())));
        for (pattern, text) in patterns {
            if !all.iter().any(|names| says(pattern, names)) {
                return Err(PassError::Request(format!("the pattern `{text}` matches no node and no constant")));
            }
        }
        let (first, last) = outermost(graph, is_layer);
        Ok(Self { options, overrides, first, last })
    }

    /// Whether the request allows to quantize a node.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn allows(&self, graph: &Graph, id: NodeId) -> Result<(), String> {
        self.allows_named(&names(graph, id))?;
        let refused = match () {
            () if self.options.exempt.contains(&Exempt::First) && self.first.contains(&id) => {
                "the first layers are exempt"
            }
            () if self.options.exempt.contains(&Exempt::Last) && self.last.contains(&id) => {
                "the last layers are exempt"
            }
            () => return Ok(()),
        };
        Err(refused.to_owned())
    }

    /// Whether the request allows to quantize what has these names.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn allows_named(&self, names: &[String]) -> Result<(), String> {
        let options = self.options;
        let refused = match () {
            () if options.keep.iter().any(|pattern| says(pattern, names)) => "`keep` names it",
            () if !options.only.is_empty() && !options.only.iter().any(|pattern| says(pattern, names)) => {
                "not among what `only` names"
            }
            () if self.overridden(names).is_some_and(|it| it.activations.is_none()) => "`overrides` leaves it in float",
            () => return Ok(()),
        };
        Err(refused.to_owned())
    }

    /// What an override says of a node with these names: the last one that matches.
    pub(crate) fn overridden(&self, names: &[String]) -> Option<&Override> {
        self.overrides.iter().rev().find(|it| says(&it.pattern, names))
    }
}

/// The layers that no other layer comes before, and those that none comes after.
fn outermost(graph: &Graph, is_layer: &dyn Fn(NodeId) -> bool) -> (BTreeSet<NodeId>, BTreeSet<NodeId>) {
    let order = graph.topological().unwrap_or_default();
    let mut behind = BTreeSet::new();
    let mut first = BTreeSet::new();
    for &id in &order {
        let after = graph.reads(id).any(|value| behind.contains(&value.node));
        let layer = is_layer(id);
        if layer && !after {
            first.insert(id);
        }
        if layer || after {
            behind.insert(id);
        }
    }
    let mut before = BTreeSet::new();
    let mut last = BTreeSet::new();
    for &id in order.iter().rev() {
        let ports = graph.vertex(id).ports().len() as u32;
        let is_output = matches!(graph.get(id), Some(Vertex::Output(_)));
        let mut readers = (0..ports).flat_map(|port| graph.readers(id.port(port)));
        let ahead = readers.any(|reading| before.contains(&reading.node));
        let layer = is_layer(id);
        if layer && !ahead {
            last.insert(id);
        }
        if (layer || ahead) && !is_output {
            before.insert(id);
        }
    }
    (first, last)
}
