//! Two models side by side: the original, and the one that is being compressed.
//!
//! They go from layer to layer in topological order. Between layers only the values are kept that later nodes read, of each model its own, so a
//! sample passes once through each model and not once per layer. While layers are compressed only constants change; where the second
//! model has nodes that the first does not, such as conversions to codes and back, it goes along the nodes that both have.

use std::collections::{BTreeMap, HashMap};

use onnxpress_ir::{Graph, Model, NodeId, Tensor, ValueId, Vertex};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::{InputRows, LayerRows, LinearLayer};
use rayon::prelude::*;

use super::compare::{Compared, Comparison};
use super::stream::Stream;
use super::walk::Walk;
use crate::evidence::{
    CrossMoment, EvidenceError, EvidenceSource, Execute, Feed, Padding, SecondMoment, chosen_rows, elements, part,
    rows_of,
};

/// Of so many batches one is held back.
const HELD_BATCHES: usize = 4;
/// The most bytes of values that are kept between two layers, of both models together.
const KEPT: usize = 3 << 30;

/// Values of one batch between two layers.
struct Batch {
    /// Samples that count, and that the tensors have.
    len: usize,
    size: usize,
    /// How many samples came before.
    before: usize,
    padding: Option<Padding>,
    original: HashMap<ValueId, Value>,
    compressed: HashMap<ValueId, Value>,
}

impl Batch {
    fn values_mut(&mut self, side: Side) -> &mut HashMap<ValueId, Value> {
        match side {
            Side::Original => &mut self.original,
            Side::Compressed => &mut self.compressed,
        }
    }
}

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
}

impl<'s> Lockstep<'s> {
    /// Both at the inputs. Samples beyond what memory has room for are left out; how many there are [is told](Self::samples).
    ///
    /// # Errors
    /// Where the samples do not suit the model.
    pub fn new(model: &Model, source: &'s dyn EvidenceSource, batch: usize) -> Result<Self, EvidenceError> {
        let (original, compressed) = (Walk::of(model)?, Walk::of(model)?);
        let graph = &model.graph;
        let room = room(graph, original.order());
        let inputs: Vec<ValueId> = graph.inputs().iter().map(|id| id.port(0)).collect();
        let (mut batches, mut samples) = (Vec::new(), 0);
        source.feed(model, batch, &mut |feed: Feed<'_>| {
            if samples == 0 || samples + feed.len <= room {
                let given = inputs.iter().zip(feed.inputs);
                let values: HashMap<ValueId, Value> =
                    given.filter_map(|(&id, value)| Some((id, value.clone()?))).collect();
                let (original, compressed) = (values.clone(), values);
                let padding = Padding::of(model, feed.inputs);
                batches.push(Batch { len: feed.len, size: feed.size, before: samples, padding, original, compressed });
                samples += feed.len;
            }
            Ok(())
        })?;
        Ok(Self { source, original, compressed, batches, samples })
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
            if !stretch.made.is_empty() {
                let slice = part(&walk.model, &stretch.given, &stretch.made)?;
                run_all(&slice, &stretch.given, &stretch.made, &mut self.batches, side, self.source)?;
            }
            for batch in &mut self.batches {
                batch.values_mut(side).retain(|value, _| stretch.kept.contains(value));
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
    pub fn see(&self, node: NodeId, layer: &LinearLayer) -> Result<Seen, EvidenceError> {
        let graph = &self.original.model.graph;
        let (reader, input) = rows_of(&self.compressed.model.graph, node, layer)?;
        let output = node.port(0);
        let given: Vec<ValueId> = self.original.live().into_iter().collect();
        let slice = part(&self.original.model, &given, &[output])?;
        let mut sessions = sessions(&slice, self.source)?;
        let groups = reader.groups();
        let sees_results = reader.has_results();
        let stream = Stream::of(graph, output).filter(|stream| given.contains(&stream.value));
        let none = (SecondMoment::new(reader.columns()), CrossMoment::new(reader.outputs(), reader.columns()));
        let (mut all, mut held) = (vec![none.clone(); groups], vec![none; groups]);
        let mut number = 0;
        for batches in self.batches.chunks(sessions.len()) {
            let outputs: Vec<_> = if sees_results {
                let run = |(batch, session): (&Batch, &mut Box<dyn Execute + '_>)| {
                    let inputs: Vec<_> = given.iter().map(|value| batch.original.get(value).cloned()).collect();
                    session.run(&inputs).map(|mut outputs| outputs.pop())
                };
                batches.par_iter().zip(sessions.par_iter_mut()).map(run).collect()
            } else {
                batches.iter().map(|_| Ok(None)).collect()
            };
            for (batch, y) in batches.iter().zip(outputs) {
                let said = |reason: String| EvidenceError::Site { site: graph.describe(node), reason };
                let nothing = || said("its input is not a tensor of numbers".to_owned());
                let (x, dims) = batch
                    .compressed
                    .get(&input)
                    .and_then(|x| elements(x, batch.len, batch.size))
                    .ok_or_else(nothing)?;
                let mut y = y?.and_then(|y| elements(&y, batch.len, batch.size));
                if let (Some(stream), Some((y, dims))) = (&stream, &mut y) {
                    let is = self.compressed.model.graph.operand(stream.sum, stream.operand);
                    let is = is.and_then(|is| elements(batch.compressed.get(&is)?, batch.len, batch.size));
                    let was = batch.original.get(&stream.value).and_then(|was| elements(was, batch.len, batch.size));
                    if let (Some((was, a)), Some((is, b))) = (was, is)
                        && a == *dims
                        && b == *dims
                    {
                        stream.give(y, dims, &was, &is);
                    }
                }
                let reading =
                    Reading { reader: &reader, input: reader.over(&dims).map_err(said)?, x: &x, y: y.as_ref() };
                let which = chosen_rows(&reading.input, batch.before, batch.len, batch.padding.as_ref());
                number += 1;
                reading.add(&which, &mut all).map_err(said)?;
                if number % HELD_BATCHES == 0 {
                    reading.add(&which, &mut held).map_err(said)?;
                }
            }
        }
        let (rows, mut results): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        if !sees_results {
            results.clear();
        }
        if !sees_results || number < HELD_BATCHES {
            held.clear();
        }
        Ok(Seen { rows, results, held })
    }
}

impl Lockstep<'_> {
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
            let given: Vec<ValueId> = walk.live().into_iter().collect();
            // What is behind and no longer kept cannot be had.
            let Ok(slice) = part(&walk.model, &given, &[value]) else { return Ok(None) };
            slices.push((slice, given));
        }
        let mut sessions = Vec::new();
        for (slice, _) in &slices {
            sessions.push(self.source.load(slice)?);
        }
        let mut whole = Comparison::default();
        for batch in &self.batches {
            let mut run = |side: usize, values: &HashMap<ValueId, Value>| {
                let inputs: Vec<_> = slices[side].1.iter().map(|value| values.get(value).cloned()).collect();
                let outputs = sessions[side].run(&inputs)?;
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

struct Reading<'a> {
    reader: &'a LayerRows,
    input: InputRows<'a>,
    x: &'a [f32],
    y: Option<&'a (Vec<f32>, Vec<usize>)>,
}

impl Reading<'_> {
    fn add(&self, which: &[usize], sums: &mut [(SecondMoment, CrossMoment)]) -> Result<(), String> {
        sums.par_iter_mut()
            .enumerate()
            .map(|(group, (moment, cross))| {
                let (mut of_x, mut of_y) = (Vec::new(), Vec::new());
                self.input.read(self.x, group, which, &mut of_x)?;
                moment.add(&of_x);
                if let Some((y, dims)) = self.y {
                    self.reader.read_results(y, dims, group, which, &mut of_y)?;
                    cross.add(&of_y, &of_x);
                }
                Ok(())
            })
            .collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Original,
    Compressed,
}

fn sessions<'m>(model: &'m Model, source: &dyn EvidenceSource) -> Result<Vec<Box<dyn Execute + 'm>>, EvidenceError> {
    (0..rayon::current_num_threads().max(1)).map(|_| source.load(model)).collect()
}

/// Runs a slice on all batches of one side, and keeps what it makes.
fn run_all(
    slice: &Model,
    given: &[ValueId],
    made: &[ValueId],
    batches: &mut [Batch],
    side: Side,
    source: &dyn EvidenceSource,
) -> Result<(), EvidenceError> {
    let mut sessions = sessions(slice, source)?;
    let count = sessions.len();
    for batches in batches.chunks_mut(count) {
        let run = |(batch, session): (&mut Batch, &mut Box<dyn Execute + '_>)| {
            let values = batch.values_mut(side);
            let inputs: Vec<_> = given.iter().map(|value| values.get(value).cloned()).collect();
            let outputs = session.run(&inputs)?;
            values.extend(made.iter().copied().zip(outputs));
            Ok(())
        };
        batches.par_iter_mut().zip(sessions.par_iter_mut()).map(run).collect::<Result<(), EvidenceError>>()?;
    }
    Ok(())
}

/// How many samples there is room for: by the most elements that are alive between two nodes.
fn room(graph: &Graph, order: &[NodeId]) -> usize {
    let bytes = |value: ValueId| {
        let Some(shape) = graph.ty(value).shape() else { return 0 };
        let extent =
            |dim: &onnxpress_ir::Dim| dim.as_const().and_then(|extent| usize::try_from(extent).ok()).unwrap_or(64);
        shape.iter().skip(1).map(extent).fold(4usize, usize::saturating_mul)
    };
    // Values that come and go, in one walk over the order.
    let mut last: BTreeMap<ValueId, usize> = BTreeMap::new();
    for (place, &id) in order.iter().enumerate() {
        for value in graph.reads(id) {
            last.insert(value, place);
        }
    }
    let mut dying: Vec<Vec<ValueId>> = vec![Vec::new(); order.len()];
    for (&value, &place) in &last {
        if !matches!(graph.get(value.node), Some(Vertex::Constant(_)) | None) {
            dying[place].push(value);
        }
    }
    let (mut alive, mut most) = (0usize, 1usize);
    for (place, &id) in order.iter().enumerate() {
        let ports = graph.node(id).map_or(0, |node| node.port_count() as u32);
        alive = (0..ports)
            .map(|port| id.port(port))
            .filter(|value| last.contains_key(value))
            .map(bytes)
            .fold(alive, usize::saturating_add);
        most = most.max(alive);
        alive = dying[place].iter().map(|&value| bytes(value)).fold(alive, usize::saturating_sub);
    }
    KEPT / 2 / most
}
