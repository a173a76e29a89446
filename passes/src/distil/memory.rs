//! What a training takes, said before it begins.
//!
//! What values of a step are held at once follows from the graph of the step ([`peak_bytes`]), once for every thread that takes steps; so
//! do copies of the models. Once there are samples, and weights with what the optimizer remembers of them. What a runner takes beside, for
//! patches of pictures and weights in an order of its own, is not known here: for convolutions it is several times as much.

use std::collections::HashMap;

use onnxpress_ir::analysis::peak_bytes;
use onnxpress_ir::{Graph, Symbol, Tensor};

use super::pair::Stage;
use super::rows::Rows;
use crate::differentiate::Step;

/// Arrays as long as the weights: at the start, now, as a step takes them, means of gradients, of squares and of weights, those that are
/// kept, those that are looked at.
const ONCE: u64 = 8;

/// The same for each thread: gradients of a step as the runner gives them, and as they are added up; weights as the runner takes them.
const EACH: u64 = 3;

/// What is trained, on samples of which so many are shown at a time.
pub(super) struct Training<'t> {
    pub(super) stage: &'t Stage,
    pub(super) step: &'t Step,
    pub(super) samples: &'t Rows,
    pub(super) part: usize,
}

/// About how many bytes of values and weights a training by so many threads holds at most.
pub(super) fn needed(it: &Training<'_>, threads: usize) -> u64 {
    let symbols = symbols(&it.stage.learner.graph, it.samples, it.part);
    let bind = |symbol: &Symbol| symbols.get(symbol).copied();
    let peak = |graph: &Graph| peak_bytes(graph, &bind);
    let weights: u64 = it.step.start.iter().map(bytes).fold(0, u64::saturating_add);
    // The teacher is done when the step begins, but for its answers, which the step takes.
    let at_once = peak(&it.stage.teacher.graph).max(peak(&it.step.model.graph));
    let models = [&it.stage.teacher, &it.step.model, &it.step.forward];
    let constants = models.map(|model| constants(&model.graph)).into_iter().fold(0, u64::saturating_add);
    let each = at_once.saturating_add(constants).saturating_add(weights.saturating_mul(EACH));
    (it.samples.bytes() as u64)
        .saturating_add(weights.saturating_mul(ONCE))
        .saturating_add(each.saturating_mul(threads as u64))
}

fn bytes(tensor: &Tensor) -> u64 {
    (tensor.len() as u64).saturating_mul(tensor.dtype().bits() as u64).div_ceil(8)
}

fn constants(graph: &Graph) -> u64 {
    let all = graph.constants().filter_map(|(id, _)| graph.constant(id.port(0)));
    all.map(bytes).fold(0, u64::saturating_add)
}

/// What the symbols in the shapes of inputs are.
fn symbols(graph: &Graph, samples: &Rows, part: usize) -> HashMap<Symbol, i64> {
    let mut found = HashMap::new();
    for (index, &id) in graph.inputs().iter().enumerate() {
        let (Some(shape), Some(dims)) = (graph.input(id).declared.shape(), samples.dims(index, part)) else { continue };
        for (dim, extent) in shape.iter().zip(dims) {
            if let (Some(symbol), Ok(extent)) = (dim.as_symbol(), i64::try_from(extent)) {
                found.insert(symbol.clone(), extent);
            }
        }
    }
    found
}
