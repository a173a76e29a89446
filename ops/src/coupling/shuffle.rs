//! Channel shuffles between groups that do not divide each other: the cut that follows them is no cut of factors.
//!
//! `k` groups of `n` channels are laid out as `(k n)`, transposed to `(n k)` and read by a convolution of `k` groups, as
//! `(k n)` again. Where `k` does not divide `n` the two readings have no common factors, and whoever removes rows of one
//! removes rows of the other until nothing is left. But runs of `k` channels that begin at a multiple of `k` in the second
//! reading can go, the same from each of its groups: what is left of each group is then shuffled the same way. Position `p`
//! behind the shuffle is channel `p / k` of group `p mod k` before it; with `p = b n + i`, and `i = a k + z` in run `a`, the
//! groups before lose the same number each, for every `z` that occurs one channel a run and group.
//!
//! So the axis before is a sum of runs and of single channels that stay, the one behind is each group's runs and rest; the
//! axes in between only count. A convolution that gives the channels out has a weight of which each group loses other rows,
//! which its letters `(g o)` cannot say, and which is right as long as each loses as many.

use std::collections::HashMap;

use onnxpress_ir::analysis::channels::Coupling;
use onnxpress_ir::{Graph, NodeId, Shape};

use crate::letters::{and_parameters, relation};
use crate::node::NodeCx;

/// Steps back from a shuffle to the convolution.
const FAR: usize = 8;

/// Relations for the nodes of shuffles that pin each other's channels, in the place of their own.
pub(super) fn relations(graph: &Graph, coupling: &Coupling) -> HashMap<NodeId, String> {
    let mut found = HashMap::new();
    for (id, _) in graph.nodes() {
        if let Some(shuffle) = Shuffle::at(graph, id).filter(|shuffle| shuffle.is_stuck(coupling)) {
            shuffle.relate(graph, &mut found);
        }
    }
    found
}

/// Reshape, Transpose, Reshape.
struct Shuffle {
    first: NodeId,
    last: NodeId,
    axis: usize,
    rank: usize,
    groups: u64,
    each: u64,
}

impl Shuffle {
    fn at(graph: &Graph, first: NodeId) -> Option<Self> {
        let cx = NodeCx::new(graph, first).filter(|cx| cx.node.is("Reshape"))?;
        let (from, to) = (cx.shape(0)?, cx.output_shape(0)?);
        let axis = (0..from.len()).find(|&axis| to.get(axis).is_none_or(|dim| from[axis].equals(dim) != Some(true)))?;
        let extent = |shape: &Shape, axis: usize| u64::try_from(shape.get(axis)?.as_const()?).ok();
        let (groups, each) = (extent(to, axis)?, extent(to, axis + 1)?);
        let apart = to.len() == from.len() + 1 && extent(from, axis)? == groups.checked_mul(each)?;
        let rest = |one: &Shape, other: &Shape, skip: usize| {
            let pairs = one.iter().skip(axis + 1).zip(other.iter().skip(axis + 1 + skip));
            pairs.clone().count() + axis + 1 == one.len() && pairs.clone().all(|(a, b)| a.equals(b) == Some(true))
        };
        if !apart || !rest(from, to, 1) || groups < 2 || each / groups < 2 || each.is_multiple_of(groups) {
            return None;
        }
        let only_reader = |id: NodeId| {
            let mut readers = graph.readers(id.port(0));
            readers.next().filter(|_| readers.next().is_none()).and_then(|reading| NodeCx::new(graph, reading.node))
        };
        let swap = only_reader(first).filter(|swap| swap.node.is("Transpose"))?;
        let mut order: Vec<i64> = (0..i64::try_from(to.len()).ok()?).collect();
        order.swap(axis, axis + 1);
        let last = only_reader(swap.id).filter(|last| last.node.is("Reshape"))?;
        let result = last.output_shape(0)?;
        let together = result.len() == from.len() && result.iter().zip(from).all(|(a, b)| a.equals(b) == Some(true));
        let fits = swap.attrs().ints("perm").ok().flatten()? == order && last.operand(0) == Some(swap.id.port(0));
        (together && fits).then_some(Self { first, last: last.id, axis, rank: from.len(), groups, each })
    }

    /// Whether the channels of a group stay, as they are read by now.
    fn is_stuck(&self, coupling: &Coupling) -> bool {
        let axes = coupling.axes(self.first.port(0)).unwrap_or_default();
        axes.get(self.axis + 1).is_some_and(|&span| !coupling.spans.is_free(span))
    }

    fn relate(&self, graph: &Graph, found: &mut HashMap<NodeId, String>) {
        let (k, n) = (self.groups, self.each);
        let (runs, rest) = (n / k, n % k);
        let mut before = Vec::new();
        for group in 0..k {
            for block in 0..k {
                before.push(format!("a:{runs}"));
                let place = (group + k - (n % k) * block % k) % k;
                if place < rest {
                    before.push("x:1".to_owned());
                }
            }
        }
        let row = |own: &[String]| -> Vec<String> {
            let others = |range: std::ops::Range<usize>| range.map(|axis| format!("d{axis}")).collect::<Vec<_>>();
            [others(0..self.axis), own.to_vec(), others(self.axis + 1..self.rank)].concat()
        };
        let operands = |id: NodeId, own: &[String]| and_parameters(row(own), graph.operands(id).len());
        let each = format!("(a:{runs} z:{k})+r:{rest}");
        let text = relation(
            &operands(self.first, &[before.join("+")]),
            &[Some(row(&["g".to_owned(), each]))],
            "fixed g z r x, extents 1",
        );
        found.insert(self.first, text);
        let behind = vec!["o"; k as usize].join("+");
        let text = relation(
            &operands(self.last, &["o".to_owned(), "g".to_owned()]),
            &[Some(row(&[behind]))],
            "fixed g, extents 1",
        );
        found.insert(self.last, text);
        if let Some(layer) = self.layer(graph) {
            // As the sheet of Conv says it, but for the outputs of a group, which are not the same of each.
            found.insert(layer, "n (g i) s.., u i k.., u -> n u t..; fixed g, group=g".to_owned());
        }
    }

    /// The convolution of as many groups whose channels are shuffled, with nothing but elementwise functions in between.
    fn layer(&self, graph: &Graph) -> Option<NodeId> {
        let mut value = graph.operand(self.first, 0)?;
        for _ in 0..FAR {
            let cx = NodeCx::new(graph, value.node).filter(|_| value.port == 0)?;
            if cx.node.is("Conv") {
                return (cx.attrs().int("group").ok().flatten() == i64::try_from(self.groups).ok())
                    .then_some(value.node);
            }
            let relation = crate::table::of(cx.node)?.axes.relation(&cx).ok()?;
            let keeps_axes = relation.outputs.first() == relation.operands.first() && relation.roles.is_empty();
            value = cx.operand(0).filter(|_| keeps_axes)?;
        }
        None
    }
}
