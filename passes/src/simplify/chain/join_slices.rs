//! Takes one slice where a `Concat` puts neighbouring ones together.
//!
//! Before `y = Concat(a, x[.., 0:2], x[.., 2:5], b)`, slices along the axis of the `Concat`; after `y = Concat(a, x[.., 0:5], b)`.
//! Fires if the slices take runs of known indices, each from where the one before ends, along this axis alone, and nothing else reads
//! them, and the file does not grow.
//! Exact: the same elements in the same order. Ends: a node fewer each time.

use onnxpress_ir::{Attr, Edit, EditError, Node, NodeId, Tensor, ValueId};

use super::super::forms::concat;
use super::super::forms::slicing::{self, Cut};
use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule, file_size};

/// Bytes that the file may grow by for new lists, as long as it stays smaller than it came.
const GROWTH: usize = 1024;

/// What the new node takes, its name and those of its operands aside.
const NODE: usize = 48;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct JoinSlices;

/// A run of operands, and the slice that they are together.
#[derive(Debug)]
pub struct Match {
    root: NodeId,
    first: usize,
    count: usize,
    data: ValueId,
    /// Starts, ends and axes, those that are there already as values.
    lists: [Result<ValueId, Tensor>; 3],
    /// The same as attributes.
    cut: [(&'static str, i64); 3],
    version: i64,
}

impl Rule for JoinSlices {
    const NAME: &'static str = "join-slices";
    const CONTRACT: &'static str = crate::contract!("join_slices.rs");
    const ROOTS: Roots = Roots::Operators(&["Concat"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let node = cx.node(root)?;
        let axis = concat::axis(cx, &node)?;
        let parts: Vec<_> = cx.graph().operands(root).map(|value| part(cx, value?, axis).ok()).collect();
        let follows = |before: &Option<Part>, after: &Option<Part>| match (before, after) {
            (Some(before), Some(after)) => before.data == after.data && before.end == after.start,
            _ => false,
        };
        let runs = parts.chunk_by(follows);
        let mut first = 0;
        for run in runs {
            if let [Some(one), .., Some(last)] = run {
                let (data, start, end) = (one.data, one.start, last.end);
                let slices: Vec<NodeId> = run.iter().flatten().map(|part| part.node).collect();
                let lists = slices.iter().flat_map(|&id| cx.graph().operands(id).skip(1).flatten());
                let mut freed = [cx.constants_read_by(lists, &slices), slices.clone()].concat();
                let list = |value: i64| {
                    let tensor = Tensor::vector::<i64>(vec![value]);
                    cx.list(&tensor).ok_or(tensor)
                };
                let lists = [list(start), list(end), list(axis as i64)];
                freed.retain(|id| !lists.iter().flatten().any(|kept| kept.node == *id));
                let new = lists.iter().filter_map(|list| list.as_ref().err());
                let made: usize = new.map(|tensor| file_size::new_tensor(tensor, None, cx.written())).sum();
                cx.pays(root, made + NODE, cx.bytes_of(&freed), GROWTH)?;
                let cut = [("starts", start), ("ends", end), ("axes", axis as i64)];
                return Ok(Match { root, first, count: run.len(), data, lists, cut, version: node.version });
            }
            first += run.len();
        }
        Err(Miss::NotHere)
    }

    fn apply(&self, found: Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

/// Known indices of a value along the axis.
struct Part {
    data: ValueId,
    start: i64,
    end: i64,
    node: NodeId,
}

fn part(cx: &MatchCx<'_>, value: ValueId, axis: usize) -> Found<Part> {
    let node = cx.operator(value.node, "Slice")?;
    let data = cx.operand(node.id, 0)?;
    let shape = cx.shape(data).ok_or(Miss::NotHere)?;
    let cuts = slicing::cuts(cx, &node, shape.len())?;
    let [cut] = cuts.as_slice() else { return Err(Miss::NotHere) };
    let extent = shape.get(axis).ok_or(Miss::NotHere)?;
    let (start, end) = cut.counted_from_front(extent).and_then(|cut: Cut| cut.range()).ok_or(Miss::NotHere)?;
    // There must be as many elements, or the next slice would not begin where this one ends.
    let there = (extent - &onnxpress_ir::Dim::from(end)).is_non_negative() == Some(true);
    let fits = cut.axis == axis && there && start < end && cx.is_read_once(value);
    if fits { Ok(Part { data, start, end, node: node.id }) } else { Err(Miss::NotHere) }
}

impl Match {
    fn apply(self, edit: &mut Edit<'_>) -> Result<(), EditError> {
        let Self { root, first, count, data, lists, cut, version } = self;
        let (node, mut operands): (Node, Vec<ValueId>) = if version >= 10 {
            let made = |list: Result<ValueId, Tensor>| list.unwrap_or_else(|tensor| edit.add_constant(None, tensor));
            (Node::new("Slice", 1), lists.into_iter().map(made).collect())
        } else {
            let with = |node: Node, (name, value): (&'static str, i64)| node.with(Attr::ints(name, vec![value]));
            (cut.into_iter().fold(Node::new("Slice", 1), with), Vec::new())
        };
        operands.insert(0, data);
        let slice = edit.add(node, &operands)?;
        let all: Vec<Option<ValueId>> = edit.graph().operands(root).collect();
        let kept = all[..first].iter().copied().chain([Some(slice)]).chain(all[first + count..].iter().copied());
        let kept: Vec<Option<ValueId>> = kept.collect();
        for (index, value) in kept.iter().enumerate() {
            edit.set_operand(root, index, *value);
        }
        edit.truncate_operands(root, kept.len());
        edit.restate(root)
    }
}
