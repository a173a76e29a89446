//! Reverse mode through a `Scan`: a second one, that runs from the last turn to the first.
//!
//! Of each turn the states before it are kept ([`keep_states`]): the way back computes the turn anew from them and its slices, and
//! walks its body from the gradients of what it left to those of what it found. Gradients of states go from turn to turn as the
//! states did, those of slices are stacked, and those of captured values, the weights, are added up in states of their own. A `Scan` inside
//! of a body is walked like any other node of it, so they may stand in each other.

use std::collections::HashSet;

use onnxpress_ir::{Attr, AttrValue, Carried, Edit, EditError, Graph, Name, Node, NodeId, Port, ValueId};
use onnxpress_ops::gradient::{Body, GradientError, Hand, Sliced};
use onnxpress_ops::infer::Standard;
use onnxpress_ops::node::NodeCx;

use super::reverse::{Walked, walk};
use crate::transplant::{Copied, Transplant};

/// How operands and results are divided up.
struct Layout {
    states: usize,
    slices: Vec<(i64, bool)>,
    stacked: Vec<(i64, bool)>,
}

fn unclear() -> GradientError {
    GradientError::not_possible("its operands and results are not as it says")
}

impl Layout {
    fn of(cx: &NodeCx<'_>) -> Result<Self, GradientError> {
        let attrs = cx.attrs();
        let count = usize::try_from(attrs.int_or("num_scan_inputs", 0)?).map_err(|_| unclear())?;
        let states = cx.operand_count().checked_sub(count).ok_or_else(unclear)?;
        let stacked = cx.node.port_count().checked_sub(states).ok_or_else(unclear)?;
        let list = |kind: &str, length: usize| -> Result<Vec<(i64, bool)>, GradientError> {
            let entries = |name: String| match attrs.ints(&name)? {
                Some(entries) if entries.len() == length => Ok(entries),
                Some(_) => Err(unclear()),
                None => Ok(vec![0; length]),
            };
            let (axes, directions) = (entries(format!("{kind}_axes"))?, entries(format!("{kind}_directions"))?);
            Ok(axes.into_iter().zip(directions.into_iter().map(|direction| direction == 1)).collect())
        };
        Ok(Self { states, slices: list("scan_input", count)?, stacked: list("scan_output", stacked)? })
    }
}

/// Nodes whose results depend on these constants.
fn behind(graph: &Graph, constants: &[NodeId]) -> HashSet<NodeId> {
    let mut found: HashSet<NodeId> = constants.iter().copied().collect();
    for id in graph.topological().unwrap_or_default() {
        if graph.reads(id).any(|value| found.contains(&value.node)) {
            found.insert(id);
        }
    }
    found
}

/// Makes every `Scan` that parameters act on give out its states before each turn, stacked, behind its results; those inside of it do so too.
///
/// # Errors
/// Where a node that was written makes no sense.
pub(super) fn keep_states(graph: &mut Graph, parameters: &[NodeId]) -> Result<(), EditError> {
    let acted_on = behind(graph, parameters);
    let scans = graph.nodes().filter(|(id, node)| node.is("Scan") && acted_on.contains(id));
    keep_states_of(graph, scans.map(|(id, _)| id).collect(), 0)
}

/// The same, of these, so many bodies deep.
fn keep_states_of(graph: &mut Graph, scans: Vec<NodeId>, depth: usize) -> Result<(), EditError> {
    for id in scans {
        let Some(cx) = NodeCx::new(graph, id) else { continue };
        let (Ok(layout), Some(body)) = (Layout::of(&cx), cx.attrs().graph("body")) else { continue };
        if body.inputs().len() != cx.operand_count() || body.outputs().len() != cx.node.port_count() {
            continue;
        }
        let (node, mut body) = (extended(cx.node, &layout), body.clone());
        let inside = body.nodes().filter(|(_, node)| node.is("Scan")).map(|(id, _)| id).collect();
        keep_states_of(&mut body, inside, depth + 1)?;
        let body = with_states(body, layout.states, depth);
        let node = node.with(Attr::new("body", AttrValue::Graph(Box::new(body))));
        let operands: Vec<Option<ValueId>> = graph.operands(id).collect();
        let implicit: Vec<Option<ValueId>> = graph.implicit_operands(id).collect();
        let ports = graph.node(id).map_or(0, Node::port_count) as u32;
        let mut edit = Edit::new(graph, &Standard, super::NAME, &[id]);
        let added = edit.add_holder(node, &operands, &implicit)?;
        for port in 0..ports {
            edit.replace(id.port(port), added.port(port))?;
        }
        edit.remove(id);
        edit.commit();
    }
    Ok(())
}

/// The node with as many more results as it has states, all but its body.
fn extended(node: &Node, layout: &Layout) -> Node {
    let more = layout.states;
    let ports: Vec<Port> = (0..node.port_count() + more).map(|_| Port::default()).collect();
    let others = node.attrs.iter().filter(|attr| attr.name != "body");
    let longer = others.cloned().map(|mut attr| {
        if let (true, AttrValue::Ints(list)) =
            (attr.name == "scan_output_axes" || attr.name == "scan_output_directions", &mut attr.value)
        {
            list.extend(std::iter::repeat_n(0, more));
        }
        attr
    });
    longer.fold(Node::new("Scan", 0).with_ports(ports), Node::with)
}

/// The body, giving out the states as it finds them.
fn with_states(mut body: Graph, states: usize, depth: usize) -> Graph {
    let found: Vec<NodeId> = body.inputs().iter().copied().take(states).collect();
    for (at, id) in found.into_iter().enumerate() {
        let ty = body.ty(id.port(0)).clone();
        // No value inside of a body may hide one around it.
        let name = if depth == 0 { format!("before_{at}") } else { format!("before_{depth}_{at}") };
        body.add_output(Name::from(name), ty, Carried::none(), id.port(0));
    }
    body
}

/// The gradients of a `Scan`.
pub(super) struct Found {
    /// One entry an operand.
    pub operands: Vec<Option<ValueId>>,
    /// One entry an implicit operand.
    pub captured: Vec<Option<ValueId>>,
}

/// Which gradients are asked for.
pub(super) struct Wanted<'a> {
    /// One entry an operand.
    pub operands: &'a [bool],
    /// One entry an implicit operand.
    pub captured: &'a [bool],
}

/// Writes the gradients of a `Scan` whose states are kept, of those of its results.
///
/// # Errors
/// Where it has none.
pub(super) fn gradient(
    edit: &mut Edit<'_>,
    id: NodeId,
    results: &[Option<ValueId>],
    wanted: &Wanted<'_>,
) -> Result<Found, GradientError> {
    let graph = edit.graph();
    let cx = NodeCx::new(graph, id).ok_or_else(unclear)?;
    let layout = Layout::of(&cx)?;
    let body = cx.attrs().graph("body").ok_or_else(unclear)?.clone();
    let all = |values: Vec<Option<ValueId>>| values.into_iter().collect::<Option<Vec<_>>>().ok_or_else(unclear);
    let operands = all(graph.operands(id).collect())?;
    let captured = all(graph.implicit_operands(id).collect())?;
    let states = layout.states;
    let first_kept = body.outputs().len().checked_sub(states).ok_or_else(unclear)?;
    let keeps =
        (0..states).all(|at| body.operand(body.outputs()[first_kept + at], 0) == Some(body.inputs()[at].port(0)));
    if !keeps || first_kept < states {
        return Err(unclear());
    }
    let is_float = |value: ValueId| graph.ty(value).dtype().is_some_and(|dtype| dtype.is_float());
    let moving: Vec<usize> = (0..states).filter(|&at| is_float(operands[at])).collect();
    let weights: Vec<usize> = (0..captured.len()).filter(|&at| wanted.captured[at] && is_float(captured[at])).collect();
    let seeds: Vec<usize> = (states..first_kept).filter(|&port| results[port].is_some()).collect();
    let dtype = operands.iter().chain(&captured).find_map(|&value| graph.ty(value).dtype().filter(|ty| ty.is_float()));

    let mut hand = Hand::new(edit, dtype);
    let mut totals = Vec::new();
    for &at in &moving {
        totals.push(match results[at] {
            Some(gradient) => gradient,
            None => hand.zeros_like(operands[at])?,
        });
    }
    for &at in &weights {
        totals.push(hand.zeros_like(captured[at])?);
    }
    // The last turn comes first, so what ran forward runs backward, and the other way round.
    let back = |value: ValueId, (axis, reversed): (i64, bool)| Sliced { value, axis, reversed: !reversed };
    let kept = (0..states).map(|at| back(id.port((first_kept + at) as u32), (0, false)));
    let slices = layout.slices.iter().zip(&operands[states..]).map(|(&along, &value)| back(value, along));
    let given = seeds.iter().filter_map(|&port| Some(back(results[port]?, layout.stacked[port - states])));
    let slices: Vec<Sliced> = kept.chain(slices).chain(given).collect();
    let mut turn = hand.open(&totals, &slices, &captured);

    let found =
        back_through(&mut turn, &body, &Parts { states, moving: &moving, weights: &weights, seeds: &seeds, wanted })?;
    let mut stacked = Vec::new();
    let mut owners = Vec::new();
    for (at, gradient) in found.slices {
        stacked.push(back(gradient, layout.slices[at]));
        owners.push(states + at);
    }
    let made = hand.close(turn, &found.totals, &stacked)?;
    let mut answer = Found { operands: vec![None; operands.len()], captured: vec![None; captured.len()] };
    let (of_states, rest) = made.split_at(moving.len());
    let (of_weights, of_slices) = rest.split_at(weights.len());
    moving.iter().zip(of_states).for_each(|(&at, &value)| answer.operands[at] = Some(value));
    weights.iter().zip(of_weights).for_each(|(&at, &value)| answer.captured[at] = Some(value));
    owners.into_iter().zip(of_slices).for_each(|(at, &value)| answer.operands[at] = Some(value));
    Ok(answer)
}

/// What takes part in the way back, by number.
struct Parts<'a> {
    states: usize,
    /// States that are floats.
    moving: &'a [usize],
    /// Captured values whose gradients are wanted.
    weights: &'a [usize],
    /// Stacked results that something depends on.
    seeds: &'a [usize],
    wanted: &'a Wanted<'a>,
}

/// What a turn of the way back leaves.
struct Turned {
    /// Gradients of the states before the turn, then sums of those of captured values.
    totals: Vec<ValueId>,
    /// Gradients of slices, each with its number.
    slices: Vec<(usize, ValueId)>,
}

/// Writes a turn of the way back: the turn itself, and the walk through it.
fn back_through(turn: &mut Body, body: &Graph, parts: &Parts<'_>) -> Result<Turned, GradientError> {
    let Parts { states, moving, weights, seeds, wanted } = parts;
    let taken = body.inputs().len();
    let mut anew = Transplant::new(body);
    for (input, &value) in body.inputs().iter().zip(&turn.slices) {
        anew.give(input.port(0), Some(value));
    }
    anew.give_captures(&turn.captured.iter().copied().map(Some).collect::<Vec<_>>());
    let mut edit = turn.edit();
    let whole = anew.carry_out(
        &mut edit,
        |node| Copied::Node(Box::new(node.clone())),
        |edit, _, tensor| edit.add_constant(None, tensor),
    )?;
    edit.commit();
    if !whole {
        return Err(unclear());
    }
    let mut starts = Vec::new();
    for (total, &at) in moving.iter().enumerate() {
        starts.push((anew.output(at).ok_or_else(unclear)?, turn.states[total]));
    }
    for (place, &port) in seeds.iter().enumerate() {
        starts.push((anew.output(port).ok_or_else(unclear)?, turn.slices[taken + place]));
    }
    let sliced: Vec<usize> = (*states..taken).filter(|&at| wanted.operands[at]).collect();
    let sliced: Vec<usize> = sliced
        .into_iter()
        .filter(|&at| turn.graph.ty(turn.slices[at]).dtype().is_some_and(|dtype| dtype.is_float()))
        .collect();
    let targets: Vec<ValueId> = moving
        .iter()
        .chain(&sliced)
        .map(|&at| turn.slices[at])
        .chain(weights.iter().map(|&at| turn.captured[at]))
        .collect();
    let gradients = match walk(&mut turn.graph, &starts, &targets)? {
        Walked::Gradients(gradients) => gradients,
        Walked::Frozen(reasons) => {
            let reason = reasons.into_values().next().unwrap_or_default();
            return Err(GradientError::NotPossible(format!("inside of it, {reason}")));
        }
    };
    let (befores, sums) = (turn.states.clone(), moving.len());
    let (slices, captured) = (turn.slices.clone(), turn.captured.clone());
    let mut edit = turn.edit();
    let mut hand = Hand::new(&mut edit, None);
    let mut totals = Vec::new();
    for &at in *moving {
        totals.push(match gradients.get(&slices[at]) {
            Some(&gradient) => gradient,
            None => hand.zeros_like(slices[at])?,
        });
    }
    for (place, &at) in weights.iter().enumerate() {
        let before = befores[sums + place];
        totals.push(match gradients.get(&captured[at]) {
            Some(&gradient) => hand.apply("Add", &[before, gradient])?,
            None => before,
        });
    }
    edit.commit();
    let slices = sliced.into_iter().filter_map(|at| Some((at - states, *gradients.get(&slices[at])?))).collect();
    Ok(Turned { totals, slices })
}
