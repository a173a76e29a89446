//! Student and teacher side by side: the ends of blocks that both have become outputs of both, of one shape.
//!
//! How much a difference counts is told by what there is to tell: mean squares are divided by the variance of the teacher's values, so
//! that each end adds the share of it that the student does not explain.

use std::collections::{BTreeMap, HashSet};

use super::channels::{Lanes, Pairing};
use super::landmarks::{self, Landmark};
use super::options::Distil;
use super::rows::Rows;
use crate::EliminateDead;
use crate::differentiate::{Brief, Loss, unused};
use crate::evidence::{EvidenceError, EvidenceSource};
use crate::pass::{Pass, PassCx, PassError, Request};
use onnxpress_ir::{Attr, Carried, Edit, Graph, Model, Node, NodeId, Tensor, ValueId};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::infer::Standard;

/// How many samples are looked at, at most.
const LOOKED_AT: usize = 32;

/// The smallest probability whose logarithm is looked at.
const LEAST: f64 = 1e-7;

/// A value at the end of a block.
struct End {
    name: String,
    ours: ValueId,
    /// That of the teacher, of the same shape.
    theirs: ValueId,
    variance: f64,
}

/// See the [module](self).
pub(super) struct Pair {
    teacher: Model,
    /// The student as it is trained.
    pub(super) learner: Model,
    ends: Vec<End>,
    /// The variance of each answer; of probabilities, of their logarithms.
    answers: Vec<f64>,
    /// Whether an answer is probabilities.
    pub(super) probabilities: bool,
    /// Values under one name that are not compared, with the reason.
    pub(super) declined: Vec<(String, String)>,
}

/// What is to become alike.
#[derive(Debug, Clone)]
pub(super) struct Goal {
    /// Constants that stay.
    pub(super) fixed: HashSet<NodeId>,
    /// How answers are compared.
    pub(super) loss: Loss,
    /// Whether differences count by what there is to tell.
    pub(super) by_variance: bool,
    /// Whether ends of blocks are compared too.
    pub(super) inside: bool,
    /// How much the teacher counts, and not labels.
    pub(super) alpha: f64,
}

/// What is trained at a time: two models with the same outputs.
pub(super) struct Stage {
    /// The end that it trains up to; nothing where these are the answers.
    pub(super) name: Option<String>,
    pub(super) teacher: Model,
    pub(super) learner: Model,
    pub(super) brief: Brief,
    /// How answers are compared.
    pub(super) loss: Loss,
}

/// Sums of numbers and of their squares.
#[derive(Clone, Copy, Default)]
struct Spread {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Spread {
    fn add(&mut self, x: f64) {
        self.count += 1.0;
        self.sum += x;
        self.squares += x * x;
    }

    /// The variance; of numbers that are all the same, one.
    fn variance(self) -> f64 {
        let mean = self.sum / self.count.max(1.0);
        let variance = self.squares / self.count.max(1.0) - mean * mean;
        if variance.is_finite() && variance > 1e-12 { variance } else { 1.0 }
    }
}

fn failed(error: impl std::fmt::Display) -> EvidenceError {
    EvidenceError::Run(error.to_string())
}

fn add_output(graph: &mut Graph, value: ValueId, name: &str) {
    let ty = graph.ty(value).clone();
    let name = unused(graph, &format!("hidden/{name}"));
    graph.add_output(name, ty, Carried::none(), value);
}

fn numbers(value: Option<&Value>) -> Result<(Vec<usize>, Vec<f32>), EvidenceError> {
    let tensor: &Tensor = value.ok_or_else(|| failed("an output is missing"))?.as_tensor().map_err(failed)?;
    Ok((tensor.dims().to_vec(), tensor.to_f32s().map_err(failed)?))
}

impl Pair {
    /// Two models that take and give the same. Values inside are looked for where somebody wants them.
    ///
    /// # Errors
    /// Where one of them cannot be run.
    pub(super) fn of(
        teacher: &Model,
        learner: Model,
        look_inside: bool,
        samples: &Rows,
        part: usize,
        source: &dyn EvidenceSource,
    ) -> Result<Self, EvidenceError> {
        let landmarks = if look_inside { landmarks::ends(&learner.graph, &teacher.graph) } else { Vec::new() };
        let count = learner.graph.outputs().len();
        let softmax = |&id: &NodeId| {
            let value = learner.graph.operand(id, 0);
            value.and_then(|value| learner.graph.node(value.node)).is_some_and(|node| node.is("Softmax"))
        };
        let soft: Vec<bool> = learner.graph.outputs().iter().map(softmax).collect();
        let (mut wide, mut narrow) = (teacher.clone(), learner.clone());
        for landmark in &landmarks {
            add_output(&mut wide.graph, landmark.theirs, &landmark.name);
            add_output(&mut narrow.graph, landmark.ours, &landmark.name);
        }
        let mut pairings: Vec<Option<(usize, Pairing)>> =
            landmarks.iter().map(|it| start_pairing(it, &learner, teacher)).collect();
        let mut spreads = vec![Spread::default(); count + landmarks.len()];
        let (mut theirs, mut ours) = (source.load(&wide)?, source.load(&narrow)?);
        let most = samples.len().min(LOOKED_AT.max(part));
        for start in (0..most).step_by(part) {
            let some: Vec<usize> = (start..start + part).map(|sample| sample.min(samples.len() - 1)).collect();
            let inputs = samples.batch(&some)?;
            let their = theirs.run(&inputs)?;
            let our = if pairings.iter().any(Option::is_some) { ours.run(&inputs)? } else { Vec::new() };
            for (number, spread) in spreads.iter_mut().enumerate() {
                // Outputs that are no floats are compared by nobody.
                let Ok((dims, values)) = numbers(their.get(number)) else { continue };
                let log = soft.get(number) == Some(&true);
                let number_of = |x: f32| if log { f64::from(x).max(LEAST).ln() } else { f64::from(x) };
                values.iter().for_each(|&x| spread.add(number_of(x)));
                let Some(Some((axis, pairing))) = number.checked_sub(count).map(|at| &mut pairings[at]) else {
                    continue;
                };
                let axis = *axis;
                let (own_dims, own) = numbers(our.get(number))?;
                let (Some(&wide), Some(&narrow)) = (dims.get(axis), own_dims.get(axis)) else { continue };
                let inner = dims[axis + 1..].iter().product::<usize>().max(1);
                pairing.add(
                    Lanes { values: &own, channels: narrow, inner },
                    Lanes { values: &values, channels: wide, inner },
                );
            }
        }
        drop((theirs, ours));
        let mut pair = Self {
            teacher: teacher.clone(),
            learner,
            ends: Vec::new(),
            answers: spreads[..count].iter().map(|spread| spread.variance()).collect(),
            probabilities: soft.contains(&true),
            declined: Vec::new(),
        };
        for ((landmark, pairing), spread) in landmarks.into_iter().zip(pairings).zip(&spreads[count..]) {
            let kept =
                pairing.map_or_else(|| Err("it is too wide to compare".to_owned()), |(_, pairing)| pairing.kept());
            match kept {
                Ok(kept) => pair.add_end(landmark, kept, spread.variance()).map_err(failed)?,
                Err(reason) => pair.declined.push((landmark.name, reason)),
            }
        }
        Ok(pair)
    }

    /// An end, of which the teacher gives the channels that the student kept.
    fn add_end(&mut self, landmark: Landmark, kept: Vec<usize>, variance: f64) -> Result<(), onnxpress_ir::EditError> {
        let Landmark { name, ours, mut theirs, narrower } = landmark;
        if let Some(axis) = narrower {
            let mut edit = Edit::new(&mut self.teacher.graph, &Standard, Distil::NAME, &[theirs.node]);
            let kept =
                edit.add_constant(None, Tensor::vector(kept.into_iter().map(|it| it as i64).collect::<Vec<_>>()));
            theirs = edit.add(Node::new("Gather", 1).with(Attr::int("axis", axis as i64)), &[theirs, kept])?;
            edit.commit();
        }
        self.ends.push(End { name, ours, theirs, variance });
        Ok(())
    }

    /// The names of all ends.
    pub(super) fn names(&self) -> Vec<&str> {
        self.ends.iter().map(|end| end.name.as_str()).collect()
    }

    /// What differences count where answers are compared by what there is to tell.
    fn by_variance(&self) -> BTreeMap<usize, f64> {
        self.answers.iter().map(|variance| 1.0 / variance).enumerate().collect()
    }

    /// All at once.
    pub(super) fn whole(&self, goal: &Goal) -> Stage {
        let (mut teacher, mut learner) = (self.teacher.clone(), self.learner.clone());
        let hidden = learner.graph.outputs().len();
        let mut factors = if goal.by_variance { self.by_variance() } else { BTreeMap::new() };
        if goal.inside {
            for (number, end) in self.ends.iter().enumerate() {
                add_output(&mut teacher.graph, end.theirs, &end.name);
                add_output(&mut learner.graph, end.ours, &end.name);
                factors.insert(hidden + number, 1.0 / end.variance);
            }
        }
        let brief = Brief { fixed: goal.fixed.clone(), hidden, factors, alpha: goal.alpha };
        Stage { name: None, teacher, learner, brief, loss: goal.loss }
    }

    /// One block after the other: the models up to each end, of which only what lies behind the end before is trained, and then the
    /// models themselves.
    ///
    /// # Errors
    /// Where what is not needed cannot be dropped.
    pub(super) fn block(&self, number: usize, goal: &Goal) -> Result<Stage, PassError> {
        let done = number.checked_sub(1).and_then(|before| self.ends.get(before)).map(|end| end.ours);
        let done = done.into_iter().flat_map(|end| behind(&self.learner.graph, end));
        let fixed: HashSet<NodeId> = goal.fixed.iter().copied().chain(done).collect();
        let Some(end) = self.ends.get(number) else {
            return Ok(self.whole(&Goal { fixed, inside: false, ..goal.clone() }));
        };
        let teacher = up_to(&self.teacher, end.theirs, &end.name)?;
        let learner = up_to(&self.learner, end.ours, &end.name)?;
        let brief = Brief { fixed, factors: BTreeMap::from([(0, 1.0 / end.variance)]), ..Brief::default() };
        Ok(Stage { name: Some(end.name.clone()), teacher, learner, brief, loss: Loss::Mse })
    }
}

/// What channels are compared along an axis; `None` where they are not known or too many.
fn start_pairing(landmark: &Landmark, learner: &Model, teacher: &Model) -> Option<(usize, Pairing)> {
    let extent = |graph: &Graph, value: ValueId, axis: usize| {
        let dim = graph.ty(value).shape()?.get(axis)?.as_const()?;
        usize::try_from(dim).ok()
    };
    // Where none is narrower, channels of pictures, and of anything else the last axis.
    let rank = learner.graph.ty(landmark.ours).shape()?.len();
    let axis = landmark.narrower.unwrap_or(if rank > 3 { 1 } else { rank.saturating_sub(1) });
    let (ours, theirs) = (extent(&learner.graph, landmark.ours, axis)?, extent(&teacher.graph, landmark.theirs, axis)?);
    Some((axis, Pairing::new(ours, theirs)?))
}

/// Constants that a value is computed of.
fn behind(graph: &Graph, value: ValueId) -> HashSet<NodeId> {
    let (mut seen, mut waiting) = (HashSet::new(), vec![value.node]);
    while let Some(id) = waiting.pop() {
        if seen.insert(id) {
            waiting.extend(graph.reads(id).map(|value| value.node));
        }
    }
    seen.retain(|&id| graph.constant(id.port(0)).is_some());
    seen
}

/// A model that gives this value alone.
fn up_to(model: &Model, value: ValueId, name: &str) -> Result<Model, PassError> {
    let mut model = model.clone();
    let old: Vec<NodeId> = model.graph.outputs().to_vec();
    add_output(&mut model.graph, value, name);
    let mut edit = Edit::new(&mut model.graph, &Standard, Distil::NAME, &[]);
    old.into_iter().for_each(|id| edit.remove(id));
    edit.commit();
    EliminateDead.run(&mut model, &mut PassCx::new(Request::default()))?;
    Ok(model)
}
