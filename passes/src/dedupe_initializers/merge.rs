//! Carrying out: readers of equal constants read one, through captures where it is in a graph around theirs.

use onnxpress_ir::{Edit, EditError, Graph, NodeId, Vertex};
use onnxpress_ops::infer::Standard;

use super::DedupeInitializers;
use super::tree::Merge;
use crate::pass::{Pass, PassError};
use crate::reading_across::{Path, graph_at, read_instead};
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
        carry_out_one(graph_at(graph, &merge.path), &merge).map_err(broken)?;
        // A copy comes for one of those that go.
        merged += merge.gone.len() - usize::from(merge.keep.is_none());
    }
    Ok(merged)
}

fn carry_out_one(graph: &mut Graph, merge: &Merge) -> Result<(), EditError> {
    let kept = match merge.keep {
        Some(id) => id,
        None => copy(graph, &merge.gone),
    };
    merge.gone.iter().try_for_each(|(rest, id)| read_instead(graph, rest, *id, kept, NAME))
}

/// A copy, in this graph, of the first of the constants inside that go.
fn copy(graph: &mut Graph, gone: &[(Path, NodeId)]) -> NodeId {
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
    value.node
}
