//! What is trained, in which order: the whole student at once, or one block after the other.
//!
//! With `mode=block` each block learns to give what the teacher's gives, for what the blocks before it, which have learned already,
//! give it (H. Bai et al., "Few Shot Network Compression via Cross Distillation", 2020, has both ways round). Only the block at hand has
//! gradients, and only what comes before it is computed at all, so it takes little memory.

use std::collections::{BTreeMap, HashSet};

use onnxpress_ir::{Model, NodeId, Tensor};

use super::curve::Point;
use super::grids::Grids;
use super::interface::compare;
use super::memory::Memory;
use super::options::{Aim, Distil, Mode};
use super::pair::{Goal, Pair, Stage};
use super::rows::Rows;
use super::school::{Look, Portions};
use super::state::State;
use super::train::{Outcome, prepare};
use crate::differentiate::{Loss, Step, step_for};
use crate::evidence::{EvidenceError, EvidenceSource};
use crate::pass::PassError;

/// A block that was trained on its own.
#[derive(Debug, serde::Serialize)]
pub(super) struct Block {
    /// The value at its end; nothing where that is the answers.
    end: Option<String>,
    rate: Option<f64>,
    curve: Vec<Point>,
}

/// What a lesson came to.
pub(super) struct Learned {
    /// The constants of the learner that are better than they were, codes as what they mean; `None` where the start was as good.
    pub(super) weights: Option<Vec<(NodeId, Tensor)>>,
    /// The start, then each epoch; of blocks, the end.
    pub(super) curve: Vec<Point>,
    pub(super) blocks: Vec<Block>,
    pub(super) rate: Option<f64>,
    pub(super) held_out: usize,
    pub(super) memory: Memory,
    pub(super) interrupted: bool,
    /// What was left alone, with the reason: constants that could be trained, values that could be compared, blocks.
    pub(super) declined: BTreeMap<String, String>,
    /// What is compared inside.
    pub(super) inside: Vec<String>,
}

fn failed(error: EvidenceError) -> PassError {
    PassError::Request(error.to_string())
}

/// What a lesson needs.
pub(super) struct Lesson<'l> {
    pub(super) options: &'l Distil,
    pub(super) grids: &'l Grids,
    /// Constants that stay.
    pub(super) fixed: HashSet<NodeId>,
    pub(super) source: &'l dyn EvidenceSource,
    /// Where the training is kept from one epoch to the next.
    pub(super) state: Option<State<'l>>,
}

impl Lesson<'_> {
    /// Gives it.
    ///
    /// # Errors
    /// Where samples or models do not suit each other, nothing can be trained, or the training diverges.
    pub(super) fn give(self, teacher: &Model, learner: Model) -> Result<Learned, PassError> {
        compare(teacher, &learner).map_err(PassError::Request)?;
        let options = self.options;
        let at_once = Portions::at_once(options, &learner.graph);
        let samples = Rows::read(self.source, &learner, at_once).map_err(failed)?;
        if options.alpha < 1.0 && !samples.labelled() {
            return Err(PassError::Request(format!(
                "`alpha` is {}, which needs labels: the samples have none",
                options.alpha
            )));
        }
        if samples.len() == 0 {
            return Err(PassError::Request("there are no samples to learn from".to_owned()));
        }
        let part = Portions::of(options, &learner.graph, samples.len()).part;
        let look_inside = options.loss == Aim::Hidden || options.mode == Mode::Block;
        let pair = Pair::of(teacher, learner, look_inside, &samples, part, self.source).map_err(failed)?;
        let inside = !pair.names().is_empty();
        if options.mode == Mode::Block && !inside {
            return Err(PassError::Request(match pair.declined.first() {
                Some((name, reason)) => {
                    format!("`mode` is `block`, and no value inside is alike in both: `{name}`: {reason}")
                }
                None => "`mode` is `block`, and no value inside is in both teacher and student".to_owned(),
            }));
        }
        let by_variance = options.loss == Aim::Hidden && inside;
        let loss = match options.loss {
            Aim::Mse => Loss::Mse,
            Aim::Hidden if inside && !pair.probabilities => Loss::Mse,
            _ => Loss::Kl,
        };
        let goal = Goal { fixed: self.fixed.clone(), loss, by_variance, inside: by_variance, alpha: options.alpha };
        match options.mode {
            Mode::EndToEnd => self.whole(&pair, &goal, &samples),
            Mode::Block => self.blocks(pair, &goal, &samples),
        }
    }

    fn step(&self, stage: &Stage) -> Result<Step, PassError> {
        step_for(&stage.learner, &self.options.step(stage.loss), &stage.brief)
    }

    fn whole(&self, pair: &Pair, goal: &Goal, samples: &Rows) -> Result<Learned, PassError> {
        let stage = pair.whole(goal);
        let step = self.step(&stage)?;
        let training = prepare(self.options, &stage, &step, self.grids, samples, self.source, self.state.as_ref())?;
        let held_out = training.held_out();
        let Outcome { weights, curve, rate, memory, interrupted } = training.run("distil")?;
        Ok(Learned {
            weights,
            curve,
            blocks: Vec::new(),
            rate,
            held_out,
            memory,
            interrupted,
            declined: step.frozen.iter().chain(&pair.declined).cloned().collect(),
            inside: if goal.inside { pair.names().into_iter().map(str::to_owned).collect() } else { Vec::new() },
        })
    }

    fn blocks(&self, mut pair: Pair, goal: &Goal, samples: &Rows) -> Result<Learned, PassError> {
        let all = pair.whole(&Goal { inside: false, ..goal.clone() });
        let step = self.step(&all)?;
        let mut judge = prepare(self.options, &all, &step, self.grids, samples, self.source, None)?;
        let start = judge.look_at(&pair.learner.graph)?;
        let mut memory = Memory::default();
        let inside: Vec<String> = pair.names().into_iter().map(str::to_owned).collect();
        let mut weights: BTreeMap<NodeId, Tensor> = BTreeMap::new();
        let (mut blocks, mut interrupted) = (Vec::new(), false);
        let mut declined: BTreeMap<String, String> = step.frozen.iter().chain(&pair.declined).cloned().collect();
        for number in 0..=inside.len() {
            let stage = pair.block(number, goal)?;
            let step = match self.step(&stage) {
                // Where the whole has parameters, a block may have none.
                Err(PassError::Request(reason)) => {
                    declined.insert(format!("block {}", number + 1), reason);
                    continue;
                }
                step => step?,
            };
            let training = prepare(self.options, &stage, &step, self.grids, samples, self.source, None)?;
            let outcome = training.run(&format!("distil: block {} of {}", number + 1, inside.len() + 1))?;
            memory = memory.or_more(outcome.memory);
            for (constant, tensor) in outcome.weights.into_iter().flatten() {
                pair.learner.graph.set_constant(constant, tensor.clone());
                weights.insert(constant, tensor);
            }
            blocks.push(Block { end: stage.name, rate: outcome.rate, curve: outcome.curve });
            interrupted = outcome.interrupted;
            if interrupted {
                break;
            }
        }
        let end = judge.look_at(&pair.learner.graph)?;
        let better = !weights.is_empty() && judge.is_gain(&end, &start);
        let point = |epoch, look: &Look, kept| Point {
            epoch,
            train_loss: look.loss(),
            loss: look.loss(),
            agreement: look.agreement,
            kept,
        };
        Ok(Learned {
            weights: better.then(|| weights.into_iter().collect()),
            curve: vec![point(0, &start, !better), point(self.options.epochs, &end, better)],
            blocks,
            rate: None,
            held_out: judge.held_out(),
            memory,
            interrupted,
            declined,
            inside,
        })
    }
}
