//! Weights that are codes stay codes.
//!
//! Behind a `DequantizeLinear` on a constant the weight takes few values. It is trained as a number of its own, the shadow: the step is
//! given the shadow rounded to its grid, and the gradient of the rounded weight moves the shadow, but for what would only leave
//! the range (Y. Bengio et al., "Estimating or Propagating Gradients Through Stochastic Neurons", 2013, the straight-through
//! estimator). Scales and zero points stay, and what is written in the end are codes again.

use std::collections::BTreeMap;

use onnxpress_ir::{DType, Edit, Graph, Model, NodeId, Tensor};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::infer::Standard;
use onnxpress_ops::interpret::{self, Limits};
use onnxpress_ops::node::NodeCx;

use super::options::Distil;
use crate::evidence::part;
use crate::pass::{Pass as _, PassError};

/// The values that a weight may take, element by element.
pub(super) struct Grid {
    /// The constant that holds the codes.
    codes: NodeId,
    dtype: DType,
    dims: Vec<usize>,
    /// The code of the lowest value, and how many steps there are above it.
    first: f64,
    steps: f64,
    /// What the lowest code stands for, and what a step adds.
    lowest: Vec<f32>,
    step: Vec<f32>,
}

/// Codes by the constant that stands in for what they mean.
pub(super) type Grids = BTreeMap<NodeId, Grid>;

/// The lowest and highest code of a type.
fn codes_of(dtype: DType) -> Option<(f64, f64)> {
    Some(match dtype {
        DType::Int2 => (-2.0, 1.0),
        DType::Uint2 => (0.0, 3.0),
        DType::Int4 => (-8.0, 7.0),
        DType::Uint4 => (0.0, 15.0),
        DType::Int8 => (-128.0, 127.0),
        DType::Uint8 => (0.0, 255.0),
        DType::Int16 => (-32768.0, 32767.0),
        DType::Uint16 => (0.0, 65535.0),
        _ => return None,
    })
}

/// Puts constants of floats in the place of weights that are codes.
///
/// # Errors
/// Where that makes no sense.
pub(super) fn lift(model: &mut Model) -> Result<Grids, PassError> {
    let mut grids = Grids::new();
    let nodes: Vec<NodeId> = model.graph.nodes().map(|(id, _)| id).collect();
    for id in nodes {
        let Some((codes, dtype)) = weight(&model.graph, id) else { continue };
        let Some((grid, values)) = grid(model, id, codes, dtype)? else { continue };
        let (graph, old) = (&mut model.graph, id.port(0));
        let mut edit = Edit::new(graph, &Standard, Distil::NAME, &[id]);
        let shadow = edit.add_constant(None, values);
        edit.replace(old, shadow).map_err(|error| PassError::Broken(error.to_string()))?;
        edit.remove(id);
        edit.commit();
        grids.insert(shadow.node, grid);
    }
    Ok(grids)
}

/// The codes that a node makes a weight of, where nobody else reads them.
fn weight(graph: &Graph, id: NodeId) -> Option<(NodeId, DType)> {
    let cx = NodeCx::new(graph, id).filter(|cx| cx.node.is("DequantizeLinear"))?;
    let codes = cx.operand(0)?;
    let tensor = graph.constant(codes)?;
    codes_of(tensor.dtype())?;
    let alone = graph.readers(codes).count() == 1;
    let constant = (1..cx.operand_count()).all(|index| cx.operand(index).is_none() || cx.constant(index).is_some());
    (alone && constant && tensor.rank() > 1).then_some((codes.node, tensor.dtype()))
}

/// What a node, which stands alone with its scale, gives for codes.
fn meaning(alone: &Model, codes: Tensor) -> Result<Tensor, PassError> {
    let broken = |error: String| PassError::Broken(error);
    let given = vec![Some(Value::Tensor(codes))];
    let outputs = interpret::run(alone, given, Limits::default()).map_err(|error| broken(error.to_string()))?;
    let first = outputs.first().and_then(|value| value.as_tensor().ok()).cloned();
    first.ok_or_else(|| broken("codes mean nothing".to_owned()))
}

/// The grid of a weight and the weight, where its steps are all of one size.
fn grid(model: &Model, node: NodeId, codes: NodeId, dtype: DType) -> Result<Option<(Grid, Tensor)>, PassError> {
    let (Some(tensor), Some((first, last))) = (model.graph.constant(codes.port(0)).cloned(), codes_of(dtype)) else {
        return Ok(None);
    };
    let broken = |error: onnxpress_ir::TensorError| PassError::Broken(error.to_string());
    let alone = part(model, &[codes.port(0)], &[node.port(0)]).map_err(|error| PassError::Broken(error.to_string()))?;
    let dims = tensor.dims().to_vec();
    let values = meaning(&alone, tensor)?;
    let count: usize = dims.iter().product();
    let all = |code: f64| {
        let same = Tensor::from_f64s(dtype, &dims, &vec![code; count]).map_err(broken)?;
        meaning(&alone, same)?.to_f32s().map_err(broken)
    };
    let (lowest, highest) = (all(first)?, all(last)?);
    let step = lowest.iter().zip(&highest).map(|(low, high)| (high - low) / (last - first) as f32).collect();
    Ok(Some((Grid { codes, dtype, dims, first, steps: last - first, lowest, step }, values)))
}

impl Grid {
    /// How many steps above the lowest value an element's nearest is.
    fn place(&self, at: usize, value: f32) -> f64 {
        let place = (f64::from(value) - f64::from(self.lowest[at])) / f64::from(self.step[at]);
        if place.is_finite() { place.round_ties_even().clamp(0.0, self.steps) } else { 0.0 }
    }

    /// The nearest values that the weight may take.
    pub(super) fn rounded(&self, shadow: &[f32]) -> Vec<f32> {
        let one = |(at, &value): (usize, &f32)| {
            (f64::from(self.lowest[at]) + self.place(at, value) * f64::from(self.step[at])) as f32
        };
        shadow.iter().enumerate().map(one).collect()
    }

    /// Takes out of the gradient of the rounded weight what would only move the shadow further out of the range.
    pub(super) fn clip(&self, shadow: &[f32], gradient: &mut [f32]) {
        for (at, (&value, gradient)) in shadow.iter().zip(gradient).enumerate() {
            let ends = [self.lowest[at], self.lowest[at] + self.steps as f32 * self.step[at]];
            let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
            if (value < low && *gradient > 0.0) || (value > high && *gradient < 0.0) {
                *gradient = 0.0;
            }
        }
    }

    /// The constant that holds the codes, and the codes of the nearest values.
    ///
    /// # Errors
    /// Never, for as many elements as the weight has.
    pub(super) fn codes(&self, shadow: &[f32]) -> Result<(NodeId, Tensor), PassError> {
        let codes: Vec<f64> =
            shadow.iter().enumerate().map(|(at, &value)| self.first + self.place(at, value)).collect();
        let tensor = Tensor::from_f64s(self.dtype, &self.dims, &codes);
        Ok((self.codes, tensor.map_err(|error| PassError::Broken(error.to_string()))?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::evidence::testing::typed;

    /// A weight of codes, of a scale a row.
    fn lifted() -> Grid {
        let mut model = typed(
            r#"<ir_version: 8, opset_import: ["" : 13]> g (float[N,2] x) => (float[N,2] y)
            <int8[2,2] q = {1, 2, 3, -128}, float[2] s = {0.5, 0.25}>
            { w = DequantizeLinear<axis = 0>(q, s)  y = MatMul(x, w) }"#,
        );
        let mut grids = lift(&mut model).unwrap();
        assert_eq!(model.graph.nodes().count(), 1);
        let (shadow, grid) = grids.pop_first().unwrap();
        let values = model.graph.constant(shadow.port(0)).unwrap().to_f32s().unwrap();
        assert_eq!(values, [0.5, 1.0, 0.75, -32.0]);
        grid
    }

    #[test]
    fn shadows_are_rounded_to_what_codes_mean() {
        let grid = lifted();
        let shadow = [0.6, 1.4, 0.9, -99.0];
        assert_eq!(grid.rounded(&shadow), [0.5, 1.5, 1.0, -32.0]);
        assert_eq!(grid.codes(&shadow).unwrap().1.to_f64s().unwrap(), [1.0, 3.0, 4.0, -128.0]);
    }

    #[test]
    fn gradients_stop_at_the_ends_of_the_range() {
        let mut gradient = [1.0, 1.0, -1.0, 1.0];
        lifted().clip(&[0.6, 1.4, 0.9, -99.0], &mut gradient);
        assert_eq!(gradient, [1.0, 1.0, -1.0, 0.0]);
        lifted().clip(&[99.0, 0.0, 99.0, 0.0], &mut gradient);
        assert_eq!(gradient, [1.0, 1.0, 0.0, 0.0]);
    }
}
