//! Takes the parts of a `Split` from the operands of the `Concat` before it.
//!
//! Before `p, q = Split(Concat(a, b))` along the same axis; after, readers of `p` read `a` and readers of `q` read `b`.
//! Fires if every part that is read is one operand: both begin behind as many elements, and have as many, for certain; and if the
//! operands can have the names of graph outputs that give parts out.
//! Exact: the same elements. Ends: at least one node fewer each time.

use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{Dim, Edit, EditError, NodeId, ValueId};

use super::super::forms::concat;
use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct SplitOfConcat;

/// Parts, and the operands that they are.
#[derive(Debug)]
pub struct Match(Vec<(ValueId, ValueId)>);

impl Rule for SplitOfConcat {
    const NAME: &'static str = "split-of-concat";
    const CONTRACT: &'static str = crate::contract!("split_of_concat.rs");
    const ROOTS: Roots = Roots::Operators(&["Split"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let node = cx.node(root)?;
        let joined = cx.producer(root, 0, "Concat")?;
        let rank = cx.shape(joined.id.port(0)).ok_or(Miss::NotHere)?.len();
        let axis = concat::axis(cx, &joined)?;
        let along = cx.attribute(root, node.attrs().int_or("axis", 0))?;
        if normalize_axis(along, rank) != Some(axis) {
            return Err(Miss::NotHere);
        }
        let extent = |value| cx.shape(value).and_then(|shape| shape.get(axis).cloned()).ok_or(Miss::NotHere);
        let mut operands: Vec<(ValueId, Dim, Dim)> = Vec::new();
        let mut reached = Dim::from(0);
        for value in cx.graph().operands(joined.id).flatten() {
            let own = extent(value)?;
            operands.push((value, reached.clone(), own.clone()));
            reached = &reached + &own;
        }
        let mut parts = Vec::new();
        let mut reached = Dim::from(0);
        for port in 0..node.node.port_count() as u32 {
            let part = root.port(port);
            if node.node.ports()[port as usize].omitted {
                return Err(Miss::NotHere);
            }
            let own = extent(part)?;
            if cx.is_read(part) {
                let is = |(_, start, extent): &&(ValueId, Dim, Dim)| {
                    start.equals(&reached) == Some(true) && extent.equals(&own) == Some(true)
                };
                let (operand, ..) = operands.iter().find(is).ok_or(Miss::NotHere)?;
                cx.can_take_over(part, *operand)?;
                // What is given out twice would need two names.
                let given = |part: ValueId| !cx.given_out(part).is_empty();
                if given(part) && parts.iter().any(|&(other, known)| known == *operand && given(other)) {
                    return Err(Miss::NotHere);
                }
                parts.push((part, *operand));
            }
            reached = &reached + &own;
        }
        if parts.is_empty() { Err(Miss::NotHere) } else { Ok(Match(parts)) }
    }

    fn apply(&self, Match(parts): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        parts.into_iter().try_for_each(|(part, operand)| edit.replace(part, operand))
    }
}
