//! Leaves spreading an operand to the operator that broadcasts it.
//!
//! Before `y = Add(x, Expand(c, s))`, or any other elementwise operator, also of a `ConstantOfShape`; after `y = Add(x, c)`, with a scalar
//! for what is one number everywhere.
//! Fires if the operands then still broadcast to the extents of `y` for certain.
//! Exact: broadcasting repeats the same elements. Ends: one computed operand fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId, Shape, ValueId};

use super::super::forms::splat::splat;
use crate::rewrite::{Change, Found, MatchCx, Miss, Reads, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct NarrowOperand;

impl Rule for NarrowOperand {
    const NAME: &'static str = "narrow-operand";
    const CONTRACT: &'static str = crate::contract!("narrow_operand.rs");
    const ROOTS: Roots = Roots::Operators(&[
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Pow",
        "Mod",
        "Max",
        "Min",
        "Sum",
        "Mean",
        "And",
        "Or",
        "Xor",
        "Equal",
        "Less",
        "Greater",
        "LessOrEqual",
        "GreaterOrEqual",
        "Where",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
        "PRelu",
    ]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        let to = cx.shape(root.port(0)).ok_or(Miss::NotHere)?;
        // Operators of any number of operands did not broadcast before version 8, others as attributes said before 7.
        let variadic = ["Sum", "Mean", "Max", "Min"].iter().any(|op| node.node.is(op));
        if node.version < 7 + i64::from(variadic) {
            return Err(Miss::NotHere);
        }
        // The slope of a PRelu is broadcast to the other operand, and not the other way round.
        let first = usize::from(node.node.is("PRelu"));
        let operands: Vec<ValueId> = cx.graph().operands(root).flatten().collect();
        for (index, &value) in operands.iter().enumerate().skip(first) {
            let Some((narrow, shape)) = narrower(cx, value) else { continue };
            let others =
                operands.iter().enumerate().filter(|&(other, _)| other != index).map(|(_, &other)| cx.shape(other));
            let Some(others) = others.collect::<Option<Vec<&Shape>>>() else { return Err(Miss::NotHere) };
            let Ok(spread) = Shape::broadcast_all(others.into_iter().chain([&shape])) else { continue };
            let same = spread.len() == to.len() && spread.iter().zip(to).all(|(a, b)| a.equals(b) == Some(true));
            if same {
                let mut reads: Vec<Reads> = operands.iter().copied().map(Reads::Value).collect();
                reads[index] = narrow;
                return Change::operands(cx, root, reads);
            }
        }
        Err(Miss::NotHere)
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

/// What a value is spread from, and its shape.
fn narrower(cx: &MatchCx<'_>, value: ValueId) -> Option<(Reads, Shape)> {
    let node = cx.node(value.node).ok()?;
    if cx.constant(value).is_some() {
        return None;
    }
    if let Some(scalar) = splat(cx, value) {
        return Some((scalar.into(), Shape::scalar()));
    }
    let from = cx.operand(node.id, 0).ok().filter(|_| node.node.is("Expand"))?;
    Some((from.into(), cx.shape(from)?.clone()))
}
