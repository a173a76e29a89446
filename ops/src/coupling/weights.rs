//! Which values are weights: constants, and what is computed of nothing but constants without making a zero something else.

use std::collections::HashSet;

use onnxpress_ir::{Graph, ValueId};

use crate::node::NodeCx;
use crate::operator::Quantize;
use crate::table;

/// Values of a graph whose elements are zero wherever those of the constants behind them are.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    values: HashSet<ValueId>,
}

impl Weights {
    /// Those of a graph.
    pub fn of(graph: &Graph) -> Self {
        let mut values: HashSet<ValueId> = graph.constants().map(|(id, _)| id.port(0)).collect();
        for id in graph.topological().unwrap_or_default() {
            let Some(cx) = NodeCx::new(graph, id) else { continue };
            let keeps_zero = table::of(cx.node).is_some_and(|operator| {
                matches!(operator.quantize, Quantize::Moves | Quantize::Quantized)
                    || cx.node.is("Mul")
                    || cx.node.is("Cast")
            });
            let constant = graph.reads(id).all(|value| values.contains(&value));
            if keeps_zero && constant && graph.reads(id).next().is_some() {
                values.extend((0..cx.node.port_count() as u32).map(|port| id.port(port)));
            }
        }
        Self { values }
    }

    /// Whether the value is one.
    pub fn has(&self, value: ValueId) -> bool {
        self.values.contains(&value)
    }
}
