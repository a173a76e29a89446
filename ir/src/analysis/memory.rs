//! What a run of a graph holds at a time.
//!
//! Nodes are thought to run one after the other, in the graph's order, and values to be given up behind their last reader, as runtimes do
//! it. Constants do not count: they are there all the time, in whatever form.

use std::collections::HashMap;

use crate::{AttrValue, Graph, NodeId, Symbol, Type, Vertex};

/// The most bytes of values that are held at once. Symbols of extents are what `bind` says; extents that are not known count as 1.
pub fn peak_bytes(graph: &Graph, bind: &dyn Fn(&Symbol) -> Option<i64>) -> u64 {
    let Ok(order) = graph.topological() else { return 0 };
    let mut readers: HashMap<NodeId, usize> = HashMap::new();
    for (id, _) in graph.vertices() {
        for read in graph.reads(id) {
            *readers.entry(read.node).or_default() += 1;
        }
    }
    let held = |id: NodeId| -> u64 {
        match graph.vertex(id) {
            Vertex::Constant(_) => 0,
            vertex => vertex.ports().iter().map(|port| value_bytes(&port.ty, bind)).fold(0, u64::saturating_add),
        }
    };
    let mut live: u64 = graph.inputs().iter().map(|&id| held(id)).fold(0, u64::saturating_add);
    let mut peak = live;
    for id in order {
        if !matches!(graph.vertex(id), Vertex::Input(_)) {
            live = live.saturating_add(held(id));
        }
        peak = peak.max(live.saturating_add(inside(graph, id, bind)));
        for read in graph.reads(id) {
            let left = readers.entry(read.node).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 {
                live = live.saturating_sub(held(read.node));
            }
        }
    }
    peak
}

/// What the largest of a node's bodies holds.
fn inside(graph: &Graph, id: NodeId, bind: &dyn Fn(&Symbol) -> Option<i64>) -> u64 {
    let attrs = graph.node(id).into_iter().flat_map(|node| &node.attrs);
    let bodies = attrs.filter_map(|attr| match &attr.value {
        AttrValue::Graph(body) => Some(peak_bytes(body, bind)),
        _ => None,
    });
    bodies.max().unwrap_or(0)
}

/// Bytes of a value of a type. Symbols and unknown extents count as in [`peak_bytes`].
pub fn value_bytes(ty: &Type, bind: &dyn Fn(&Symbol) -> Option<i64>) -> u64 {
    let Type::Tensor(tensor) = ty else { return 0 };
    let (Some(dtype), Some(shape)) = (tensor.dtype, &tensor.shape) else { return 0 };
    let elements = shape.iter().map(|dim| dim.eval(bind).and_then(|n| u64::try_from(n).ok()).unwrap_or(1));
    let elements = elements.fold(1u64, u64::saturating_mul);
    elements.saturating_mul(dtype.bits() as u64).div_ceil(8)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Model;

    #[test]
    fn values_are_held_up_to_their_last_reader() {
        let model = Model::from_text(
            "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,2] x) => (float[N,2] y)
            <float[100] w = splat(0), float[N,8] a, float[N,1] b, float[N,4] c> { a = One(x)  b = Two(a, w)  c = Three(b)  y = Four(c, b) }",
        )
        .unwrap();
        let bytes = |n: i64| peak_bytes(&model.graph, &|_| Some(n));
        assert_eq!(bytes(1), 4 * (2 + 8), "x and a; x goes before b comes");
        assert_eq!(bytes(10), 10 * bytes(1));
    }
}
