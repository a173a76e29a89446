//! What there is to prune in a model, and what is not, and why: the analysis for people, before anything is chosen.

use onnxpress_ir::{Model, NodeId};
use onnxpress_ops::coupling::coupling;
use serde::Serialize;

use super::apply::prepare;
use super::bodies;
use super::cost::Costs;
use super::members::{WINDOW, has_weights, members};
use super::plan::{self, PlannedMember};
use crate::evidence::Extents;
use crate::pass::{PassCx, PassError};

/// Channels that can only be removed together, index by index.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChannelGroup {
    /// The number by which a plan knows it; `None` for layers in the bodies of subgraphs, of which no plan speaks.
    pub id: Option<usize>,
    /// What people may call it: a constant that it is the first axis of, if there is one.
    pub name: String,
    /// How many channels there are.
    pub channels: usize,
    /// Why none of them may go; `None` where they may.
    pub pinned: Option<String>,
    /// Elements of the weights that lie along it.
    pub parameters: u64,
    /// Multiply-accumulates of the nodes that work along it.
    pub macs: u64,
    /// Where it lies.
    pub members: Vec<PlannedMember>,
}

/// The groups of a model.
#[derive(Debug, Clone)]
pub struct Channels {
    /// The model with its functions inlined, of whose nodes this speaks.
    pub model: Model,
    /// Its groups that lie in weights.
    pub groups: Vec<ChannelGroup>,
    /// For nodes whose output has channels of a group, which of `groups`: of several the one that most weights lie along.
    pub nodes: Vec<(NodeId, usize)>,
}

/// Surveys a model whose types are inferred.
///
/// # Errors
/// Where its functions cannot be inlined.
pub fn survey(model: &Model) -> Result<Channels, PassError> {
    let mut model = model.clone();
    prepare(&mut model, &mut PassCx::default())?;
    let graph = &model.graph;
    let coupling = coupling(graph);
    let members = members(graph, &coupling);
    let leaves = coupling.spans.leaves();
    let whole: Vec<usize> = leaves.iter().map(|leaf| leaf.extent).collect();
    let along = Costs::of_all(graph, &coupling, &Extents::default()).along(&whole);
    let mut places = vec![None; leaves.len()];
    let mut groups = Vec::new();
    for (id, leaf) in leaves.iter().enumerate() {
        let window = leaf.pinned.as_ref().is_some_and(|why| why.ends_with(WINDOW));
        if leaf.extent < 2 && leaf.pinned.is_some() || window || !has_weights(graph, &members[id]) {
            continue;
        }
        places[id] = Some(groups.len());
        groups.push(ChannelGroup {
            id: Some(id),
            name: plan::name(graph, &members[id]),
            channels: leaf.extent,
            pinned: leaf.pinned.clone(),
            parameters: along[id].params as u64,
            macs: along[id].macs as u64,
            members: plan::planned_members(graph, &members[id]),
        });
    }
    groups.extend(bodies::layers(graph).into_iter().map(|layer| ChannelGroup {
        id: None,
        name: layer.name,
        channels: layer.channels,
        pinned: Some(layer.reason),
        parameters: 0,
        macs: 0,
        members: layer.members,
    }));
    let mut nodes = Vec::new();
    for (id, _) in graph.nodes() {
        let mut best: Option<(bool, usize, usize)> = None;
        for &axis in coupling.axes(id.port(0)).unwrap_or_default() {
            coupling.spans.visit_leaves(axis, &mut |leaf| {
                if let Some(place) = places[leaf] {
                    best = best.max(Some((leaves[leaf].pinned.is_none(), members[leaf].len(), place)));
                }
            });
        }
        nodes.extend(best.map(|(_, _, place)| (id, place)));
    }
    Ok(Channels { groups, nodes, model })
}
