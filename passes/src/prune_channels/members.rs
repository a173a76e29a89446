//! Members: which axes of which constants lose an index with each leaf.

use onnxpress_ir::analysis::channels::{Coupling, Made, SpanId};
use onnxpress_ir::{Graph, NodeId, Slot, Tensor, Use};

/// An axis of a constant along which a leaf lies.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// The constant.
    pub(crate) constant: NodeId,
    /// The reading of it.
    pub(crate) reading: Use,
    /// The axis.
    pub(crate) axis: usize,
}

/// Of a window's axes nobody expects anything.
pub(crate) const WINDOW: &str = "places along the axis matter";

/// Whether any member is a weight rather than a list of axes or the like.
pub(crate) fn has_weights(graph: &Graph, members: &[Member]) -> bool {
    let is_weight = |tensor: &Tensor| tensor.dtype().is_float() || tensor.rank() > 1;
    members.iter().any(|member| graph.constant(member.constant.port(0)).is_some_and(is_weight))
}

/// The members of every leaf, in the order of constants; each reading of a constant counts.
pub(crate) fn members(graph: &Graph, coupling: &Coupling) -> Vec<Vec<Member>> {
    let mut all = vec![Vec::new(); coupling.spans.leaves().len()];
    for (id, constant) in graph.constants() {
        if constant.value.dense().is_none() {
            continue;
        }
        let mut readings: Vec<Use> = graph.readers(id.port(0)).collect();
        readings.sort_by_key(|reading| (graph.place(reading.node), *reading));
        for reading in readings {
            for (axis, &span) in coupling.read(graph, reading).unwrap_or_default().iter().enumerate() {
                let mut here = Vec::new();
                coupling.spans.visit_leaves(span, &mut |leaf| here.push(leaf));
                here.sort_unstable();
                here.dedup();
                for leaf in here {
                    all[leaf].push(Member { constant: id, reading, axis });
                }
            }
        }
    }
    all
}

/// For each index of a span, which index of which leaf it is one of: triples of index, leaf, index in the leaf.
pub(crate) fn occurrences(coupling: &Coupling, span: SpanId) -> Vec<(usize, usize, usize)> {
    let extent = |span| coupling.spans.extent(span).unwrap_or(0);
    match coupling.spans.made(span) {
        Made::Leaf(leaf) => (0..extent(span)).map(|index| (index, leaf, index)).collect(),
        Made::Sum(parts) => {
            let mut start = 0;
            let mut all = Vec::new();
            for &part in parts {
                all.extend(occurrences(coupling, part).into_iter().map(|(at, leaf, index)| (start + at, leaf, index)));
                start += extent(part);
            }
            all
        }
        Made::Product(parts) => {
            let mut all = Vec::new();
            for (place, &part) in parts.iter().enumerate() {
                let outer: usize = parts[..place].iter().map(|&part| extent(part)).product();
                let inner: usize = parts[place + 1..].iter().map(|&part| extent(part)).product();
                let own = extent(part);
                for (at, leaf, index) in occurrences(coupling, part) {
                    for row in 0..outer {
                        let start = (row * own + at) * inner;
                        all.extend((start..start + inner).map(|place| (place, leaf, index)));
                    }
                }
            }
            all
        }
    }
}

/// The weights among the members of a leaf: floats of at least two axes, or, where there are none, all floats.
pub(crate) fn weights<'m>(graph: &Graph, members: &'m [Member]) -> Vec<&'m Member> {
    let of_rank = |least: usize| -> Vec<&'m Member> {
        let is_weight = |tensor: &Tensor| tensor.dtype().is_float() && tensor.rank() >= least;
        members.iter().filter(|member| graph.constant(member.constant.port(0)).is_some_and(is_weight)).collect()
    };
    let matrices = of_rank(2);
    if matrices.is_empty() { of_rank(1) } else { matrices }
}

/// Which operand of its reader a member is.
pub(crate) fn operand(member: &Member) -> Option<u32> {
    match member.reading.slot {
        Slot::Operand(index) => Some(index),
        Slot::Capture(_) => None,
    }
}
