//! What open extents are for a sample.
//!
//! A model that takes pictures of any size has no multiply-accumulates to speak of, and no size that its values take: with one in the
//! place of each extent, a layer over a thousand places costs as much as one over a single place. Samples have extents.

use std::collections::{BTreeMap, BTreeSet};

use onnxpress_ir::{Dim, Graph, Model, Symbol};
use onnxpress_ops::evaluate::Value;

use super::{EvidenceError, EvidenceSource, Feed};

/// By symbol, what an input's extent is; one for all others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extents {
    known: BTreeMap<Symbol, i64>,
}

impl Extents {
    /// Those of a single sample of a source, for a model whose types are inferred.
    ///
    /// # Errors
    /// Where the samples do not suit the model.
    pub(crate) fn seen(model: &Model, source: &dyn EvidenceSource) -> Result<Self, EvidenceError> {
        let graph = &model.graph;
        let is_open = |dim: &Dim| dim.as_symbol().is_some();
        let shapes = graph.inputs().iter().filter_map(|id| graph.ty(id.port(0)).shape());
        if !shapes.flat_map(|shape| shape.iter()).any(is_open) {
            return Ok(Self::default());
        }
        let mut found = None;
        // The first batch is enough, and an error the way to have no more of them.
        let result = source.feed(model, 1, &mut |feed: Feed<'_>| {
            found = Some(Self::of_one(graph, &feed));
            Err(EvidenceError::Samples("no more are wanted".to_owned()))
        });
        found.map_or_else(|| result.map(|()| Self::default()), Ok)
    }

    /// Those of one sample of a batch.
    pub(crate) fn of_one(graph: &Graph, feed: &Feed<'_>) -> Self {
        let mut known = BTreeMap::new();
        for (id, value) in graph.inputs().iter().zip(feed.inputs) {
            let (Some(shape), Some(Value::Tensor(tensor))) = (graph.ty(id.port(0)).shape(), value) else { continue };
            for (axis, (dim, &extent)) in shape.iter().zip(tensor.dims()).enumerate() {
                let Some(symbol) = dim.as_symbol() else { continue };
                let of_one = if axis == 0 && extent == feed.size { 1 } else { extent };
                known.entry(symbol.clone()).or_insert_with(|| i64::try_from(of_one).unwrap_or(i64::MAX));
            }
        }
        Self { known }
    }

    /// Whether any is that of a sample.
    pub(crate) fn are_seen(&self) -> bool {
        !self.known.is_empty()
    }

    /// What to say where multiply-accumulates decide and no sample tells extents on which they depend otherwise than on the batch's.
    pub(crate) fn untold(&self, graph: &Graph) -> Option<String> {
        let shapes = graph.inputs().iter().filter_map(|id| graph.ty(id.port(0)).shape());
        let behind_batch = shapes.flat_map(|shape| shape.iter().skip(1)).filter_map(Dim::as_symbol);
        let names: BTreeSet<String> =
            behind_batch.filter(|symbol| self.known(symbol).is_none()).map(|symbol| format!("`{symbol}`")).collect();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        (!names.is_empty()).then(|| {
            format!("macs are counted with 1 for the open extents {names}: samples (--calib) tell them, or `set-dim` sets them")
        })
    }

    /// What a symbol is, where it is an input's extent.
    pub(crate) fn known(&self, symbol: &Symbol) -> Option<i64> {
        self.known.get(symbol).copied()
    }

    /// What an extent, or a product of some, counts as; `None` where nothing is known of it.
    pub(crate) fn count(&self, dim: &Dim) -> Option<i64> {
        dim.substitute(|symbol| Some(Dim::from(self.known(symbol).unwrap_or(1)))).as_const()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::evidence::testing::{AtHand, typed};

    #[test]
    fn sizes_are_those_of_one_sample() {
        let model = typed(
            "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,2,H,W] x) => (float[N,2,H,W] y) { y = Relu(x) }",
        );
        let extents = Extents::seen(&model, &AtHand::new(6, &[2, 5, 7])).unwrap();
        let named = |name: &str| Dim::from(Symbol::named(name));
        let count = |name: &str| extents.count(&named(name));
        assert_eq!([count("N"), count("H"), count("W"), count("other")], [Some(1), Some(5), Some(7), Some(1)]);
        assert_eq!(extents.count(&Dim::product([named("H"), named("W")])), Some(35));
        assert_eq!(extents.known(&Symbol::named("other")), None);
        assert_eq!(extents.untold(&model.graph), None);
        let untold = Extents::default().untold(&model.graph).unwrap();
        assert!(untold.starts_with("macs are counted with 1 for the open extents `H`, `W`: "), "{untold}");
    }
}
