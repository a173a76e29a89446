//! Carrying out: readers of equal constants read one, through captures where it is in a graph around theirs.

use onnxpress_ir::{Edit, EditError, Graph, NodeId, Port, ValueId, Vertex};
use onnxpress_ops::infer::Standard;

use super::DedupeInitializers;
use super::tree::{Merge, Path};
use crate::pass::{Pass, PassError};
use crate::rewrite::file_size::Written;
use crate::rewrite::{ModelFacts, Place, Surroundings};

const NAME: &str = DedupeInitializers::NAME;

/// Merges what the plan says; answers how many constants went.
pub(super) fn carry_out(
    graph: &mut Graph,
    plan: Vec<Merge>,
    place: Place,
    facts: &ModelFacts,
) -> Result<usize, PassError> {
    let mut merged = 0;
    for merge in plan {
        let place = if merge.path.is_empty() { place } else { Place::Subgraph };
        let written = Surroundings::outermost(facts, place).written();
        if merge.keep.is_none() && written == Written::Node {
            // The graph around can have no initializers, so the copy would be one node more.
            continue;
        }
        let broken = |error: EditError| PassError::Broken(error.to_string());
        carry_out_one(at(graph, &merge.path), &merge).map_err(broken)?;
        // A copy comes for one of those that go.
        merged += merge.gone.len() - usize::from(merge.keep.is_none());
    }
    Ok(merged)
}

/// The graph at the end of a path, counted as a change of all around it.
fn at<'g>(graph: &'g mut Graph, path: &[(NodeId, usize)]) -> &'g mut Graph {
    path.iter().fold(graph, |graph, &(holder, index)| {
        graph.subgraphs_mut(holder).nth(index).expect("the plan was made of this graph")
    })
}

fn carry_out_one(graph: &mut Graph, merge: &Merge) -> Result<(), EditError> {
    let kept = match merge.keep {
        Some(id) => id.port(0),
        None => copy(graph, &merge.gone),
    };
    merge.gone.iter().try_for_each(|(rest, id)| read_instead(graph, rest, *id, kept))
}

/// A copy, in this graph, of the first of the constants inside that go.
fn copy(graph: &mut Graph, gone: &[(Path, NodeId)]) -> ValueId {
    let mut inner = &*graph;
    let (path, id) = &gone[0];
    for &(holder, index) in path {
        inner = inner.node(holder).and_then(|node| node.subgraphs().nth(index)).unwrap_or(inner);
    }
    let constant = match inner.get(*id) {
        Some(Vertex::Constant(constant)) => constant.clone(),
        _ => unreachable!("the plan was made of this graph"),
    };
    let tensor = constant.value.dense().expect("only dense constants are found").clone();
    let mut edit = Edit::new(graph, &Standard, NAME, &[]);
    let value = edit.add_constant(constant.port.name, tensor);
    edit.commit();
    value
}

/// Makes the readers of constant `gone`, at the end of `path`, read `kept` of this graph, and removes it.
fn read_instead(graph: &mut Graph, path: &[(NodeId, usize)], gone: NodeId, kept: ValueId) -> Result<(), EditError> {
    let Some((&(holder, index), rest)) = path.split_first() else {
        let mut edit = Edit::new(graph, &Standard, NAME, &[]);
        edit.replace(gone.port(0), kept)?;
        edit.remove(gone);
        edit.commit();
        return Ok(());
    };
    let (operand, port) = implicit_operand(graph, holder, kept);
    let Some(body) = graph.subgraphs_mut(holder).nth(index) else { return Ok(()) };
    let captured = body.captures().find(|(_, capture)| capture.operand == operand).map(|(id, _)| id.port(0));
    let captured = captured.unwrap_or_else(|| body.add_capture(operand, port));
    read_instead(body, rest, gone, captured)
}

/// The number of a value among the implicit operands of a node, and what a capture of it knows.
fn implicit_operand(graph: &mut Graph, holder: NodeId, value: ValueId) -> (u32, Port) {
    let port = Port { omitted: false, ..graph.port(value).clone() };
    let place = graph.implicit_operands(holder).position(|operand| operand == Some(value));
    (place.map_or_else(|| graph.add_implicit_operand(holder, value), |place| place as u32), port)
}
