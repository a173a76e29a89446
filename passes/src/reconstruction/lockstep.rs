//! Two models side by side: the original, and the one that is being compressed.
//!
//! They go from layer to layer in topological order. Between layers only the values are kept that later nodes read, of each model its own, so a
//! sample passes once through each model and not once per layer. While layers are compressed only constants change; where the second
//! model has nodes that the first does not, such as conversions to codes and back, it goes along the nodes that both have.

use std::borrow::Cow;
use std::sync::Arc;

use onnxpress_ir::{Model, NodeId, Tensor, ValueId};
use onnxpress_ops::LinearLayer;
use onnxpress_ops::evaluate::Value;
use rayon::prelude::*;

use super::batch::{Batch, Side, Values, Way, inputs, room, sessions, slice};
use super::compare::{Compared, Comparison};
use super::reading::{Reading, Sums};
use super::shelf::Shelf;
use super::stream::Stream;
use super::walk::Walk;
use crate::evidence::{
    CrossMoment, EvidenceError, EvidenceSource, Execute, Extents, Feed, Padding, SecondMoment, elements, rows_of,
};

/// The number of batches is a multiple of this, so that threads have the same to do. It is not the number of threads, since sums in single
/// precision are those of a batch.
const TOGETHER: usize = 4;

/// What a layer sees of the model compressed so far, and what it should answer.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `E[x' x'ᵀ]`, one a group.
    pub rows: Vec<SecondMoment>,
    /// `E[y x'ᵀ]`, one a group; empty where results are not to be seen.
    pub results: Vec<CrossMoment>,
    /// Of both, one pair a group, what comes from the samples that are held back; empty where they are too few or results are not to
    /// be seen.
    pub held: Vec<(SecondMoment, CrossMoment)>,
}

/// The two models on their way.
pub struct Lockstep<'s> {
    source: &'s dyn EvidenceSource,
    original: Walk,
    compressed: Walk,
    batches: Vec<Batch>,
    samples: usize,
    shelf: Arc<Shelf>,
}

impl<'s> Lockstep<'s> {
    /// Both at the inputs, in batches of `most` samples or somewhat fewer. Samples beyond what memory has room for are left out; how many there are [is told](Self::samples).
    ///
    /// # Errors
    /// Where the samples do not suit the model.
    pub fn new(model: &Model, source: &'s dyn EvidenceSource, most: usize) -> Result<Self, EvidenceError> {
        let (original, compressed) = (Walk::of(model)?, Walk::of(model)?);
        let graph = &model.graph;
        let inputs: Vec<ValueId> = graph.inputs().iter().map(|id| id.port(0)).collect();
        let (mut batches, mut samples, shelf) = (Vec::new(), 0, Shelf::new(source.aside()));
        let mut room_for = None;
        source.feed(model, even(source.samples(), most), &mut |feed: Feed<'_>| {
            let room = *room_for.get_or_insert_with(|| room(graph, original.order(), &Extents::of_one(graph, &feed)));
            if samples == 0 || samples + feed.len <= room {
                let given = inputs.iter().zip(feed.inputs);
                let kept = given.filter_map(|(&id, value)| Some((id, value.clone()?)));
                let kept = kept.map(|(id, value)| Ok((id, shelf.keep(value)?)));
                let values = kept.collect::<Result<Values, EvidenceError>>()?;
                let (original, compressed) = (values.clone(), values);
                let padding = Padding::of(model, feed.inputs);
                batches.push(Batch { len: feed.len, size: feed.size, before: samples, padding, original, compressed });
                samples += feed.len;
            }
            Ok(())
        })?;
        Ok(Self { source, original, compressed, batches, samples, shelf })
    }

    /// Lets another model be the compressed one, as long as nobody has gone on. Where it has the same nodes, and others between them,
    /// they are passed in the same order.
    ///
    /// # Errors
    /// Where its graph has a circle.
    pub fn against(self, compressed: &Model) -> Result<Self, EvidenceError> {
        self.against_known(compressed, Some)
    }

    /// Lets another model be the compressed one, as long as nobody has gone on; `known` says which node of the original, if any, a
    /// node of it stands for. It takes the same inputs, by name.
    ///
    /// # Errors
    /// Where its graph has a circle.
    pub fn against_known(
        mut self,
        compressed: &Model,
        known: impl Fn(NodeId) -> Option<NodeId>,
    ) -> Result<Self, EvidenceError> {
        self.compressed = Walk::along(compressed, |id| self.original.place(known(id)?))?;
        let (before, after) = (&self.original.model.graph, &compressed.graph);
        for batch in &mut self.batches {
            let named = |id: &NodeId| {
                let name = &after.port(id.port(0)).name;
                let same = before.inputs().iter().find(|other| before.port(other.port(0)).name == *name)?;
                Some((id.port(0), batch.original.get(&same.port(0))?.clone()))
            };
            batch.compressed = after.inputs().iter().filter_map(named).collect();
        }
        Ok(self)
    }

    /// How many samples go along.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The model as it came.
    pub fn original(&self) -> &Model {
        &self.original.model
    }

    /// The model as compressed so far.
    pub fn compressed(&self) -> &Model {
        &self.compressed.model
    }

    /// The model as compressed.
    pub fn into_compressed(self) -> Model {
        self.compressed.model
    }

    /// Nodes in the order in which they are passed.
    pub fn order(&self) -> &[NodeId] {
        self.original.order()
    }

    /// Gives a constant of the compressed model another value, of the same type. Nodes that are behind keep what they answered.
    pub fn set_constant(&mut self, value: ValueId, tensor: Tensor) {
        self.compressed.model.graph.set_constant(value.node, tensor);
    }

    /// Goes on to just before a node that both models have. Whoever is there or beyond stays.
    ///
    /// # Errors
    /// Where the models cannot be run.
    pub fn advance(&mut self, node: NodeId) -> Result<(), EvidenceError> {
        self.advance_both(node, node)
    }

    /// Goes on to just before a node of each model. Whoever is there or beyond stays.
    ///
    /// # Errors
    /// Where the models cannot be run.
    pub fn advance_both(&mut self, original: NodeId, compressed: NodeId) -> Result<(), EvidenceError> {
        for (side, node) in [(Side::Original, original), (Side::Compressed, compressed)] {
            let walk = if side == Side::Original { &mut self.original } else { &mut self.compressed };
            let Some(stretch) = walk.stretch(node) else { continue };
            if stretch.made.is_empty() {
                let values = self.batches.iter_mut().map(|batch| batch.values_mut(side));
                values.for_each(|values| values.retain(|value, _| stretch.kept.contains(value)));
            } else {
                let (slice, given) = slice(&walk.model, stretch.given.iter().copied(), &stretch.made)?;
                let way = Way { slice: &slice, given: &given, made: &stretch.made, kept: &stretch.kept };
                way.run(&mut self.batches, side, &self.shelf, self.source)?;
            }
            walk.went(&stretch);
        }
        self.source.progress("reconstruct", self.original.at(), self.original.order().len());
        Ok(())
    }

    /// What a layer that [is next](Self::advance) sees, and what it should answer: what the original answers there. Where that goes
    /// into a sum with a value that is behind, a residual stream, the layer is also asked for what that value has lost.
    ///
    /// # Errors
    /// Where its rows cannot be read, or the models cannot be run.
    pub fn see(&mut self, node: NodeId, layer: &LinearLayer) -> Result<Seen, EvidenceError> {
        let (reader, input) = rows_of(&self.compressed.model.graph, node, layer)?;
        if reader.has_results() {
            self.answer(node)?;
        }
        let graph = &self.original.model.graph;
        let output = node.port(0);
        let stream = Stream::of(graph, output).filter(|stream| self.original.live().contains(&stream.value));
        let stream = stream.filter(|_| reader.has_results());
        let reading = Reading {
            said: &|reason| EvidenceError::Site { site: graph.describe(node), reason },
            reader: &reader,
            input,
            output: reader.has_results().then_some(output),
            is: stream.as_ref().and_then(|it| self.compressed.model.graph.operand(it.sum, it.operand)),
            stream,
        };
        let sums = || Sums::new(reader.outputs(), reader.columns());
        let mut sums: Vec<Sums> = (0..reader.groups()).map(|_| sums()).collect();
        for batches in self.batches.chunks(rayon::current_num_threads().max(1)) {
            // Sums are those of batches one after the other, whatever the number of threads.
            let read: Vec<_> = batches.par_iter().map(|batch| reading.rows(batch)).collect();
            for groups in read {
                sums.par_iter_mut().zip(groups?).for_each(|(sums, rows)| sums.take(rows));
            }
        }
        let (all, mut held): (Vec<_>, Vec<_>) = sums.into_iter().map(Sums::all_and_held).unzip();
        let (rows, mut results): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        if !reader.has_results() {
            results.clear();
        }
        if !reader.has_results() || held.iter().any(|(rows, _)| rows.count() == 0) {
            held.clear();
        }
        Ok(Seen { rows, results, held })
    }

    /// Has the original answer the node that is next; what it answers is not computed again on the way on.
    fn answer(&mut self, node: NodeId) -> Result<(), EvidenceError> {
        let live = self.original.live();
        let answered = self.original.answered(node);
        if answered.iter().all(|value| live.contains(value)) {
            return Ok(());
        }
        let (slice, given) = slice(&self.original.model, live.iter().copied(), &answered)?;
        let kept = live.iter().chain(&answered).copied().collect();
        let way = Way { slice: &slice, given: &given, made: &answered, kept: &kept };
        way.run(&mut self.batches, Side::Original, &self.shelf, self.source)?;
        self.original.got(&answered);
        Ok(())
    }
}

impl Lockstep<'_> {
    /// What the original answers at its outputs, batch by batch, with `constants` in the place of its own, which nodes must read that are
    /// not behind; and how many samples the tensors of a batch have.
    ///
    /// # Errors
    /// Where the model cannot be run.
    pub(crate) fn answers(&self, constants: &[(ValueId, Tensor)]) -> Result<Vec<(Vec<Value>, usize)>, EvidenceError> {
        let model = &self.original.model;
        let outputs = model.graph.outputs().iter().flat_map(|&id| model.graph.reads(id));
        let mut changed = Cow::Borrowed(model);
        for (value, tensor) in constants {
            changed.to_mut().graph.set_constant(value.node, tensor.clone());
        }
        let (slice, given) = slice(&changed, self.original.live(), &outputs.collect::<Vec<_>>())?;
        let mut sessions = sessions(&slice, self.source)?;
        let mut answers = Vec::new();
        for batches in self.batches.chunks(sessions.len()) {
            let run = |(batch, session): (&Batch, &mut Box<dyn Execute + '_>)| {
                Ok((session.run(&inputs(&batch.original, &given)?)?, batch.size))
            };
            let done: Result<Vec<_>, EvidenceError> =
                batches.par_iter().zip(sessions.par_iter_mut()).map(run).collect();
            answers.extend(done?);
        }
        Ok(answers)
    }

    /// How far a value of the compressed model is from one of the original, along an axis; `None` where the two cannot be computed of
    /// what is at hand, or are no tensors of numbers of the same extents.
    ///
    /// # Errors
    /// Where the models cannot be run.
    pub(crate) fn compare(
        &self,
        original: ValueId,
        compressed: ValueId,
        axis: usize,
    ) -> Result<Option<Compared>, EvidenceError> {
        let sides = [(&self.original, original), (&self.compressed, compressed)];
        let mut slices = Vec::new();
        for (walk, value) in sides {
            // What is behind and no longer kept cannot be had.
            let Ok(slice) = slice(&walk.model, walk.live(), &[value]) else { return Ok(None) };
            slices.push(slice);
        }
        let mut sessions = Vec::new();
        for (slice, _) in &slices {
            sessions.push(self.source.load(slice)?);
        }
        let mut whole = Comparison::default();
        for batch in &self.batches {
            let mut run = |side: usize, values: &Values| {
                let outputs = sessions[side].run(&inputs(values, &slices[side].1)?)?;
                Ok::<_, EvidenceError>(outputs.first().and_then(|value| elements(value, batch.len, batch.size)))
            };
            let (was, is) = (run(0, &batch.original)?, run(1, &batch.compressed)?);
            let (Some((was, dims)), Some((is, other))) = (was, is) else { return Ok(None) };
            if dims != other || whole.add(&was, &is, &dims, axis).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(whole.compared()))
    }
}

/// Samples of a batch, at most so many, where all are to be about equal.
fn even(samples: usize, most: usize) -> usize {
    samples.div_ceil(samples.div_ceil(most.max(1)).next_multiple_of(TOGETHER).max(1)).max(1)
}
