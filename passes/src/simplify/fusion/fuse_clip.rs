//! Recognizes `Clip` with bounds that are values.
//!
//! `Where(Less(x, min), min, x)` and `Where(Less(max, x), max, x)` are `Clip(x, min)` and `Clip(x, , max)`, as are `Max(x, min)` and
//! `Min(x, max)` where a `Clip` follows with the other bound alone; two such in a row are one `Clip(x, min, max)`, the upper
//! bound last.
//! Fires if the bounds are scalars, the model's version of the standard has a `Clip` with bounds as operands for the type, and
//! nothing else reads what is between (graph outputs count).
//! Exact: by the definitions of the operators. Ends: at least one node fewer each time.

use onnxpress_ir::{Edit, EditError, Node, NodeId, ValueId};

use super::pattern::{either_way, giver, shape};
use crate::rewrite::{Found, MatchCx, Miss, Reads, Roots, Rule};
use crate::simplify::fused::Fused;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FuseClip;

/// The operator.
#[derive(Debug)]
pub struct Match(Fused);

impl Rule for FuseClip {
    const NAME: &'static str = "fuse-clip";
    const CONTRACT: &'static str = crate::contract!("fuse_clip.rs");
    const ROOTS: Roots = Roots::Operators(&["Where", "Min", "Clip"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        if cx.node(root)?.version < 12 {
            return Err(Miss::NotHere);
        }
        let last = Bounds::at(cx, root)?;
        let mut found = last.clone();
        // The lower bound comes first, the upper one last: so does `Clip` have it.
        if last.low.is_none()
            && let Ok(first) = Bounds::at(cx, last.x.node)
            && first.high.is_none()
        {
            found = Bounds { x: first.x, low: first.low, high: last.high, nodes: [last.nodes, first.nodes].concat() };
        }
        let reads = |bound: Option<ValueId>| bound.map_or(Reads::Nothing, Reads::Value);
        let operands = vec![Reads::Value(found.x), reads(found.low), reads(found.high)];
        let dtype = cx.ty(found.x).dtype().ok_or(Miss::NotHere)?;
        Ok(Match(Fused::new(cx, root, &found.nodes, Node::new("Clip", 1), operands, dtype)?))
    }

    fn apply(&self, Match(fused): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fused.apply(edit)
    }
}

#[derive(Clone, Debug)]
struct Bounds {
    x: ValueId,
    low: Option<ValueId>,
    high: Option<ValueId>,
    nodes: Vec<NodeId>,
}

impl Bounds {
    fn at(cx: &MatchCx<'_>, id: NodeId) -> Found<Self> {
        let node = cx.node(id)?;
        let is_scalar = |value: ValueId| shape(cx, value).is_some_and(|shape| shape.is_empty());
        let (x, low, high, nodes) = match node.node.op_type.as_bytes() {
            b"Clip" => (cx.operand(id, 0)?, node.operand(1), node.operand(2), vec![id]),
            b"Max" | b"Min" if node.operand_count() == 2 => {
                let way = |(x, bound): (ValueId, ValueId)| is_scalar(bound).then_some((x, bound));
                let (x, bound) = either_way(cx, id)?.into_iter().find_map(way).ok_or(Miss::NotHere)?;
                match node.node.is("Max") {
                    true => (x, Some(bound), None, vec![id]),
                    false => (x, None, Some(bound), vec![id]),
                }
            }
            b"Where" => {
                let (less, bound, x) = (giver(cx, cx.operand(id, 0)?, "Less")?, cx.operand(id, 1)?, cx.operand(id, 2)?);
                let compared = (cx.operand(less, 0)?, cx.operand(less, 1)?);
                match () {
                    () if compared == (x, bound) => (x, Some(bound), None, vec![id, less]),
                    () if compared == (bound, x) => (x, None, Some(bound), vec![id, less]),
                    () => return Err(Miss::NotHere),
                }
            }
            _ => return Err(Miss::NotHere),
        };
        match low.into_iter().chain(high).all(is_scalar) {
            true => Ok(Self { x, low, high, nodes }),
            false => Err(Miss::NotHere),
        }
    }
}
