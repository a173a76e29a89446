//! Recognizes `GreaterOrEqual` and `LessOrEqual`.
//!
//! Before `y = Or(Greater(a, b), Equal(a, b))`, or `y = Not(Less(a, b))` of whole numbers; after `y = GreaterOrEqual(a, b)`;
//! likewise with `Less` and `Greater` exchanged.
//! Fires if the model's version of the standard has the operator for the type, and nothing else reads what is between (graph
//! outputs count). The negation needs whole numbers, since a comparison with a NaN is false.
//! Exact: by the definitions of the operators. Ends: at least one node fewer each time.

use onnxpress_ir::{Edit, EditError, Node, NodeId};

use super::pattern::{either_way, giver};
use crate::rewrite::{Found, MatchCx, Miss, Reads, Roots, Rule};
use crate::simplify::fused::Fused;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FuseComparison;

/// The comparison.
#[derive(Debug)]
pub struct Match(Fused);

impl Rule for FuseComparison {
    const NAME: &'static str = "fuse-comparison";
    const CONTRACT: &'static str = crate::contract!("fuse_comparison.rs");
    const ROOTS: Roots = Roots::Operators(&["Or", "Not"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let (op_type, compared, gone) = match cx.operator(root, "Not") {
            Ok(_) => {
                let value = cx.operand(root, 0)?;
                let op_type = match () {
                    () if giver(cx, value, "Less").is_ok() => "GreaterOrEqual",
                    () if giver(cx, value, "Greater").is_ok() => "LessOrEqual",
                    () => return Err(Miss::NotHere),
                };
                let dtype = cx.ty(cx.operand(value.node, 0)?).dtype();
                if !dtype.is_some_and(|dtype| dtype.is_integer()) {
                    return Err(Miss::NotHere);
                }
                (op_type, value.node, vec![root, value.node])
            }
            Err(_) => either_way(cx, root)?
                .into_iter()
                .find_map(|(one, other)| {
                    let equal = giver(cx, other, "Equal").ok()?;
                    let op_type = match () {
                        () if giver(cx, one, "Greater").is_ok() => "GreaterOrEqual",
                        () if giver(cx, one, "Less").is_ok() => "LessOrEqual",
                        () => return None,
                    };
                    let ways = either_way(cx, equal).ok()?;
                    let pair = (cx.operand(one.node, 0).ok()?, cx.operand(one.node, 1).ok()?);
                    ways.contains(&pair).then(|| (op_type, one.node, vec![root, one.node, equal]))
                })
                .ok_or(Miss::NotHere)?,
        };
        let (a, b) = (cx.operand(compared, 0)?, cx.operand(compared, 1)?);
        let dtype = cx.ty(a).dtype().ok_or(Miss::NotHere)?;
        let reads = vec![Reads::Value(a), Reads::Value(b)];
        Ok(Match(Fused::new(cx, root, &gone, Node::new(op_type, 1), reads, dtype)?))
    }

    fn apply(&self, Match(fused): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fused.apply(edit)
    }
}
