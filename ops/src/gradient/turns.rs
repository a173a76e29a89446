//! A `Scan` that is written here: a body that runs once for every slice of its operands.
//!
//! First the body is opened, with a value for each state, slice and captured value ([`Hand::open`]); whoever opened it writes what
//! a turn does; then it is closed, with what a turn leaves ([`Hand::close`]).

use std::sync::Arc;

use onnxpress_ir::{Attr, AttrValue, Carried, Edit, Graph, Input, Name, Node, Port, Shape, Type, ValueId};

use super::{GradientError, Hand};
use crate::infer::Standard;

/// A value of which every turn takes, or gives, one slice.
#[derive(Debug, Clone, Copy)]
pub struct Sliced {
    /// The value: around the body what is sliced, inside of it a slice that is stacked.
    pub value: ValueId,
    /// The axis that turns run along.
    pub axis: i64,
    /// Whether the first turn has the last slice.
    pub reversed: bool,
}

/// A body that is being written.
#[derive(Debug)]
pub struct Body {
    /// The graph of a turn.
    pub graph: Graph,
    /// The states as the turn finds them.
    pub states: Vec<ValueId>,
    /// Its slices.
    pub slices: Vec<ValueId>,
    /// What it captures.
    pub captured: Vec<ValueId>,
    operands: Vec<ValueId>,
    implicit: Vec<ValueId>,
    taken: Vec<Sliced>,
}

impl Body {
    /// An edit of what a turn does.
    pub fn edit(&mut self) -> Edit<'_> {
        Edit::new(&mut self.graph, &Standard, "scan", &[])
    }
}

/// What bodies are called; inside of each other, with a number.
const TURN: &str = "turn";

/// How many bodies that are written here a graph is in, itself among them.
fn level(graph: &Graph) -> usize {
    let name = graph.name.as_ref().map(Name::to_str).unwrap_or_default();
    match name.strip_prefix(TURN) {
        Some("") => 1,
        Some(number) => {
            number.strip_prefix('_').and_then(|number| number.parse().ok()).map_or(0, |level: usize| level + 1)
        }
        None => 0,
    }
}

/// A name that is another one in each body of several inside of each other: values of an inner one must not hide those around it.
fn at_level(kind: &str, level: usize, number: usize) -> String {
    match level {
        0 => format!("{kind}_{number}"),
        _ => format!("{kind}_{level}_{number}"),
    }
}

/// The type of a slice.
fn slice_of(ty: &Type, axis: i64) -> Type {
    let shape = ty.shape().and_then(|shape| {
        let at = onnxpress_ir::shape::normalize_axis(axis, shape.len())?;
        let others = shape.iter().enumerate().filter(|&(axis, _)| axis != at);
        Some(others.map(|(_, dim)| dim.clone()).collect::<Shape>())
    });
    Type::tensor(ty.dtype(), shape)
}

impl Hand<'_, '_> {
    /// Opens a body: with these states, which go from turn to turn, slices of these values, and these captured.
    pub fn open(&self, states: &[ValueId], slices: &[Sliced], captured: &[ValueId]) -> Body {
        let around = self.graph();
        let mut graph = Graph::new(Arc::clone(&around.opsets));
        let level = level(around);
        graph.name = Some(Name::from(if level == 0 { TURN.to_owned() } else { format!("{TURN}_{level}") }));
        let mut input = |name: String, declared: Type| {
            let port = Port::new(name, declared.clone());
            graph.add_input(Input { port, default: None, declared, carried: Carried::none() })
        };
        let named = |kind: &str, at: usize| at_level(kind, level, at);
        let inner_states =
            states.iter().enumerate().map(|(at, &value)| input(named("state", at), around.ty(value).clone())).collect();
        let inner_slices = slices
            .iter()
            .enumerate()
            .map(|(at, slice)| input(named("slice", at), slice_of(around.ty(slice.value), slice.axis)))
            .collect();
        let seen = (0u32..).zip(captured);
        let captures = seen.map(|(number, &value)| graph.add_capture(number, around.port(value).clone())).collect();
        Body {
            graph,
            states: inner_states,
            slices: inner_slices,
            captured: captures,
            operands: states.iter().copied().chain(slices.iter().map(|slice| slice.value)).collect(),
            implicit: captured.to_vec(),
            taken: slices.to_vec(),
        }
    }

    /// Closes a body: with the states as a turn leaves them, and slices that are stacked. Answers the last states and the stacks.
    ///
    /// # Errors
    /// Where the body makes no sense.
    pub fn close(&mut self, body: Body, states: &[ValueId], stacked: &[Sliced]) -> Result<Vec<ValueId>, GradientError> {
        let Body { mut graph, operands, implicit, taken, .. } = body;
        let outputs = states.iter().copied().chain(stacked.iter().map(|slice| slice.value));
        let level = level(self.graph());
        for (at, value) in outputs.enumerate() {
            let ty = graph.ty(value).clone();
            graph.add_output(Name::from(at_level("left", level, at)), ty, Carried::none(), value);
        }
        let mut node = Node::new("Scan", states.len() + stacked.len())
            .with(Attr::new("body", AttrValue::Graph(Box::new(graph))))
            .with(Attr::int("num_scan_inputs", taken.len() as i64));
        for (name, list) in [("scan_input", &taken[..]), ("scan_output", stacked)] {
            let axes: Vec<i64> = list.iter().map(|slice| slice.axis).collect();
            let directions: Vec<i64> = list.iter().map(|slice| i64::from(slice.reversed)).collect();
            for (kind, values) in [("axes", axes), ("directions", directions)] {
                if values.iter().any(|&value| value != 0) {
                    node = node.with(Attr::ints(format!("{name}_{kind}"), values));
                }
            }
        }
        let operands: Vec<Option<ValueId>> = operands.into_iter().map(Some).collect();
        let implicit: Vec<Option<ValueId>> = implicit.into_iter().map(Some).collect();
        let id = self.edit.add_holder(node, &operands, &implicit)?;
        Ok((0..(states.len() + stacked.len()) as u32).map(|port| id.port(port)).collect())
    }
}
