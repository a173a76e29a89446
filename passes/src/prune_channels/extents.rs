//! What open extents count as, where multiply-accumulates are counted.
//!
//! A model that takes pictures of any size has no multiply-accumulates to speak of: with one in the place of each size, a layer over a
//! thousand places costs as much as one over a single place. Samples have sizes.

use std::collections::BTreeMap;

use onnxpress_ir::{Dim, Model, Symbol};
use onnxpress_ops::evaluate::Value;

use crate::evidence::{EvidenceError, EvidenceSource, Feed};

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
        let shape = |id: &onnxpress_ir::NodeId| graph.ty(id.port(0)).shape().cloned();
        let shapes: Vec<_> = graph.inputs().iter().map(shape).collect();
        let is_open = |dim: &Dim| dim.as_symbol().is_some();
        if !shapes.iter().flatten().any(|shape| shape.iter().any(is_open)) {
            return Ok(Self::default());
        }
        let mut found = None;
        // The first batch is enough, and an error the way to have no more of them.
        let result = source.feed(model, 1, &mut |feed: Feed<'_>| {
            let mut known = BTreeMap::new();
            for (shape, value) in shapes.iter().zip(feed.inputs) {
                let (Some(shape), Some(Value::Tensor(tensor))) = (shape, value) else { continue };
                for (axis, (dim, &extent)) in shape.iter().zip(tensor.dims()).enumerate() {
                    let Some(symbol) = dim.as_symbol() else { continue };
                    let of_one = if axis == 0 && extent == feed.size { 1 } else { extent };
                    known.entry(symbol.clone()).or_insert_with(|| i64::try_from(of_one).unwrap_or(i64::MAX));
                }
            }
            found = Some(Self { known });
            Err(EvidenceError::Samples("no more are wanted".to_owned()))
        });
        found.map_or_else(|| result.map(|()| Self::default()), Ok)
    }

    /// Whether any is that of a sample.
    pub(crate) fn are_seen(&self) -> bool {
        !self.known.is_empty()
    }

    /// What a symbol counts as.
    pub(crate) fn of(&self, symbol: &Symbol) -> Dim {
        Dim::from(self.known.get(symbol).copied().unwrap_or(1))
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
        let of = |name: &str| extents.of(&Symbol::named(name)).as_const();
        assert_eq!([of("N"), of("H"), of("W"), of("other")], [Some(1), Some(5), Some(7), Some(1)]);
    }
}
