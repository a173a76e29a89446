//! The interpreter: a model run node by node on the reference kernels.
//!
//! The slow oracle: it decides where runtimes disagree, checks small graphs where no runtime can follow, and evaluates
//! constant parts for passes. Values are dropped after their last reader, so memory holds what is live and no more.

use std::cell::Cell;

use onnxpress_ir::{ConstantValue, Function, Graph, Model, Node, NodeId, ValueId, Vertex};

use crate::evaluate::pick::densify;
use crate::evaluate::{Bodies, EvalCx, EvalError, Value};
use crate::operator::Evaluate;
use crate::table;

/// Bounds of a run, so that a hostile or huge model ends in an error.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most elements that one value may have.
    pub elements: usize,
    /// The most elementary steps (roughly, multiply-accumulates) that the run may take.
    pub steps: u64,
    /// How deep calls of functions and subgraphs may nest.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { elements: 1 << 28, steps: u64::MAX, depth: 200 }
    }
}

/// Why a run ended without outputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterpretError {
    /// A node failed.
    #[error("{node}: {error}")]
    Node {
        /// The node, as messages call it.
        node: String,
        /// Why.
        error: EvalError,
    },
    /// Values given do not fit the model's inputs.
    #[error("{0}")]
    Inputs(String),
    /// The graph has no order to run in.
    #[error(transparent)]
    Cycle(#[from] onnxpress_ir::Cycle),
}

impl InterpretError {
    /// The error of the node that called the graph in which this one came up. What is not supported inside is not supported
    /// outside.
    fn of_caller(self) -> EvalError {
        match self {
            Self::Node { node, error: EvalError::Unsupported(what) } => {
                EvalError::Unsupported(format!("{node}: {what}"))
            }
            Self::Node { error: error @ EvalError::TooLarge { .. }, .. } => error,
            other => EvalError::Invalid(other.to_string()),
        }
    }
}

/// Runs the model. `inputs` has one entry an input, `None` for those with a default that is to be taken.
///
/// # Errors
/// Where inputs are missing, a node's kernel fails, or a bound is met.
pub fn run(model: &Model, inputs: Vec<Option<Value>>, limits: Limits) -> Result<Vec<Value>, InterpretError> {
    let graph = &model.graph;
    for (&id, value) in graph.inputs().iter().zip(&inputs) {
        if value.is_none() && graph.input(id).default.is_none() {
            return Err(InterpretError::Inputs(format!("no value for {}", graph.describe(id))));
        }
    }
    let fuel = Cell::new(limits.steps);
    let frame = Frame { model: Some(model), limits, fuel: &fuel, depth: 0 };
    frame.graph(graph, inputs, &[])
}

/// Evaluates one node of a graph, as constant folding does. Nodes that call functions of the model are not followed.
///
/// # Errors
/// Where the operator has no kernel, or it fails, or a bound is met.
pub fn node(graph: &Graph, id: NodeId, inputs: &[Option<Value>], limits: Limits) -> Result<Vec<Value>, EvalError> {
    let fuel = Cell::new(limits.steps);
    let frame = Frame { model: None, limits, fuel: &fuel, depth: 0 };
    frame.node(graph, id, inputs, &[])
}

/// One level of calls.
struct Frame<'a> {
    model: Option<&'a Model>,
    limits: Limits,
    fuel: &'a Cell<u64>,
    depth: usize,
}

/// Runs the subgraphs of one node, whose captured values are at hand.
struct NodeBodies<'a> {
    frame: Frame<'a>,
    captured: &'a [Option<Value>],
}

impl Bodies for NodeBodies<'_> {
    fn run(&self, body: &Graph, inputs: Vec<Value>) -> Result<Vec<Value>, EvalError> {
        self.frame.graph(body, inputs.into_iter().map(Some).collect(), self.captured).map_err(InterpretError::of_caller)
    }
}

impl<'a> Frame<'a> {
    fn deeper(&self) -> Result<Frame<'a>, EvalError> {
        if self.depth >= self.limits.depth {
            return Err(EvalError::unsupported(format!("nesting deeper than {}", self.limits.depth)));
        }
        Ok(Frame { depth: self.depth + 1, ..*self })
    }

    /// Runs a graph. An input of a function that its call leaves out is left out of the nodes that read it.
    fn graph(
        &self,
        graph: &Graph,
        inputs: Vec<Option<Value>>,
        captured: &[Option<Value>],
    ) -> Result<Vec<Value>, InterpretError> {
        if inputs.len() != graph.inputs().len() {
            let (found, expected) = (inputs.len(), graph.inputs().len());
            return Err(InterpretError::Inputs(format!("{found} values for {expected} inputs")));
        }
        let mut live = Live::new(graph, self.limits.elements);
        for (&id, value) in graph.inputs().iter().zip(inputs) {
            let default = || graph.input(id).default.as_ref().map(|default| of_constant(default, live.limit));
            let value = value.map(Ok).or_else(default).transpose();
            live.put(id.port(0), value.map_err(|error| InterpretError::Node { node: graph.describe(id), error })?);
        }
        for (id, capture) in graph.captures() {
            live.put(id.port(0), captured.get(capture.operand as usize).cloned().flatten());
        }
        for id in graph.topological()? {
            if graph.node(id).is_none() {
                continue;
            }
            let fail = |error| InterpretError::Node { node: graph.describe(id), error };
            let operands = live.take(graph.operands(id)).map_err(fail)?;
            let implicit = live.take(graph.implicit_operands(id)).map_err(fail)?;
            let outputs = self.node(graph, id, &operands, &implicit).map_err(fail)?;
            for (port, value) in (0u32..).zip(outputs).take(graph.vertex(id).ports().len()) {
                live.put(id.port(port), Some(value));
            }
            for read in graph.reads(id) {
                live.done_reading(read);
            }
        }
        graph
            .outputs()
            .iter()
            .map(|&id| {
                let fail = |error| InterpretError::Node { node: graph.describe(id), error };
                let value = live.take(graph.operands(id)).map_err(fail)?.pop().flatten();
                value.ok_or_else(|| fail(EvalError::invalid("it was not computed")))
            })
            .collect()
    }

    fn node(
        &self,
        graph: &Graph,
        id: NodeId,
        inputs: &[Option<Value>],
        captured: &[Option<Value>],
    ) -> Result<Vec<Value>, EvalError> {
        let node = graph.node(id).ok_or_else(|| EvalError::invalid("no node"))?;
        let function =
            self.model.and_then(|model| model.function(node.canonical_domain(), &node.op_type, &node.overload));
        if let Some(function) = function {
            return self.call(function, node, inputs);
        }
        let operator =
            table::of(node).ok_or_else(|| EvalError::unsupported(format!("operator {}", qualified(node))))?;
        let kernel = match operator.evaluate {
            Evaluate::With(kernel) => kernel,
            Evaluate::NotPossible(reason) => {
                return Err(EvalError::unsupported(format!("{} ({reason})", node.op_type)));
            }
        };
        kernel(&EvalCx {
            node,
            version: graph.opsets.version(node.canonical_domain()).unwrap_or(1),
            inputs,
            limit: self.limits.elements,
            fuel: self.fuel,
            bodies: &NodeBodies { frame: self.deeper()?, captured },
        })
    }

    fn call(&self, function: &Function, call: &Node, inputs: &[Option<Value>]) -> Result<Vec<Value>, EvalError> {
        let mut inputs = inputs.to_vec();
        inputs.resize(function.body.inputs().len(), None);
        let deeper = self.deeper()?;
        let takes_attributes = !function.required.is_empty() || !function.defaults.is_empty();
        let outputs = if takes_attributes {
            deeper.graph(&function.body_at(call), inputs, &[])
        } else {
            deeper.graph(&function.body, inputs, &[])
        };
        outputs.map_err(InterpretError::of_caller)
    }
}

/// The operator with its domain, the standard's own left out.
fn qualified(node: &Node) -> String {
    match node.canonical_domain() {
        b"" => node.op_type.to_string(),
        _ => format!("{}.{}", node.domain, node.op_type),
    }
}

/// The tensor, dense: a sparse initializer is a way to store one, and read as any other.
fn of_constant(constant: &ConstantValue, limit: usize) -> Result<Value, EvalError> {
    match constant {
        ConstantValue::Dense(tensor) => Ok(tensor.clone().into()),
        ConstantValue::Sparse(tensor) => Ok(densify(tensor, limit)?.into()),
    }
}

/// The values of one graph that someone will still read.
struct Live<'g> {
    graph: &'g Graph,
    /// The most elements that a constant may have when it is written out.
    limit: usize,
    values: Vec<Vec<Slot>>,
}

/// What is known of one value, while it runs.
#[derive(Clone, Default)]
struct Slot {
    value: Option<Value>,
    /// Whether the call of the function leaves it out.
    left_out: bool,
    readers_left: usize,
}

impl<'g> Live<'g> {
    fn new(graph: &'g Graph, limit: usize) -> Self {
        let mut values = vec![Vec::new(); graph.slot_bound()];
        for (id, vertex) in graph.vertices() {
            let slot = |port| Slot { readers_left: graph.readers(id.port(port)).count(), ..Slot::default() };
            values[id.slot()] = (0..vertex.ports().len() as u32).map(slot).collect();
        }
        Self { graph, limit, values }
    }

    /// Takes a value down, or that it is left out.
    fn put(&mut self, at: ValueId, value: Option<Value>) {
        let slot = &mut self.values[at.node.slot()][at.port as usize];
        slot.left_out = value.is_none();
        if slot.readers_left > 0 {
            slot.value = value;
        }
    }

    fn get(&self, at: ValueId) -> Result<Option<Value>, EvalError> {
        if let Some(Vertex::Constant(constant)) = self.graph.get(at.node) {
            return of_constant(&constant.value, self.limit).map(Some);
        }
        let missing = || EvalError::invalid(format!("`{}` was not computed", self.graph.label(at)));
        let slot = self.values.get(at.node.slot()).and_then(|ports| ports.get(at.port as usize)).ok_or_else(missing)?;
        if slot.left_out { Ok(None) } else { slot.value.clone().map(Some).ok_or_else(missing) }
    }

    fn take(&self, reads: impl Iterator<Item = Option<ValueId>>) -> Result<Vec<Option<Value>>, EvalError> {
        reads.map(|read| read.map_or(Ok(None), |value| self.get(value))).collect()
    }

    fn done_reading(&mut self, value: ValueId) {
        let slot = &mut self.values[value.node.slot()][value.port as usize];
        slot.readers_left = slot.readers_left.saturating_sub(1);
        if slot.readers_left == 0 {
            slot.value = None;
        }
    }
}
