//! Which columns of which layers belong to the indices of a leaf.

use std::collections::BTreeMap;

use faer::Mat;
use onnxpress_ir::analysis::channels::{Coupling, Made};
use onnxpress_ir::{Graph, NodeId, ValueId};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::{Linear, LinearLayer};
use onnxpress_ops::table;

use super::super::members::{Member, occurrences, operand};
use crate::reconstruction::LayerWeight;

/// A layer that multiplies by a constant which nobody else reads.
#[derive(Debug, Clone)]
pub(super) struct Plain {
    pub(super) node: NodeId,
    pub(super) layer: LinearLayer,
    pub(super) weight: ValueId,
    pub(super) matrices: LayerWeight,
}

/// A layer that reads the indices of a leaf.
#[derive(Debug, Clone)]
pub(super) struct Consumer {
    pub(super) plain: Plain,
    /// For each index of the leaf: the columns that belong to it, in every group the same.
    pub(super) columns: Vec<Vec<usize>>,
}

/// What carries the indices of a leaf on to themselves, inside a node: weights of layers, not those of their inputs, along several axes
/// of which it lies. As matrices, the last axis, which is what they read, in columns.
pub(super) fn recurrences(graph: &Graph, coupling: &Coupling, members: &[Member]) -> Vec<Mat<f64>> {
    let mut found = Vec::new();
    for member in members {
        let twice = members.iter().any(|other| other.reading == member.reading && other.axis < member.axis);
        let Some(tensor) = graph.constant(member.constant.port(0)).filter(|tensor| tensor.dtype().is_float()) else {
            continue;
        };
        let span = coupling.read(graph, member.reading).and_then(|axes| axes.get(member.axis)).copied();
        let whole = span.is_some_and(|span| matches!(coupling.spans.made(span), Made::Leaf(_)));
        let Some(&extent) = tensor.dims().get(member.axis) else { continue };
        if !(twice && whole && is_beside_weight(graph, member)) || member.axis + 1 != tensor.rank() || extent == 0 {
            continue;
        }
        let Ok(values) = tensor.to_f64s() else { continue };
        found.push(Mat::from_fn(values.len() / extent, extent, |row, column| values[row * extent + column]));
    }
    found
}

/// Whether a member is an operand of a layer that is not the weight of its input.
fn is_beside_weight(graph: &Graph, member: &Member) -> bool {
    let Some(cx) = NodeCx::new(graph, member.reading.node) else { return false };
    let Some(Linear::Layers(layers)) = table::of(cx.node).map(|operator| operator.linear) else { return false };
    let layers = layers(&cx);
    !layers.is_empty() && layers.iter().all(|layer| operand(member) != u32::try_from(layer.weight).ok())
}

/// The layer of a node, where there is one with a weight of its own and results that are the product itself.
pub(super) fn plain(graph: &Graph, node: NodeId) -> Option<Plain> {
    let cx = NodeCx::new(graph, node)?;
    let Linear::Layers(layers) = table::of(cx.node)?.linear else { return None };
    let layer = layers(&cx).into_iter().next()?;
    let weight = cx.operand(layer.weight)?;
    let tensor = graph.constant(weight).filter(|tensor| tensor.dtype().is_float())?;
    graph.sole_reader(weight)?;
    let is_one = |name: &str| cx.attrs().float_or(name, 1.0).is_ok_and(|value| value == 1.0);
    if cx.node.is("Gemm") && !(is_one("alpha") && is_one("beta")) {
        return None;
    }
    let matrices = LayerWeight::of(&layer, tensor.dims())?;
    Some(Plain { node, layer, weight, matrices })
}

/// The layers that read each leaf.
pub(super) fn consumers(graph: &Graph, coupling: &Coupling, members: &[Vec<Member>]) -> Vec<Vec<Consumer>> {
    let leaves = coupling.spans.leaves();
    let of = |(leaf, members): (usize, &Vec<Member>)| {
        let mut found: BTreeMap<NodeId, Consumer> = BTreeMap::new();
        for member in members {
            let Some(plain) = plain(graph, member.reading.node) else { continue };
            let place = plain.layer.input_axes.iter().position(|&axis| axis == member.axis);
            let is_weight = operand(member) == u32::try_from(plain.layer.weight).ok();
            let (Some(place), true) = (place, is_weight) else { continue };
            let Some(&span) = coupling.read(graph, member.reading).and_then(|axes| axes.get(member.axis)) else {
                continue;
            };
            let Some(dims) = graph.constant(plain.weight).map(|tensor| tensor.dims().to_vec()) else { continue };
            // Axis 0, where it is an input's, runs over the groups; then an index is in one group only.
            if plain.layer.groups > 1 && member.axis == 0 {
                continue;
            }
            let inner: usize = plain.layer.input_axes[place + 1..].iter().map(|&axis| dims[axis]).product();
            let outer: usize = plain.layer.input_axes[..place].iter().map(|&axis| dims[axis]).product();
            let extent = dims[member.axis];
            let consumer = found
                .entry(plain.node)
                .or_insert_with(|| Consumer { plain, columns: vec![Vec::new(); leaves[leaf].extent] });
            for (at, of, index) in occurrences(coupling, span) {
                if of == leaf {
                    let columns = (0..outer).flat_map(|row| {
                        let start = (row * extent + at) * inner;
                        start..start + inner
                    });
                    consumer.columns[index].extend(columns);
                }
            }
        }
        found.into_values().collect()
    };
    members.iter().enumerate().map(of).collect()
}
