//! Lets `Shape` and `Size` read the earliest value of the same extents.
//!
//! Before `s = Shape(Relu(x))`; after `s = Shape(x)`. So shapes of what is computed from one value become one, and values are not kept
//! for their extents alone.
//! Fires if a value from which the operand is computed, by way of first operands, has the same extents for certain.
//! Exact: only the extents are read. Ends: each time the operand is nearer to the inputs.

use onnxpress_ir::{Edit, EditError, NodeId};

use crate::rewrite::{Change, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct LiftShape;

impl Rule for LiftShape {
    const NAME: &'static str = "lift-shape";
    const CONTRACT: &'static str = crate::contract!("lift_shape.rs");
    const ROOTS: Roots = Roots::Operators(&["Shape", "Size"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let operand = cx.operand(root, 0)?;
        let (mut at, mut highest) = (operand, operand);
        for _ in 0..REACH {
            let Ok(node) = cx.node(at.node) else { break };
            let all = cx.graph().operands(node.id).flatten();
            // An operand of an elementwise operator may be the wider one.
            let Some(same) = all.take(WIDTH).find(|&above| cx.same_shape(above, operand)).or(node.operand(0)) else {
                break;
            };
            at = same;
            if cx.same_shape(at, operand) {
                highest = at;
            } else if cx.shape(at).is_none() {
                break;
            }
        }
        if highest == operand { Err(Miss::NotHere) } else { Change::operands(cx, root, [highest.into()]) }
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

/// How far up is looked.
const REACH: usize = 32;

/// How many operands of a node are looked at.
const WIDTH: usize = 3;
