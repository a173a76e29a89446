//! Recognizes `RotaryEmbedding`.
//!
//! `x * cos + Concat(-x2, x1) * sin`, for `x` of `[batch, heads, sequence, size]` with halves `x1` and `x2`, is
//! `RotaryEmbedding(x, cos', sin')` with the cosines and sines of one half. The result may also be written as
//! `Concat(cos * x1 - sin * x2, sin * x1 + cos * x2)`; pairs may be neighbours (`interleaved = 1`); behind what is turned there
//! may be what is not (`rotary_embedding_dim`); and `x` may be of `[batch, sequence, heads, size]`, turned or packed before
//! and behind.
//! Fires if the cosines and sines are the same for all heads, of which extents tell, and those of both halves are the same:
//! since they are constants that are, or computed element by element from a `Concat` of one value with itself. Where they are
//! gathered from a table by position, the operator does that. `x` must be of float, since the operator rounds halves at other
//! places; the model's version of the standard must have the operator; and nothing else may read what is on the way.
//! Exact: the same products and sums. Ends: several nodes fewer each time.

use onnxpress_ir::{Attr, DType, Dim, Edit, EditError, Node, NodeId, Tensor, ValueId};

use super::super::forms::{concat, regrouping};
use super::pattern::{equal, giver, only_reader, scalar, shape};
use super::rotation::Rotation;
use crate::rewrite::{Found, MatchCx, Miss, Reads, Roots, Rule};
use crate::simplify::fused::Fused;

/// Nodes between a `Concat` of a value with itself and the cosines.
const MOST: usize = 6;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FuseRotaryEmbedding;

/// The operator, the last of the nodes in whose place it comes, and what is computed of one half for its operands.
#[derive(Debug)]
pub struct Match {
    fused: Fused,
    last: NodeId,
    chains: Vec<(usize, Chain)>,
}

/// Nodes that compute one after the other, the first of a value.
#[derive(Debug)]
struct Chain {
    from: ValueId,
    nodes: Vec<NodeId>,
}

/// Cosines or sines of one half.
enum Cache {
    /// A value or a constant.
    Given(Reads),
    /// Rows of a table.
    Gathered { table: Reads, positions: ValueId, node: NodeId },
    /// What is computed of one half.
    Computed(Chain),
}

impl Rule for FuseRotaryEmbedding {
    const NAME: &'static str = "fuse-rotary-embedding";
    const CONTRACT: &'static str = crate::contract!("fuse_rotary_embedding.rs");
    const ROOTS: Roots = Roots::Operators(&["Add", "Concat", "Reshape"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        if cx.node(root)?.version < 23 {
            return Err(Miss::NotHere);
        }
        let found = Rotation::at(cx, root)?;
        let mut gone = found.nodes.clone();
        let mut node = Node::new("RotaryEmbedding", 1);
        if found.interleaved {
            node = node.with(Attr::int("interleaved", 1));
        }
        let extents = shape(cx, found.x).ok_or(Miss::NotHere)?;
        if extents[3].as_const() != Some(found.extent) {
            node = node.with(Attr::int("rotary_embedding_dim", found.extent));
        }
        let place = Place::of(cx, &found)?;
        let (x, last) = match place {
            Place::BehindHeads => (found.x, found.last),
            Place::BeforeHeads => {
                let (x, last, heads) = unpacked(cx, &found, &mut gone)?;
                if let Some(heads) = heads {
                    node = node.with(Attr::int("num_heads", heads));
                }
                (x, last)
            }
        };
        let dtype = cx.ty(x).dtype().ok_or(Miss::NotHere)?;
        cx.require(dtype.bits() > 16, last, "the operator rounds halves at other places, which shows")?;
        let caches =
            [Cache::of(cx, &found, place, found.cos, &mut gone)?, Cache::of(cx, &found, place, found.sin, &mut gone)?];
        let mut reads = vec![Reads::Value(x)];
        let (mut chains, mut positions) = (Vec::new(), Vec::new());
        for (index, cache) in (1..).zip(caches) {
            reads.push(match cache {
                Cache::Given(reads) => reads,
                Cache::Computed(chain) => {
                    let from = chain.from;
                    chains.push((index, chain));
                    Reads::Value(from)
                }
                Cache::Gathered { table, positions: by, node } => {
                    positions.push(by);
                    gone.push(node);
                    table
                }
            });
        }
        match positions[..] {
            [] => {}
            [one, other] if one == other => reads.push(Reads::Value(one)),
            _ => return Err(Miss::NotHere),
        }
        let fused = Fused::new(cx, last, &gone, node, reads, dtype)?;
        let more: usize = chains.iter().map(|(_, chain)| chain.nodes.len()).sum();
        if fused.saved() > more { Ok(Match { fused, last, chains }) } else { Err(Miss::NotHere) }
    }

    fn apply(&self, Match { mut fused, chains, .. }: Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        for (index, chain) in chains {
            fused.set_operand(index, chain.apply(edit)?);
        }
        fused.apply(edit)
    }

    fn sources(&self, root: NodeId, found: &Match) -> Vec<NodeId> {
        vec![found.last, root]
    }
}

/// Where in `x` the sequence is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    BehindHeads,
    BeforeHeads,
}

impl Place {
    /// As the extents of cosines and sines say.
    fn of(cx: &MatchCx<'_>, found: &Rotation) -> Found<Self> {
        let of = |value| shape(cx, value).filter(|shape| shape.len() == 4).ok_or(Miss::NotHere);
        let (x, cos, sin) = (of(found.x)?, of(found.cos)?, of(found.sin)?);
        let width = Dim::from(if found.twice { found.extent } else { found.extent / 2 });
        let one = Dim::from(1);
        let [batch, first, second, _] = &x[..] else { return Err(Miss::NotHere) };
        let is = |extents: [&Dim; 4]| [cos, sin].iter().all(|own| equal(own.iter(), extents.into_iter()));
        match () {
            () if is([batch, &one, second, &width]) => Ok(Self::BehindHeads),
            () if is([batch, first, &one, &width]) => Ok(Self::BeforeHeads),
            () => Err(Miss::NotHere),
        }
    }
}

/// The value before heads are brought behind the sequence, the node after which they are as they were, and how many there are
/// where they were packed.
fn unpacked(cx: &MatchCx<'_>, found: &Rotation, gone: &mut Vec<NodeId>) -> Found<(ValueId, NodeId, Option<i64>)> {
    let extents = shape(cx, found.x).ok_or(Miss::NotHere)?;
    let out = found.last.port(0);
    if let (Ok(before), Ok(behind)) = (giver(cx, found.x, "Transpose"), only_reader(cx, out, "Transpose")) {
        let perm = |id| cx.attribute(id, cx.node(id)?.attrs().ints("perm"));
        let exchanges =
            perm(before)?.as_deref() == Some(&[0, 2, 1, 3]) && perm(behind)?.as_deref() == Some(&[0, 2, 1, 3]);
        gone.extend([before, behind]);
        return if exchanges { Ok((cx.operand(before, 0)?, behind, None)) } else { Err(Miss::NotHere) };
    }
    let (before, behind) = (giver(cx, found.x, "Reshape")?, only_reader(cx, out, "Reshape")?);
    let packed = cx.operand(before, 0)?;
    let [batch, sequence, heads, size] = &extents[..] else { return Err(Miss::NotHere) };
    let both = Dim::product([heads, size]);
    let is = |value| shape(cx, value).is_some_and(|own| equal(own.iter(), [batch, sequence, &both].into_iter()));
    let heads = heads.as_const().filter(|&heads| heads > 0 && is(packed) && is(behind.port(0))).ok_or(Miss::NotHere)?;
    gone.extend([before, behind]);
    Ok((packed, behind, Some(heads)))
}

impl Cache {
    /// Of a value of rank 4.
    fn of(cx: &MatchCx<'_>, found: &Rotation, place: Place, value: ValueId, gone: &mut Vec<NodeId>) -> Found<Self> {
        if let Some(tensor) = cx.constant(value) {
            let mut dims = tensor.dims().to_vec();
            dims.remove(if place == Place::BehindHeads { 1 } else { 2 });
            let tensor = tensor.reshaped(&dims).map_err(|_| Miss::NotHere)?;
            let half = if found.twice { first_half(&tensor).ok_or(Miss::NotHere)? } else { tensor };
            return Ok(Self::Given(half.into()));
        }
        let (node, three) = regrouping::source(cx, value)?;
        let own = shape(cx, three).ok_or(Miss::NotHere)?;
        let mut kept: Vec<&Dim> = shape(cx, value).ok_or(Miss::NotHere)?.iter().collect();
        kept.remove(if place == Place::BehindHeads { 1 } else { 2 });
        if !equal(own.iter(), kept.into_iter()) {
            return Err(Miss::NotHere);
        }
        gone.push(node.id);
        if let Ok(gather) = giver(cx, three, "Gather") {
            let (table, positions) = (cx.operand(gather, 0)?, cx.operand(gather, 1)?);
            let axis = cx.attribute(gather, cx.node(gather)?.attrs().int_or("axis", 0))?;
            let rank = |value| shape(cx, value).map(|shape| shape.len());
            let by_rows = axis == 0 && rank(table) == Some(2) && rank(positions) == Some(2);
            let fits = by_rows && cx.ty(positions).dtype() == Some(DType::Int64);
            let table = match (fits, found.twice, cx.constant(table)) {
                (true, false, _) => Reads::Value(table),
                (true, true, Some(tensor)) => first_half(tensor).ok_or(Miss::NotHere)?.into(),
                _ => return Err(Miss::NotHere),
            };
            return Ok(Self::Gathered { table, positions, node: gather });
        }
        match found.twice {
            false => Ok(Self::Given(three.into())),
            true => Chain::of(cx, three).map(Self::Computed),
        }
    }
}

/// The first half along the last axis, if the second is the same.
fn first_half(tensor: &Tensor) -> Option<Tensor> {
    let mut dims = tensor.dims().to_vec();
    let last = dims.last_mut().filter(|last| **last > 0 && last.is_multiple_of(2))?;
    *last /= 2;
    let width = *last * tensor.dtype().bits() / 8;
    let bytes = tensor.bytes().filter(|_| tensor.dtype().bits().is_multiple_of(8))?;
    let mut kept = Vec::with_capacity(bytes.len() / 2);
    for row in bytes.chunks_exact(2 * width) {
        let (first, second) = row.split_at(width);
        if first != second {
            return None;
        }
        kept.extend_from_slice(first);
    }
    Tensor::from_bytes(tensor.dtype(), &dims, kept.into()).ok()
}

impl Chain {
    /// What is computed element by element of a value that stands twice side by side.
    fn of(cx: &MatchCx<'_>, mut value: ValueId) -> Found<Self> {
        let mut nodes = Vec::new();
        while nodes.len() <= MOST {
            let node = cx.node(value.node)?;
            if node.node.is("Concat") {
                let rank = shape(cx, value).ok_or(Miss::NotHere)?.len();
                let (first, second) = (cx.operand(node.id, 0)?, cx.operand(node.id, 1)?);
                let twice = node.operand_count() == 2 && first == second && concat::axis(cx, &node)? + 1 == rank;
                nodes.reverse();
                return if twice { Ok(Self { from: first, nodes }) } else { Err(Miss::NotHere) };
            }
            let elementwise = ["Cos", "Sin", "Cast", "Neg"].iter().any(|op_type| node.node.is(op_type));
            let by_number = ["Mul", "Div"].iter().any(|op_type| node.node.is(op_type))
                && node.operand(1).is_some_and(|number| scalar(cx, number).is_some());
            if !elementwise && !by_number {
                return Err(Miss::NotHere);
            }
            nodes.push(node.id);
            value = cx.operand(node.id, 0)?;
        }
        Err(Miss::NotHere)
    }

    fn apply(self, edit: &mut Edit<'_>) -> Result<ValueId, EditError> {
        let mut value = self.from;
        for id in self.nodes {
            let Some(old) = edit.graph().node(id) else { continue };
            let mut node = Node::new(old.op_type.clone(), 1);
            node.attrs.clone_from(&old.attrs);
            let mut operands: Vec<Option<ValueId>> = edit.graph().operands(id).collect();
            operands[0] = Some(value);
            value = edit.add_node(node, &operands)?.port(0);
        }
        Ok(value)
    }
}
