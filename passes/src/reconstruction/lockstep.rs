//! Two models side by side: the original, and the one that is being compressed.
//!
//! They go from layer to layer in topological order. Between layers only the values are kept that later nodes read, of each model its own, so a
//! sample passes once through each model and not once per layer. Compression changes constants only; the structure of the two
//! stays the same, which is what a witness is, too.

use std::collections::{BTreeMap, HashMap, HashSet};

use onnxpress_ir::{Graph, Model, NodeId, Tensor, ValueId, Vertex};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::{InputRows, LayerRows, LinearLayer};
use rayon::prelude::*;

use crate::evidence::{
    CrossMoment, EvidenceError, EvidenceSource, Execute, Feed, Padding, SecondMoment, chosen_rows, part, rows_of,
};

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

/// What a layer sees of the model compressed so far, and what it should answer.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `E[x' x'ᵀ]`, one a group.
    pub rows: Vec<SecondMoment>,
    /// `E[y x'ᵀ]`, one a group; empty where results are not to be seen.
    pub results: Vec<CrossMoment>,
}

/// The two models on their way.
pub struct Lockstep<'s> {
    source: &'s dyn EvidenceSource,
    original: Model,
    compressed: Model,
    place: HashMap<NodeId, usize>,
    order: Vec<NodeId>,
    batches: Vec<Batch>,
    /// Nodes before this place are behind.
    at: usize,
    samples: usize,
}

impl<'s> Lockstep<'s> {
    /// Both at the inputs. Samples beyond what memory has room for are left out; how many there are [is told](Self::samples).
    ///
    /// # Errors
    /// Where the samples do not suit the model.
    pub fn new(model: &Model, source: &'s dyn EvidenceSource, batch: usize) -> Result<Self, EvidenceError> {
        let graph = &model.graph;
        let order = graph.topological().map_err(|_| EvidenceError::Run("the graph has a circle".to_owned()))?;
        let order: Vec<NodeId> = order.into_iter().filter(|&id| graph.node(id).is_some()).collect();
        let place = order.iter().enumerate().map(|(place, &id)| (id, place)).collect();
        let room = room(graph, &order);
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
        let (original, compressed) = (model.clone(), model.clone());
        Ok(Self { source, original, compressed, place, order, batches, at: 0, samples })
    }

    /// Lets another model of the same nodes be the compressed one, as long as nobody has gone on.
    #[must_use]
    pub fn against(mut self, compressed: Model) -> Self {
        self.compressed = compressed;
        self
    }

    /// How many samples go along.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The model as it came.
    pub fn original(&self) -> &Model {
        &self.original
    }

    /// The model as compressed so far.
    pub fn compressed(&self) -> &Model {
        &self.compressed
    }

    /// The model as compressed.
    pub fn into_compressed(self) -> Model {
        self.compressed
    }

    /// Nodes in the order in which they are passed.
    pub fn order(&self) -> &[NodeId] {
        &self.order
    }

    /// Gives a constant of the compressed model another value, of the same type. Nodes that are behind keep what they answered.
    pub fn set_constant(&mut self, value: ValueId, tensor: Tensor) {
        self.compressed.graph.set_constant(value.node, tensor);
    }

    /// Goes on to just before a node. Whoever is there or beyond stays.
    ///
    /// # Errors
    /// Where the models cannot be run.
    pub fn advance(&mut self, node: NodeId) -> Result<(), EvidenceError> {
        let Some(&to) = self.place.get(&node).filter(|to| **to > self.at) else { return Ok(()) };
        let before = live(&self.original.graph, &self.order, self.at);
        let after = live(&self.original.graph, &self.order, to);
        // What is there already stays; only what the nodes between make is computed.
        let made: Vec<ValueId> = after.iter().copied().filter(|value| !before.contains(value)).collect();
        let given: Vec<ValueId> = before.iter().copied().collect();
        if !made.is_empty() {
            for side in [Side::Original, Side::Compressed] {
                let model = if side == Side::Original { &self.original } else { &self.compressed };
                // Before anything was changed, the two are the same.
                let slice = part(model, &given, &made)?;
                run_all(&slice, &given, &made, &mut self.batches, side, self.source)?;
            }
        }
        for batch in &mut self.batches {
            batch.original.retain(|value, _| after.contains(value));
            batch.compressed.retain(|value, _| after.contains(value));
        }
        self.at = to;
        self.source.progress("reconstruct", to, self.order.len());
        Ok(())
    }

    /// What a layer that [is next](Self::advance) sees, and what it should answer: what the original answers there. Where that goes
    /// into a sum with a value that is behind, a residual stream, the layer is also asked for what that value has lost.
    ///
    /// # Errors
    /// Where its rows cannot be read, or the models cannot be run.
    pub fn see(&self, node: NodeId, layer: &LinearLayer) -> Result<Seen, EvidenceError> {
        let (reader, input) = rows_of(&self.original.graph, node, layer)?;
        let output = node.port(0);
        let given: Vec<ValueId> = live(&self.original.graph, &self.order, self.at).into_iter().collect();
        let slice = part(&self.original, &given, &[output])?;
        let mut sessions = sessions(&slice, self.source)?;
        let groups = reader.groups();
        let mut rows: Vec<_> = (0..groups).map(|_| SecondMoment::new(reader.columns())).collect();
        let sees_results = reader.has_results();
        let stream = residual(&self.original.graph, output).filter(|stream| given.contains(stream));
        let mut results: Vec<_> = (0..groups).map(|_| CrossMoment::new(reader.outputs(), reader.columns())).collect();
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
                let said = |reason: String| EvidenceError::Site { site: self.original.graph.describe(node), reason };
                let nothing = || said("its input is not a tensor of numbers".to_owned());
                let (x, dims) = batch.compressed.get(&input).and_then(|x| plain(x, batch)).ok_or_else(nothing)?;
                let mut y = y?.and_then(|y| plain(&y, batch));
                if let (Some(stream), Some((y, dims))) = (stream, &mut y) {
                    let of = |values: &HashMap<ValueId, Value>| plain(values.get(&stream)?, batch);
                    if let (Some((was, a)), Some((is, b))) = (of(&batch.original), of(&batch.compressed))
                        && a == *dims
                        && b == *dims
                    {
                        y.iter_mut().zip(was.iter().zip(&is)).for_each(|(y, (was, is))| *y += was - is);
                    }
                }
                let reading =
                    Reading { reader: &reader, input: reader.over(&dims).map_err(said)?, x: &x, y: y.as_ref() };
                let which = chosen_rows(&reading.input, batch.before, batch.len, batch.padding.as_ref());
                reading.add(&which, &mut rows, &mut results).map_err(said)?;
            }
        }
        if !sees_results {
            results.clear();
        }
        Ok(Seen { rows, results })
    }
}

struct Reading<'a> {
    reader: &'a LayerRows,
    input: InputRows<'a>,
    x: &'a [f32],
    y: Option<&'a (Vec<f32>, Vec<usize>)>,
}

impl Reading<'_> {
    fn add(&self, which: &[usize], rows: &mut [SecondMoment], results: &mut [CrossMoment]) -> Result<(), String> {
        let groups = rows.par_iter_mut().zip(results.par_iter_mut()).enumerate();
        groups
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

/// What a layer's results are added to, constants aside, where nobody else reads them on the way.
fn residual(graph: &Graph, results: ValueId) -> Option<ValueId> {
    let mut value = results;
    // A bias or two may come first.
    for _ in 0..3 {
        let reading = graph.sole_reader(value)?;
        graph.node(reading.node).filter(|node| node.is("Add"))?;
        let other = graph.operands(reading.node).flatten().find(|&other| other != value)?;
        if graph.constant(other).is_none() {
            return Some(other);
        }
        value = reading.node.port(0);
    }
    None
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Original,
    Compressed,
}

/// The elements of a value and its extents, without the samples that only fill up the batch.
fn plain(value: &Value, batch: &Batch) -> Option<(Vec<f32>, Vec<usize>)> {
    let Value::Tensor(tensor) = value else { return None };
    let (mut values, mut dims) = (tensor.to_f32s().ok()?, tensor.dims().to_vec());
    if batch.len < batch.size
        && let Some(first) = dims.first_mut().filter(|first| **first == batch.size)
    {
        values.truncate(values.len() / batch.size * batch.len);
        *first = batch.len;
    }
    Some((values, dims))
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
            let values = if side == Side::Original { &mut batch.original } else { &mut batch.compressed };
            let inputs: Vec<_> = given.iter().map(|value| values.get(value).cloned()).collect();
            let outputs = session.run(&inputs)?;
            values.extend(made.iter().copied().zip(outputs));
            Ok(())
        };
        batches.par_iter_mut().zip(sessions.par_iter_mut()).map(run).collect::<Result<(), EvidenceError>>()?;
    }
    Ok(())
}

/// The values of inputs and of nodes before a place that nodes from there on, or outputs, read.
fn live(graph: &Graph, order: &[NodeId], at: usize) -> std::collections::BTreeSet<ValueId> {
    let behind: HashSet<NodeId> = order[..at].iter().copied().chain(graph.inputs().iter().copied()).collect();
    let ahead = order[at..].iter().copied().chain(graph.outputs().iter().copied());
    ahead.flat_map(|id| graph.reads(id).collect::<Vec<_>>()).filter(|value| behind.contains(&value.node)).collect()
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
