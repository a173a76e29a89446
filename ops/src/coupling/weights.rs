//! Which values are weights: constants, and what is computed of nothing but constants without making a zero something else.

use std::collections::HashSet;

use onnxpress_ir::{Graph, Tensor, ValueId};

use super::vanishing;
use crate::node::NodeCx;
use crate::operator::Quantize;
use crate::table;

/// Values of a graph whose elements are zero wherever those of the constants behind them are.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    values: HashSet<ValueId>,
    /// Axes of other values for which the same holds.
    vanishing: HashSet<(ValueId, usize)>,
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
            let constant = graph.reads(id).all(|value| values.contains(&value)) && zeros_mean_zero(&cx, 2);
            if keeps_zero && constant && graph.reads(id).next().is_some() {
                values.extend((0..cx.node.port_count() as u32).map(|port| id.port(port)));
            }
        }
        let vanishing = vanishing::axes(graph, &values);
        Self { values, vanishing }
    }

    /// Whether a value is zero along an axis wherever the weights are that it is made of.
    pub(super) fn vanish(&self, value: ValueId, axis: usize) -> bool {
        self.vanishing.contains(&(value, axis))
    }

    /// Whether the operand of a node is one, and its zeros mean zero.
    pub fn has(&self, cx: &NodeCx<'_>, operand: usize) -> bool {
        let zero_point = match cx.node.op_type.as_bytes() {
            b"ConvInteger" | b"MatMulInteger" | b"DynamicQuantizeMatMul" => 3,
            b"QLinearConv" | b"QLinearMatMul" => 5,
            b"MatMulIntegerToFloat" => 5,
            _ => usize::MAX,
        };
        cx.operand(operand).is_some_and(|value| self.values.contains(&value)) && zeros_mean_zero(cx, zero_point)
    }
}

/// Whether the zero point, where there is one at that place, is zero throughout. Otherwise an element that is zero stands for
/// another number.
fn zeros_mean_zero(cx: &NodeCx<'_>, operand: usize) -> bool {
    let takes_zero_point = operand != 2 || cx.node.op_type == "DequantizeLinear" || cx.node.op_type == "QuantizeLinear";
    if !takes_zero_point || !cx.has(operand) {
        return true;
    }
    let constant = cx.operand(operand).and_then(|value| behind(cx.graph, value));
    constant.is_some_and(|tensor| tensor.to_f64s().is_ok_and(|all| all.iter().all(|&zero| zero == 0.0)))
}

/// How many nodes may stand between a constant and who reads it.
const DEEPEST: usize = 8;

/// The constant that a value has its elements from, in whatever shape: exporters share one by way of `Identity`.
fn behind(graph: &Graph, mut value: ValueId) -> Option<&Tensor> {
    for _ in 0..DEEPEST {
        if let Some(tensor) = graph.constant(value) {
            return Some(tensor);
        }
        let node = graph.node(value.node)?;
        if !["Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze"].iter().any(|name| node.is(name)) {
            return None;
        }
        value = graph.operand(value.node, 0)?;
    }
    None
}
