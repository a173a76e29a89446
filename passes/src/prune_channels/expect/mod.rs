//! What a model says of its own activations without having seen data: the means of channels, and channels that are constant.
//!
//! Batch normalization carries the statistics of what it was trained on: its outputs have mean `B` and deviation `scale`.
//! From there laws go through whatever works element by element, moves data or takes means; where two that are independent
//! meet in a sum, the sum is taken to be normal. A filter of zeros gives its bias. Of everything else nothing is known, and
//! nothing is guessed.
//!
//! A value is described compactly: by one law for each index of the axes along which laws differ, all others being a single
//! index. Batches, whose extent is mostly open, are such an axis, and so are the places of a picture, unless padding or a
//! concatenation made them differ.

mod follow;
mod law;

use std::collections::HashMap;

use onnxpress_ir::{Graph, NodeId, Shape, Tensor, ValueId};
use onnxpress_ops::node::NodeCx;

use law::Law;

/// The most laws of one value.
const MOST: usize = 1 << 22;

/// One law for each index of the axes along which they differ; the other axes have extent one.
#[derive(Debug, Clone)]
struct Known {
    dims: Vec<usize>,
    laws: Vec<Law>,
}

impl Known {
    /// Laws along one axis.
    fn along(rank: usize, axis: usize, laws: Vec<Law>) -> Option<Self> {
        let mut dims = vec![1; rank];
        *dims.get_mut(axis)? = laws.len();
        Some(Self { dims, laws })
    }

    /// The elements of a constant.
    fn constant(tensor: &Tensor) -> Option<Self> {
        if !tensor.dtype().is_float() || tensor.len() > MOST {
            return None;
        }
        let laws = tensor.to_f64s().ok()?.into_iter().map(Law::Constant).collect();
        Some(Self { dims: tensor.dims().to_vec(), laws })
    }
}

/// What is known of the values of a graph.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    known: HashMap<ValueId, Known>,
    /// Constants, and what is computed of nothing else.
    constants: HashMap<ValueId, Tensor>,
    sources: u32,
}

impl Expected {
    /// Of a graph whose types are inferred.
    pub(crate) fn of(graph: &Graph) -> Self {
        let mut expected = Self::default();
        if !says_anything(graph) {
            return expected;
        }
        for (id, _) in graph.constants() {
            if let Some(tensor) = graph.constant(id.port(0)) {
                expected.constants.insert(id.port(0), tensor.clone());
            }
        }
        for id in graph.topological().unwrap_or_default() {
            expected.follow(graph, id);
        }
        expected
    }

    /// The mean of each index along an axis of a value, `None` where it is not known; nothing at all where laws differ along
    /// other axes, too.
    pub(crate) fn means(&self, value: ValueId, axis: usize, extent: usize) -> Option<Vec<Option<f64>>> {
        let known = self.known.get(&value)?;
        let own = *known.dims.get(axis)?;
        if known.laws.len() != own || (own != extent && own != 1) {
            return None;
        }
        Some((0..extent).map(|index| known.laws[if own == 1 { 0 } else { index }].mean()).collect())
    }

    /// A value that depends on nothing but constants.
    pub(crate) fn constant(&self, value: ValueId) -> Option<&Tensor> {
        self.constants.get(&value)
    }

    fn follow(&mut self, graph: &Graph, id: NodeId) {
        let Some(cx) = NodeCx::new(graph, id) else { return };
        self.fold(&cx);
        for (port, known) in (0u32..).zip(self.outputs(&cx)) {
            if let Some(known) = known.filter(|known| known.laws.iter().any(|law| !matches!(law, Law::Unknown))) {
                self.known.insert(id.port(port), known);
            }
        }
    }

    fn source(&mut self) -> u32 {
        self.sources += 1;
        self.sources
    }
}

/// Whether there is a normalization with statistics, or a filter of zeros.
fn says_anything(graph: &Graph) -> bool {
    let normalizes = |id: NodeId| {
        graph.node(id).is_some_and(|node| node.is("BatchNormalization") || node.is("InstanceNormalization"))
    };
    graph.nodes().any(|(id, _)| {
        normalizes(id)
            || NodeCx::new(graph, id).is_some_and(|cx| follow::silent(&cx).is_some_and(|all| all.contains(&true)))
    })
}

/// The extents of a shape, 1 for those that are open.
fn closed(shape: &Shape) -> Option<Vec<usize>> {
    shape.iter().map(|dim| dim.as_const().map_or(Some(1), |extent| usize::try_from(extent).ok())).collect()
}
