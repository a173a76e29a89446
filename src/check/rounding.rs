//! What rounding alone can make of a model's outputs.
//!
//! Two models that compute the same in another order differ in the last places of their values. As a rule it stays at that; but
//! a code that comes out one off, a comparison or a long recurrence makes more of it, and no tolerance fits every model. So
//! where a result is farther off than is allowed, the model that it is held to is run beside itself with its weights moved by
//! one unit in their last place, at random, as in stochastic arithmetic (Vignes 1993): what that moves is rounding, and a
//! result that lies about as near is as right as the model itself.

use onnxpress_ir::random::SplitMix64;
use onnxpress_ir::tensor::Tensor;
use onnxpress_ir::{DType, Graph, Model, NodeId};

/// How many times as far off a result may be as the moved model: weights are rounded once, and every sum many times.
const SLACK: f64 = 4.0;

/// What rounding may excuse, as a share of an output's peak: where it does more than that to the model, an output proves nothing.
pub(super) const MOST: f64 = 0.25;

/// Whether a result may be so far off where rounding moves the model itself by so much. A model that rounding moves to where it has no
/// number, or other ones, says nothing about its result.
pub(super) fn explains(by_rounding: f64, off: f64) -> bool {
    by_rounding <= MOST && off <= MOST.min(SLACK * by_rounding)
}

/// The model with every weight moved by one unit in its last place; `None` where it has no weights of binary32. Whole numbers
/// stay: exponents, sizes and bounds that are meant to the last bit.
pub(super) fn moved(model: &Model) -> Option<Model> {
    let mut model = model.clone();
    let mut random = SplitMix64::new(0);
    let mut count = graph(&mut model.graph, &mut random);
    for function in &mut model.functions {
        count += graph(&mut function.body, &mut random);
    }
    (count > 0).then_some(model)
}

/// Moves the weights of a graph and of all inside of it; answers how many tensors.
fn graph(graph: &mut Graph, random: &mut SplitMix64) -> usize {
    let dense =
        |id: NodeId, graph: &Graph| graph.constant(id.port(0)).filter(|tensor| tensor.dtype() == DType::Float).cloned();
    let constants: Vec<NodeId> = graph.constants().map(|(id, _)| id).collect();
    let mut count = 0;
    for id in constants {
        let Some(tensor) = dense(id, graph) else { continue };
        let Some(other) = moved_tensor(&tensor, random) else { continue };
        graph.set_constant(id, other);
        count += 1;
    }
    let holders: Vec<NodeId> = graph.nodes().filter(|(_, node)| node.has_subgraphs()).map(|(id, _)| id).collect();
    for id in holders {
        count += graph.subgraphs_mut(id).map(|body| self::graph(body, random)).sum::<usize>();
    }
    count
}

fn moved_tensor(tensor: &Tensor, random: &mut SplitMix64) -> Option<Tensor> {
    let mut values = tensor.values::<f32>().ok()?.into_owned();
    let mut any = false;
    for value in values.iter_mut().filter(|value| value.is_normal() && value.fract() != 0.0) {
        *value = if random.bits() & 1 == 0 { value.next_up() } else { value.next_down() };
        any = true;
    }
    any.then(|| Tensor::from_values(tensor.dims(), values).ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_model_that_rounding_ruins_excuses_nothing() {
        assert!(explains(1e-3, 3e-3) && !explains(1e-3, 5e-3));
        assert!(explains(0.2, 0.2) && !explains(0.2, 0.3));
        assert!(!explains(0.5, 1e-3) && !explains(f64::INFINITY, 1e-3) && !explains(f64::NAN, 1e-3));
    }

    #[test]
    fn weights_are_moved_and_whole_numbers_are_not() {
        let text = "g (float[3] x, bool c) => (y) <float[3] w = {0.5, 2, 0}, float two = {2}> {
            s = Pow(x, two)
            m = Mul(s, w)
            y = If (c) <then_branch = a () => (p) <float k = {0.1}> { p = Mul(m, k) }, else_branch = b () => (q) { q = Neg(m) }>
        }";
        let model = Model::from_text(text).unwrap();
        let other = moved(&model).unwrap();
        let floats = |graph: &Graph| -> Vec<f32> {
            graph.constants().flat_map(|(id, _)| graph.constant(id.port(0)).unwrap().to_f32s().unwrap()).collect()
        };
        let (was, is) = (floats(&model.graph), floats(&other.graph));
        let off: Vec<usize> = (0..was.len()).filter(|&at| was[at].to_bits() != is[at].to_bits()).collect();
        assert_eq!(off.iter().map(|&at| was[at]).collect::<Vec<_>>(), [0.5]);
        assert!(off.iter().all(|&at| was[at].to_bits().abs_diff(is[at].to_bits()) == 1));
        let body = |model: &Model| -> Vec<f32> {
            model.graph.nodes().flat_map(|(_, node)| node.subgraphs()).flat_map(floats).collect()
        };
        assert_ne!(body(&model), body(&other));
        let whole = Model::from_text("g (float[1] x) => (y) <float[1] w = {2}> { y = Mul(x, w) }").unwrap();
        assert!(moved(&whole).is_none());
    }
}
