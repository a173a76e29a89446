//! Takes extents out of one `Shape` in one step.
//!
//! Before `s = Concat(Unsqueeze(Gather(Shape(x), 0)), Unsqueeze(Gather(Shape(x), 1)), c)`; after `s = Concat(Gather(Shape(x), [0, 1]), c)`, without
//! the `Concat` where nothing else stands in it.
//! Fires if entries that stand side by side in a vector, given by two operands or more that are not constant, are extents of one
//! value whose `Shape` they are computed from, whatever the sizes; and if each of these operands is read once, so that all of
//! them go.
//! Exact: the same extents. Ends: one operand fewer each time.

use onnxpress_ir::{Attr, DType, Dim, Edit, EditError, Node, NodeId, Tensor, ValueId};

use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct GatherExtents;

impl Rule for GatherExtents {
    const NAME: &'static str = "gather-extents";
    const CONTRACT: &'static str = crate::contract!("gather_extents.rs");
    const ROOTS: Roots = Roots::Operators(&["Concat"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let vector = cx.shape(root.port(0)).is_some_and(|shape| shape.len() == 1);
        if !vector || cx.ty(root.port(0)).dtype() != Some(DType::Int64) {
            return Err(Miss::NotHere);
        }
        let operands: Vec<ValueId> = cx.graph().operands(root).flatten().collect();
        let mut start = 0;
        while start < operands.len() {
            if let Some(run) = Run::at(cx, &operands, start) {
                return Ok(Match { root, operands: operands.clone(), run });
            }
            start += 1;
        }
        Err(Miss::NotHere)
    }

    fn apply(&self, found: Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

/// A run of operands that are extents of one value.
#[derive(Debug)]
struct Run {
    shape: ValueId,
    first: usize,
    count: usize,
    indices: Vec<i64>,
}

impl Run {
    /// The longest run that begins at an operand; none of a single operand.
    fn at(cx: &MatchCx<'_>, operands: &[ValueId], first: usize) -> Option<Self> {
        let shape = source(cx, *operands.get(first)?)?;
        let extents = cx.elements(shape)?;
        let mut run = Self { shape, first, count: 0, indices: Vec::new() };
        for &value in &operands[first..] {
            let entries = cx.elements(value).filter(|_| cx.constant(value).is_none() && cx.is_read_once(value));
            let index = |entry: &Dim| extents.iter().position(|extent| extent.equals(entry) == Some(true));
            let indices: Option<Vec<usize>> = entries.and_then(|entries| entries.iter().map(index).collect());
            let Some(indices) = indices.filter(|_| value != shape) else { break };
            run.indices.extend(indices.into_iter().map(|index| index as i64));
            run.count += 1;
        }
        (run.count > 1).then_some(run)
    }
}

/// The `Shape` from which a value is computed by way of first operands.
fn source(cx: &MatchCx<'_>, mut value: ValueId) -> Option<ValueId> {
    for _ in 0..REACH {
        let node = cx.node(value.node).ok()?;
        if node.node.is("Shape") {
            return Some(value);
        }
        value = cx.operand(node.id, 0).ok()?;
    }
    None
}

/// Nodes on the way from a `Shape` to an entry that are looked at.
const REACH: usize = 8;

/// A `Concat` and the run in it.
#[derive(Debug)]
pub struct Match {
    root: NodeId,
    operands: Vec<ValueId>,
    run: Run,
}

impl Match {
    fn apply(self, edit: &mut Edit<'_>) -> Result<(), EditError> {
        let Self { root, operands, run } = self;
        let indices = edit.add_constant(None, Tensor::vector::<i64>(run.indices));
        let gather = Node::new("Gather", 1).with(Attr::int("axis", 0));
        let gathered = edit.add(gather, &[run.shape, indices])?;
        let (before, rest) = operands.split_at(run.first);
        let rest = &rest[run.count..];
        if before.is_empty() && rest.is_empty() {
            return edit.replace(root.port(0), gathered);
        }
        let reads: Vec<ValueId> = before.iter().chain([&gathered]).chain(rest).copied().collect();
        for (index, &value) in reads.iter().enumerate() {
            edit.set_operand(root, index, Some(value));
        }
        edit.truncate_operands(root, reads.len());
        edit.restate(root)
    }
}
