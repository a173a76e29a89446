//! The nodes of a body, copied into the graph around it: a function's where it is called, a subgraph's where it is known to run.

use std::collections::HashMap;

use onnxpress_ir::{Edit, EditError, Graph, Name, Node, Port, Tensor, ValueId, Vertex};

/// What a node of the body becomes.
pub(crate) enum Copied {
    /// A node.
    Node(Box<Node>),
    /// A constant.
    Constant(Tensor),
}

/// A body on its way into a graph, and what its values are there.
pub(crate) struct Transplant<'b> {
    body: &'b Graph,
    /// `None` for an input for which nothing is given.
    here: HashMap<ValueId, Option<ValueId>>,
}

impl<'b> Transplant<'b> {
    /// Nothing copied yet, and nothing given for inputs and captures.
    pub(crate) fn new(body: &'b Graph) -> Self {
        Self { body, here: HashMap::new() }
    }

    /// What a value of the body is in the graph around.
    pub(crate) fn give(&mut self, inner: ValueId, outer: Option<ValueId>) {
        self.here.insert(inner, outer);
    }

    /// Gives captures the values that the node which holds the body captures.
    pub(crate) fn give_captures(&mut self, captured: &[Option<ValueId>]) {
        for (id, vertex) in self.body.vertices() {
            if let Vertex::Capture(capture) = vertex {
                self.here.insert(id.port(0), captured.get(capture.operand as usize).copied().flatten());
            }
        }
    }

    /// Copies constants and nodes, the latter as `copied` says and the former as `constant` does. Answers whether every
    /// subgraph got what it captures.
    ///
    /// # Errors
    /// Where a node makes no sense in the graph around.
    pub(crate) fn carry_out(
        &mut self,
        edit: &mut Edit<'_>,
        mut copied: impl FnMut(&Node) -> Copied,
        constant: impl Fn(&mut Edit<'_>, Option<Name>, Tensor) -> ValueId,
    ) -> Result<bool, EditError> {
        let body = self.body;
        let mut constants: Vec<_> = body.constants().collect();
        constants.sort_by_key(|(id, constant)| (constant.order, *id));
        for (inner, value) in constants {
            if let Some(tensor) = value.value.dense() {
                let outer = constant(edit, value.port.name.clone(), tensor.clone());
                self.here.insert(inner.port(0), Some(outer));
            }
        }
        for inner in body.topological().unwrap_or_default() {
            let Some(node) = body.node(inner) else { continue };
            let mut operands: Vec<_> = body.operands(inner).map(|value| self.operand(value)).collect();
            let named = operands.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
            operands.truncate(named);
            let implicit: Vec<_> = body.implicit_operands(inner).map(|value| self.operand(value)).collect();
            if implicit.contains(&None) {
                return Ok(false);
            }
            let name = |port: &Port| Port { name: port.name.clone(), omitted: port.omitted, ..Port::default() };
            match copied(node) {
                Copied::Constant(tensor) => {
                    let label = node.ports().first().and_then(|port| port.name.clone());
                    let outer = constant(edit, label, tensor);
                    self.here.insert(inner.port(0), Some(outer));
                }
                Copied::Node(copy) => {
                    let copy = copy.with_ports(node.ports().iter().map(name).collect::<Vec<_>>());
                    let ports = 0..copy.port_count() as u32;
                    let added = edit.add_holder(copy, &operands, &implicit)?;
                    self.here.extend(ports.map(|port| (inner.port(port), Some(added.port(port)))));
                }
            }
        }
        Ok(true)
    }

    fn operand(&self, value: Option<ValueId>) -> Option<ValueId> {
        value.and_then(|value| self.here.get(&value).copied().flatten())
    }

    /// What an output of the body is in the graph around; `None` where it hands on an input for which nothing is given.
    pub(crate) fn output(&self, index: usize) -> Option<ValueId> {
        self.operand(self.body.operand(*self.body.outputs().get(index)?, 0))
    }

    /// Whether an output of the body is computed inside, and not handed on from outside.
    pub(crate) fn is_computed(&self, index: usize) -> bool {
        let value = self.body.outputs().get(index).and_then(|&output| self.body.operand(output, 0));
        value.is_some_and(|value| matches!(self.body.get(value.node), Some(Vertex::Node(_) | Vertex::Constant(_))))
    }
}
