//! What a training takes, said before it begins.
//!
//! What values of a step are held at once follows from the graph of the step ([`peak_bytes`]), once for every thread that takes steps; so
//! do copies of the models. Once there are samples, and weights with what the optimizer remembers of them. That holds on every system, but
//! says nothing of what a runner takes beside, for patches of pictures and weights in an order of its own, which is several times as much
//! for convolutions. So, where the system says what a process holds, a step is taken for nothing, and it is seen.

use std::collections::HashMap;

use onnxpress_ir::analysis::peak_bytes;
use onnxpress_ir::{Graph, Symbol, Tensor};

use super::pair::Stage;
use super::rows::Rows;
use crate::differentiate::Step;
use crate::evidence::Held;

/// Arrays as long as the weights that a training makes: now, means of gradients, of squares and of weights, those that are kept.
const MADE: u64 = 5;

/// The same for each thread: gradients of a step as the runner gives them, and as they are added up; weights as a step takes them, and as
/// the runner does.
const EACH: u64 = 4;

/// What is trained, on samples of which so many are shown at a time.
pub(super) struct Training<'t> {
    pub(super) stage: &'t Stage,
    pub(super) step: &'t Step,
    pub(super) samples: &'t Rows,
    pub(super) part: usize,
}

/// What a training holds, by counting: in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    /// Samples, and weights as they were.
    samples: u64,
    /// What the training makes of weights.
    made: u64,
    /// What all threads hold.
    threads: u64,
}

/// What a training takes, in bytes.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(super) struct Memory {
    /// Values and weights, by counting.
    pub(super) counted: u64,
    /// What the process was going to hold at most, as was said after a step that was taken for nothing; `None` where nobody knows.
    pub(super) said: Option<u64>,
    /// What it held at most in the end.
    pub(super) held: Option<u64>,
}

impl Memory {
    /// The more of two trainings, one after the other.
    pub(super) fn or_more(self, other: Self) -> Self {
        Self {
            counted: self.counted.max(other.counted),
            said: self.said.max(other.said),
            held: self.held.max(other.held),
        }
    }
}

impl Counted {
    /// About what a training by so many threads holds at most.
    pub(super) fn of(it: &Training<'_>, threads: usize) -> Self {
        let symbols = symbols(&it.stage.learner.graph, it.samples, it.part);
        let bind = |symbol: &Symbol| symbols.get(symbol).copied();
        let peak = |graph: &Graph| peak_bytes(graph, &bind);
        let weights: u64 = it.step.start.iter().map(bytes).fold(0, u64::saturating_add);
        // The teacher is done when the step begins, but for its answers, which the step takes.
        let at_once = peak(&it.stage.teacher.graph).max(peak(&it.step.model.graph));
        let models = [&it.stage.teacher, &it.step.model, &it.step.forward];
        let constants = models.map(|model| constants(&model.graph)).into_iter().fold(0, u64::saturating_add);
        let each = at_once.saturating_add(constants).saturating_add(weights.saturating_mul(EACH));
        Self {
            samples: (it.samples.bytes() as u64).saturating_add(weights),
            made: weights.saturating_mul(MADE),
            threads: each.saturating_mul(threads as u64),
        }
    }

    /// All of it.
    pub(super) fn all(&self) -> u64 {
        self.samples.saturating_add(self.made).saturating_add(self.threads)
    }

    /// What the process is going to hold at most, of which it is known what it held before and after a step that was taken for nothing.
    pub(super) fn foreseen(&self, before: Held, after: Held) -> u64 {
        if after.most > before.most {
            return after.most.saturating_add(self.made);
        }
        // What came before held more than the step.
        after.most.max(after.now.saturating_add(self.made).saturating_add(self.threads))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_shows_what_it_takes_unless_more_was_held_before() {
        let counted = Counted { samples: 5, made: 10, threads: 40 };
        let held = |now, most| Held { now, most };
        assert_eq!(counted.all(), 55);
        assert_eq!(counted.foreseen(held(20, 30), held(80, 100)), 110);
        assert_eq!(counted.foreseen(held(20, 300), held(80, 300)), 300, "what is foreseen is less");
        assert_eq!(counted.foreseen(held(20, 100), held(80, 100)), 130);
    }
}
