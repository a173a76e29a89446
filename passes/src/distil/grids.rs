//! Weights that are codes stay codes.
//!
//! Behind a `DequantizeLinear` on a constant the weight takes few values, and so does one that is looked up in a table
//! ([`palettes`](super::palettes)), if codes may be assigned anew. It is trained as a number of its own, the shadow: the step is
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
use super::palettes;
use crate::evidence::part;
use crate::pass::{Pass as _, PassError};

/// The values that a weight may take, element by element.
pub(super) struct Grid {
    /// The constant that holds the codes.
    codes: NodeId,
    dtype: DType,
    dims: Vec<usize>,
    /// The lowest code.
    first: f64,
    levels: Levels,
}

/// What codes stand for, element by element.
enum Levels {
    /// The lowest one, what a step adds, and how many steps there are.
    Even { lowest: Vec<f32>, step: Vec<f32>, steps: f64 },
    /// Each one.
    Listed(Vec<Vec<f32>>),
}

impl Levels {
    /// How many steps above the lowest code an element's nearest is.
    fn place(&self, at: usize, value: f32) -> f64 {
        match self {
            Self::Even { lowest, step, steps } => {
                let place = (f64::from(value) - f64::from(lowest[at])) / f64::from(step[at]);
                if place.is_finite() { place.round_ties_even().clamp(0.0, *steps) } else { 0.0 }
            }
            Self::Listed(levels) => {
                let distances = levels.iter().map(|level| (level[at] - value).abs());
                let nearest = distances.enumerate().min_by(|(_, one), (_, other)| one.total_cmp(other));
                nearest.map_or(0.0, |(code, _)| code as f64)
            }
        }
    }

    /// What the code so many steps above the lowest stands for.
    fn value(&self, at: usize, place: f64) -> f32 {
        match self {
            Self::Even { lowest, step, .. } => (f64::from(lowest[at]) + place * f64::from(step[at])) as f32,
            Self::Listed(levels) => levels[place as usize][at],
        }
    }

    /// The lowest and the highest value of an element.
    fn range(&self, at: usize) -> (f32, f32) {
        match self {
            Self::Even { lowest, step, steps } => {
                let ends = [lowest[at], lowest[at] + *steps as f32 * step[at]];
                (ends[0].min(ends[1]), ends[0].max(ends[1]))
            }
            Self::Listed(levels) => {
                let values = levels.iter().map(|level| level[at]);
                values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
            }
        }
    }
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

/// Puts constants of floats in the place of weights that are codes; of those that are looked up, where codes may be assigned anew.
///
/// # Errors
/// Where that makes no sense.
pub(super) fn lift(model: &mut Model, reassign: bool) -> Result<Grids, PassError> {
    let mut grids = Grids::new();
    let nodes: Vec<NodeId> = model.graph.nodes().map(|(id, _)| id).collect();
    for id in nodes {
        let (grid, values) = match (weight(&model.graph, id), palettes::codes(&model.graph, id)) {
            (Some((codes, range)), _) => grid(model, id, codes, Kind::Even(range))?,
            (None, Some((codes, count))) if reassign => grid(model, id, codes, Kind::Listed(count))?,
            _ => continue,
        };
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
fn weight(graph: &Graph, id: NodeId) -> Option<(NodeId, (f64, f64))> {
    let cx = NodeCx::new(graph, id).filter(|cx| cx.node.is("DequantizeLinear"))?;
    let codes = cx.operand(0)?;
    let tensor = graph.constant(codes)?;
    let range = codes_of(tensor.dtype())?;
    let alone = graph.readers(codes).count() == 1;
    let constant = (1..cx.operand_count()).all(|index| cx.operand(index).is_none() || cx.constant(index).is_some());
    (alone && constant && tensor.rank() > 1).then_some((codes.node, range))
}

/// What a node, which stands alone with its scale, gives for codes.
fn meaning(alone: &Model, codes: Tensor) -> Result<Tensor, PassError> {
    let broken = |error: String| PassError::Broken(error);
    let given = vec![Some(Value::Tensor(codes))];
    let outputs = interpret::run(alone, given, Limits::default()).map_err(|error| broken(error.to_string()))?;
    let first = outputs.first().and_then(|value| value.as_tensor().ok()).cloned();
    first.ok_or_else(|| broken("codes mean nothing".to_owned()))
}

/// How the values of codes are found.
enum Kind {
    /// They are even, from the first code to the last.
    Even((f64, f64)),
    /// One after the other, so many from 0 on.
    Listed(usize),
}

/// The grid of a weight, and the weight.
fn grid(model: &Model, node: NodeId, codes: NodeId, kind: Kind) -> Result<(Grid, Tensor), PassError> {
    let broken = |error: onnxpress_ir::TensorError| PassError::Broken(error.to_string());
    let gone = || PassError::Broken("codes are gone".to_owned());
    let tensor = model.graph.constant(codes.port(0)).cloned().ok_or_else(gone)?;
    let alone = part(model, &[codes.port(0)], &[node.port(0)]).map_err(|error| PassError::Broken(error.to_string()))?;
    let (dtype, dims) = (tensor.dtype(), tensor.dims().to_vec());
    let values = meaning(&alone, tensor)?;
    let count: usize = dims.iter().product();
    let all = |code: f64| {
        let same = Tensor::from_f64s(dtype, &dims, &vec![code; count]).map_err(broken)?;
        meaning(&alone, same)?.to_f32s().map_err(broken)
    };
    let (first, levels) = match kind {
        Kind::Even((first, last)) => {
            let (lowest, highest) = (all(first)?, all(last)?);
            let steps = last - first;
            let step = lowest.iter().zip(&highest).map(|(low, high)| (high - low) / steps as f32).collect();
            (first, Levels::Even { lowest, step, steps })
        }
        Kind::Listed(count) => {
            let levels = (0..count).map(|code| all(code as f64)).collect::<Result<_, _>>()?;
            (0.0, Levels::Listed(levels))
        }
    };
    Ok((Grid { codes, dtype, dims, first, levels }, values))
}

impl Grid {
    /// The nearest values that the weight may take.
    pub(super) fn rounded(&self, shadow: &[f32]) -> Vec<f32> {
        let one = |(at, &value): (usize, &f32)| self.levels.value(at, self.levels.place(at, value));
        shadow.iter().enumerate().map(one).collect()
    }

    /// Takes out of the gradient of the rounded weight what would only move the shadow further out of the range.
    pub(super) fn clip(&self, shadow: &[f32], gradient: &mut [f32]) {
        for (at, (&value, gradient)) in shadow.iter().zip(gradient).enumerate() {
            let (low, high) = self.levels.range(at);
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
            shadow.iter().enumerate().map(|(at, &value)| self.first + self.levels.place(at, value)).collect();
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
        let mut grids = lift(&mut model, false).unwrap();
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

    #[test]
    fn places_in_a_table_are_the_nearest_of_its_values() {
        let text = r#"<ir_version: 8, opset_import: ["" : 13]> g (float[N,2] x) => (float[N,2] y)
            <uint8[2,2] q = {0, 1, 2, 1}, int32[2,1] begins = {0, 3}, float[6] t = {-1, 0, 2, 10, 20, 30}>
            { c = Cast<to = 6>(q)  p = Add(c, begins)  w = Gather(t, p)  y = MatMul(x, w) }"#;
        assert!(lift(&mut typed(text), false).unwrap().is_empty());
        let mut model = typed(text);
        let (shadow, grid) = lift(&mut model, true).unwrap().pop_first().unwrap();
        assert_eq!(model.graph.constant(shadow.port(0)).unwrap().to_f32s().unwrap(), [-1.0, 0.0, 30.0, 20.0]);
        let moved = [0.9, 1.1, 12.0, 99.0];
        assert_eq!(grid.rounded(&moved), [0.0, 2.0, 10.0, 30.0]);
        assert_eq!(grid.codes(&moved).unwrap().1.to_f64s().unwrap(), [1.0, 2.0, 0.0, 2.0]);
        let mut gradient = [1.0, 1.0, 1.0, -1.0];
        grid.clip(&moved, &mut gradient);
        assert_eq!(gradient, [1.0, 1.0, 1.0, 0.0]);
    }
}
