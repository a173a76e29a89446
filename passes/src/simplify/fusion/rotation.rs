//! Pairs of numbers along the last axis, each turned by an angle: the arithmetic of rotary embeddings.

use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{NodeId, ValueId};

use super::super::forms::{concat, slicing};
use super::pattern::{either_way, giver, only_reader, shape};
use crate::rewrite::{Found, MatchCx, Miss};

/// What is turned, and by what.
#[derive(Debug)]
pub(super) struct Rotation {
    /// A value of rank 4 whose last axis begins with what is turned.
    pub(super) x: ValueId,
    /// How many elements of its last axis are turned.
    pub(super) extent: i64,
    /// Whether the two numbers of a pair are neighbours, and not half of the extent apart.
    pub(super) interleaved: bool,
    /// Cosines and sines: of each pair, or where `twice` says so of each of both numbers.
    pub(super) cos: ValueId,
    pub(super) sin: ValueId,
    pub(super) twice: bool,
    /// The node that gives the result, of the extents of `x`.
    pub(super) last: NodeId,
    pub(super) nodes: Vec<NodeId>,
}

impl Rotation {
    /// Whose result, or the turned part of it, `root` gives.
    ///
    /// # Errors
    /// [`Miss::NotHere`] where it is nothing of the kind.
    pub(super) fn at(cx: &MatchCx<'_>, root: NodeId) -> Found<Self> {
        let node = cx.node(root)?;
        let found = match () {
            () if node.node.is("Add") => Self::of_halves(cx, root),
            () if node.node.is("Concat") => Self::of_parts(cx, root),
            () => Self::interleaved(cx, root),
        }?;
        let rank = shape(cx, found.x).ok_or(Miss::NotHere)?.len();
        if rank == 4 { found.with_rest(cx) } else { Err(Miss::NotHere) }
    }

    /// `x * cos + Concat(-x2, x1) * sin`.
    fn of_halves(cx: &MatchCx<'_>, root: NodeId) -> Found<Self> {
        let way = |(plain, turned): (ValueId, ValueId)| -> Found<Self> {
            let (plain, turned) = (giver(cx, plain, "Mul")?, giver(cx, turned, "Mul")?);
            let is_concat = |(concat, _): &(ValueId, ValueId)| giver(cx, *concat, "Concat").is_ok();
            let (halves, sin) = either_way(cx, turned)?.into_iter().find(is_concat).ok_or(Miss::NotHere)?;
            let concat = along_last(cx, halves, 2)?;
            let negative = giver(cx, cx.operand(concat, 0)?, "Neg")?;
            let second = Part::of(cx, cx.operand(negative, 0)?)?;
            let first = Part::of(cx, cx.operand(concat, 1)?)?;
            let extent = first.halves(&second)?;
            let way = either_way(cx, plain)?.into_iter().find(|(x, _)| *x == first.whole).ok_or(Miss::NotHere)?;
            let nodes = vec![root, plain, turned, concat, negative, second.node, first.node];
            let (x, cos) = way;
            Ok(Self { x, extent, interleaved: false, cos, sin, twice: true, last: root, nodes })
        };
        either_way(cx, root)?.into_iter().find_map(|pair| way(pair).ok()).ok_or(Miss::NotHere)
    }

    /// `Concat(cos * x1 - sin * x2, sin * x1 + cos * x2)`, and what is not turned behind.
    fn of_parts(cx: &MatchCx<'_>, root: NodeId) -> Found<Self> {
        let count = cx.node(root)?.operand_count();
        let concat = along_last(cx, root.port(0), count)?;
        let pair = Pair::of(cx, cx.operand(concat, 0)?, cx.operand(concat, 1)?)?;
        let extent = pair.first.halves(&pair.second)?;
        let mut found = pair.rotation(root, extent, false);
        found.nodes.push(root);
        match count {
            2 => Ok(found),
            3 => {
                let rest = Part::of(cx, cx.operand(concat, 2)?)?;
                found.before(cx, &rest)?;
                Ok(found)
            }
            _ => Err(Miss::NotHere),
        }
    }

    /// The same where a pair's numbers are put side by side.
    fn interleaved(cx: &MatchCx<'_>, root: NodeId) -> Found<Self> {
        let joined = cx.operand(root, 0)?;
        let concat = along_last(cx, joined, 2)?;
        let (flat, deep) = (shape(cx, root.port(0)).ok_or(Miss::NotHere)?, shape(cx, joined).ok_or(Miss::NotHere)?);
        let single = |index| -> Found<(ValueId, NodeId)> {
            let value = cx.operand(concat, index)?;
            let node = ["Unsqueeze", "Reshape"].iter().find_map(|op_type| giver(cx, value, op_type).ok());
            let node = node.ok_or(Miss::NotHere)?;
            let own = shape(cx, value).ok_or(Miss::NotHere)?;
            let fits = own.len() == 5 && own[4].as_const() == Some(1);
            if fits { Ok((cx.operand(node, 0)?, node)) } else { Err(Miss::NotHere) }
        };
        let ((real, one), (imaginary, other)) = (single(0)?, single(1)?);
        let pair = Pair::of(cx, real, imaginary)?;
        let extent = pair.first.alternates(&pair.second)?;
        let of_pair = shape(cx, real).ok_or(Miss::NotHere)?;
        let fits = flat.len() == 4
            && deep.len() == 5
            && of_pair.len() == 4
            && flat[3].as_const() == Some(extent)
            && flat.iter().zip(of_pair.iter()).take(3).all(|(a, b)| a.equals(b) == Some(true));
        if !fits {
            return Err(Miss::NotHere);
        }
        let mut found = pair.rotation(root, extent, true);
        found.nodes.extend([root, concat, one, other]);
        Ok(found)
    }

    /// Where only the first elements are turned, and a `Concat` behind brings the others.
    fn with_rest(mut self, cx: &MatchCx<'_>) -> Found<Self> {
        let width = |value| shape(cx, value).and_then(|shape| shape.last()?.as_const());
        if let Ok(part) = Part::of(cx, self.x)
            && let Ok(concat) = only_reader(cx, self.last.port(0), "Concat")
            && along_last(cx, concat.port(0), 2).is_ok()
            && cx.operand(concat, 0)? == self.last.port(0)
            && let Ok(rest) = Part::of(cx, cx.operand(concat, 1)?)
            && rest.whole == part.whole
        {
            self.before(cx, &rest)?;
            (self.last, self.nodes) = (concat, [&self.nodes[..], &[concat]].concat());
        }
        let whole = width(self.last.port(0)).is_some_and(|own| Some(own) == width(self.x));
        if whole { Ok(self) } else { Err(Miss::NotHere) }
    }

    /// What is turned as the first part of a value whose other part is `rest`.
    fn before(&mut self, cx: &MatchCx<'_>, rest: &Part) -> Found<()> {
        let part = Part::of(cx, self.x)?;
        let all = part.whole == rest.whole && part.step == 1 && rest.step == 1 && part.start == 0;
        if !all || part.end != rest.start || rest.end != rest.width || part.end != self.extent {
            return Err(Miss::NotHere);
        }
        self.nodes.extend([part.node, rest.node]);
        self.x = part.whole;
        Ok(())
    }
}

/// The node that gives a value, if it is a `Concat` of so many operands along the last axis.
fn along_last(cx: &MatchCx<'_>, value: ValueId, count: usize) -> Found<NodeId> {
    let node = cx.node(giver(cx, value, "Concat")?)?;
    let rank = shape(cx, value).ok_or(Miss::NotHere)?.len();
    let fits = node.operand_count() == count && concat::axis(cx, &node)? + 1 == rank;
    if fits { Ok(node.id) } else { Err(Miss::NotHere) }
}

/// The two numbers of a pair after the turn.
struct Pair {
    first: Part,
    second: Part,
    cos: ValueId,
    sin: ValueId,
    nodes: Vec<NodeId>,
}

impl Pair {
    fn of(cx: &MatchCx<'_>, real: ValueId, imaginary: ValueId) -> Found<Self> {
        let (sub, add) = (giver(cx, real, "Sub")?, giver(cx, imaginary, "Add")?);
        let products = [cx.operand(sub, 0)?, cx.operand(sub, 1)?, cx.operand(add, 0)?, cx.operand(add, 1)?];
        let mut nodes = vec![sub, add];
        for value in products {
            nodes.push(giver(cx, value, "Mul")?);
        }
        // The two of the difference say what is what, and of the sum each must be there.
        let (kept, crossed) = (nodes[2], nodes[3]);
        for (cos, first) in either_way(cx, kept)? {
            for (sin, second) in either_way(cx, crossed)? {
                let is = |node, a, b| either_way(cx, node).is_ok_and(|ways| ways.contains(&(a, b)));
                let sums = [(nodes[4], nodes[5]), (nodes[5], nodes[4])];
                let fits = sums.iter().any(|&(one, other)| is(one, sin, first) && is(other, cos, second));
                if let (true, Ok(first), Ok(second)) = (fits, Part::of(cx, first), Part::of(cx, second)) {
                    nodes.extend([first.node, second.node]);
                    return Ok(Self { first, second, cos, sin, nodes });
                }
            }
        }
        Err(Miss::NotHere)
    }

    fn rotation(self, last: NodeId, extent: i64, interleaved: bool) -> Rotation {
        let Self { first, cos, sin, nodes, .. } = self;
        Rotation { x: first.whole, extent, interleaved, cos, sin, twice: false, last, nodes }
    }
}

/// Some elements of the last axis of a value.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    whole: ValueId,
    start: i64,
    end: i64,
    step: i64,
    /// The extent of the whole.
    width: i64,
    node: NodeId,
}

impl Part {
    fn of(cx: &MatchCx<'_>, value: ValueId) -> Found<Self> {
        let node = cx.node(value.node)?;
        let whole = cx.operand(node.id, 0)?;
        let extents = shape(cx, whole).ok_or(Miss::NotHere)?;
        let width = extents.last().and_then(|extent| extent.as_const()).ok_or(Miss::NotHere)?;
        if node.node.is("Split") {
            let axis = cx.attribute(node.id, node.attrs().int_or("axis", 0))?;
            let is_last = normalize_axis(axis, extents.len()).is_some_and(|axis| axis + 1 == extents.len());
            let own = |port| shape(cx, node.id.port(port)).and_then(|shape| shape.last()?.as_const());
            let before = (0..value.port).map(own).sum::<Option<i64>>();
            return match (is_last, before, own(value.port)) {
                (true, Some(start), Some(count)) => {
                    Ok(Self { whole, start, end: start + count, step: 1, width, node: node.id })
                }
                _ => Err(Miss::NotHere),
            };
        }
        if !node.node.is("Slice") {
            return Err(Miss::NotHere);
        }
        let cuts = slicing::cuts(cx, &node, extents.len())?;
        let [cut] = cuts.as_slice() else { return Err(Miss::NotHere) };
        let cut = cut.counted_from_front(&extents[extents.len() - 1]).filter(|_| cut.axis + 1 == extents.len());
        let cut = cut.ok_or(Miss::NotHere)?;
        match (cut.start.as_const(), cut.end.as_const()) {
            (Some(start), Some(end)) if cut.step > 0 => {
                Ok(Self { whole, start, end: end.min(width), step: cut.step, width, node: node.id })
            }
            _ => Err(Miss::NotHere),
        }
    }

    /// The extent of a value whose halves these are.
    fn halves(&self, second: &Self) -> Found<i64> {
        let side_by_side = self.whole == second.whole && self.start == 0 && second.start == self.end;
        let all = self.step == 1 && second.step == 1 && second.end == self.width && self.width == 2 * self.end;
        if side_by_side && all && self.width > 0 { Ok(self.width) } else { Err(Miss::NotHere) }
    }

    /// The same for a value whose even and odd elements these are.
    fn alternates(&self, second: &Self) -> Found<i64> {
        let even = (self.start, second.start, self.step, second.step) == (0, 1, 2, 2) && self.width % 2 == 0;
        let all = self.whole == second.whole && self.end >= self.width - 1 && second.end == self.width;
        if even && all && self.width > 0 { Ok(self.width) } else { Err(Miss::NotHere) }
    }
}
