//! Values of batches of samples between two layers, and how a batch goes on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use onnxpress_ir::{Dim, Graph, Model, NodeId, ValueId, Vertex};
use onnxpress_ops::evaluate::Value;
use rayon::prelude::*;

use super::shelf::{Kept, Shelf};
use crate::evidence::{EvidenceError, EvidenceSource, Execute, Extents, Padding, elements, part};

/// The most bytes of values that are kept between two layers, in memory or aside, of both models together.
const KEPT: usize = 3 << 30;
/// What an extent that is not known is taken for.
const GUESS: usize = 64;

/// Values of one batch between two layers.
pub(super) struct Batch {
    /// Samples that count, and that the tensors have.
    pub(super) len: usize,
    pub(super) size: usize,
    /// How many samples came before.
    pub(super) before: usize,
    pub(super) padding: Option<Padding>,
    pub(super) original: Values,
    pub(super) compressed: Values,
}

pub(super) type Values = HashMap<ValueId, Arc<Kept>>;

impl Batch {
    pub(super) fn values_mut(&mut self, side: Side) -> &mut Values {
        match side {
            Side::Original => &mut self.original,
            Side::Compressed => &mut self.compressed,
        }
    }
}

/// The values that a slice is given, in order.
pub(super) fn inputs(values: &Values, given: &[ValueId]) -> Result<Vec<Option<Value>>, EvidenceError> {
    given.iter().map(|value| values.get(value).map(|kept| kept.value()).transpose()).collect()
}

/// Elements, and the extents that they have.
pub(super) type Elements = (Vec<f32>, Vec<usize>);

/// The elements of a value that is kept, and its extents; `None` where it is no tensor of numbers or not there.
pub(super) fn kept_elements(values: &Values, value: ValueId, batch: &Batch) -> Result<Option<Elements>, EvidenceError> {
    let value = values.get(&value).map(|kept| kept.value()).transpose()?;
    Ok(value.and_then(|value| elements(&value, batch.len, batch.size)))
}

/// The part of a model that makes what is wanted, and those of the values at hand that it reads.
pub(super) fn slice(
    model: &Model,
    at_hand: impl IntoIterator<Item = ValueId>,
    wanted: &[ValueId],
) -> Result<(Model, Vec<ValueId>), EvidenceError> {
    let mut given: Vec<ValueId> = at_hand.into_iter().collect();
    let whole = part(model, &given, wanted)?;
    let graph = &whole.graph;
    let mut read = graph.inputs().iter().map(|id| graph.readers(id.port(0)).next().is_some());
    let all = given.len();
    let unread = given.clone();
    given.retain(|_| read.next().unwrap_or(true));
    match given.len() {
        // Without any input nobody would know how many samples there are.
        0 => Ok((whole, unread)),
        count if count == all => Ok((whole, given)),
        _ => Ok((part(model, &given, wanted)?, given)),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Original,
    Compressed,
}

pub(super) fn sessions<'m>(
    model: &'m Model,
    source: &dyn EvidenceSource,
) -> Result<Vec<Box<dyn Execute + 'm>>, EvidenceError> {
    (0..rayon::current_num_threads().max(1)).map(|_| source.load(model)).collect()
}

/// A way to go: the slice, what it is given and makes, and what is kept at its end.
pub(super) struct Way<'a> {
    pub(super) slice: &'a Model,
    pub(super) given: &'a [ValueId],
    pub(super) made: &'a [ValueId],
    pub(super) kept: &'a BTreeSet<ValueId>,
}

impl Way<'_> {
    /// Goes it with all batches of one side.
    pub(super) fn run(
        &self,
        batches: &mut [Batch],
        side: Side,
        shelf: &Arc<Shelf>,
        source: &dyn EvidenceSource,
    ) -> Result<(), EvidenceError> {
        let mut sessions = sessions(self.slice, source)?;
        let count = sessions.len();
        for batches in batches.chunks_mut(count) {
            let run = |(batch, session): (&mut Batch, &mut Box<dyn Execute + '_>)| {
                let values = batch.values_mut(side);
                let outputs = session.run(&inputs(values, self.given)?)?;
                values.retain(|value, _| self.kept.contains(value));
                for (&made, output) in self.made.iter().zip(outputs) {
                    values.insert(made, shelf.keep(output)?);
                }
                Ok(())
            };
            batches.par_iter_mut().zip(sessions.par_iter_mut()).map(run).collect::<Result<(), EvidenceError>>()?;
        }
        Ok(())
    }
}

/// How many samples there is room for: by the most elements that are alive between two nodes, open extents being those of a sample.
pub(super) fn room(graph: &Graph, order: &[NodeId], extents: &Extents) -> usize {
    let bytes = |value: ValueId| {
        let Some(shape) = graph.ty(value).shape() else { return 0 };
        let extent = |dim: &Dim| {
            let known = dim.eval(|symbol| extents.known(symbol));
            known.and_then(|extent| usize::try_from(extent).ok()).unwrap_or(GUESS)
        };
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
