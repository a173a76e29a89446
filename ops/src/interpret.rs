//! The interpreter: a model run node by node on the reference kernels.
//!
//! The slow oracle: it decides where runtimes disagree, checks small graphs where no runtime can follow, and evaluates
//! constant parts for passes. Values are dropped after their last reader, so memory holds what is live and no more.

use std::cell::Cell;

use onnxpress_ir::{ConstantValue, Function, Graph, Model, NodeId, ValueId, Vertex};

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
    let fuel = Cell::new(limits.steps);
    let frame = Frame { model: Some(model), limits, fuel: &fuel, depth: 0 };
    frame.graph(&model.graph, inputs, &[])
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
        let mut live = Live::new(graph);
        for (&id, value) in graph.inputs().iter().zip(inputs) {
            let value = match (value, &graph.input(id).default) {
                (Some(value), _) => value,
                (None, Some(default)) => of_constant(default),
                (None, None) => {
                    return Err(InterpretError::Inputs(format!("no value for {}", graph.describe(id))));
                }
            };
            live.put(id.port(0), value);
        }
        for (id, capture) in graph.captures() {
            if let Some(value) = captured.get(capture.operand as usize).and_then(Option::as_ref) {
                live.put(id.port(0), value.clone());
            }
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
                live.put(id.port(port), value);
            }
            for read in graph.reads(id) {
                live.done_reading(read);
            }
        }
        graph
            .outputs()
            .iter()
            .map(|&id| {
                let value = graph.operand(id, 0).and_then(|value| live.get(value));
                value.ok_or_else(|| InterpretError::Inputs(format!("{} was not computed", graph.describe(id))))
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
            return self.call(function, inputs);
        }
        let operator = table::of(node)
            .ok_or_else(|| EvalError::unsupported(format!("operator {}.{}", node.domain, node.op_type)))?;
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

    /// Calls a function without attributes; those with attributes are to be inlined first.
    fn call(&self, function: &Function, inputs: &[Option<Value>]) -> Result<Vec<Value>, EvalError> {
        if !function.required.is_empty() || !function.defaults.is_empty() {
            return Err(EvalError::unsupported(format!(
                "function {} with attributes (inline it first)",
                function.name
            )));
        }
        let mut inputs = inputs.to_vec();
        inputs.resize(function.body.inputs().len(), None);
        self.deeper()?.graph(&function.body, inputs, &[]).map_err(InterpretError::of_caller)
    }
}

fn of_constant(constant: &ConstantValue) -> Value {
    match constant {
        ConstantValue::Dense(tensor) => Value::Tensor(tensor.clone()),
        ConstantValue::Sparse(tensor) => Value::Sparse(tensor.clone()),
    }
}

/// The values of one graph that someone will still read.
struct Live<'g> {
    graph: &'g Graph,
    values: Vec<Vec<Option<Value>>>,
    readers_left: Vec<Vec<usize>>,
}

impl<'g> Live<'g> {
    fn new(graph: &'g Graph) -> Self {
        let mut values = vec![Vec::new(); graph.slot_bound()];
        let mut readers_left = vec![Vec::new(); graph.slot_bound()];
        for (id, vertex) in graph.vertices() {
            let ports = vertex.ports().len();
            values[id.slot()] = vec![None; ports];
            readers_left[id.slot()] = (0..ports as u32).map(|port| graph.readers(id.port(port)).count()).collect();
        }
        Self { graph, values, readers_left }
    }

    fn put(&mut self, at: ValueId, value: Value) {
        if self.readers_left[at.node.slot()][at.port as usize] > 0 {
            self.values[at.node.slot()][at.port as usize] = Some(value);
        }
    }

    fn get(&self, at: ValueId) -> Option<Value> {
        match self.graph.get(at.node) {
            Some(Vertex::Constant(constant)) => Some(of_constant(&constant.value)),
            _ => self.values.get(at.node.slot())?.get(at.port as usize)?.clone(),
        }
    }

    fn take(&self, reads: impl Iterator<Item = Option<ValueId>>) -> Result<Vec<Option<Value>>, EvalError> {
        reads
            .map(|read| match read {
                None => Ok(None),
                Some(value) => self
                    .get(value)
                    .map(Some)
                    .ok_or_else(|| EvalError::invalid(format!("`{}` was not computed", self.graph.label(value)))),
            })
            .collect()
    }

    fn done_reading(&mut self, value: ValueId) {
        let left = &mut self.readers_left[value.node.slot()][value.port as usize];
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.values[value.node.slot()][value.port as usize] = None;
        }
    }
}
