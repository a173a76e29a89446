//! Which axes of which values are zero wherever weights are that were zeroed to show what a cut does.
//!
//! Queries and keys are multiplied with each other, and no weight lies along what is summed over. Still an index of it does not
//! matter, once the weights that made it are zero there: the product is linear in them, and what lies between leaves zeros be.

use std::collections::HashSet;

use onnxpress_ir::{Graph, ValueId};

use super::{Laid, Part};
use crate::node::NodeCx;
use crate::table;

/// What a node's results are at an index that is zero in operands.
enum Keeps {
    /// Zero where one of so many first operands is, and all that come after them are.
    Product(usize),
    /// Zero where all operands are.
    Sum,
    /// Zero where the first operand is.
    First,
    /// Zero where the first operand is, and the second is not: what is zero itself divides nothing. Constants that divide are not
    /// made zero.
    Quotient,
}

/// Operators that leave elements as they are, or make a zero a zero.
const FIRST: [&str; 18] = [
    "Abs",
    "Cast",
    "DepthToSpace",
    "Elu",
    "Expand",
    "Flatten",
    "Gather",
    "Identity",
    "LeakyRelu",
    "Neg",
    "Relu",
    "Reshape",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tanh",
    "Unsqueeze",
];

fn keeps(cx: &NodeCx<'_>) -> Option<Keeps> {
    let is_one_of = |names: &[&str]| names.iter().any(|name| cx.node.is(name));
    if is_one_of(&["MatMul", "Einsum", "Mul"]) {
        return Some(Keeps::Product(cx.operand_count()));
    }
    if is_one_of(&["Gemm", "Conv", "ConvTranspose"]) {
        return Some(Keeps::Product(2));
    }
    if is_one_of(&["Div"]) {
        return Some(Keeps::Quotient);
    }
    if is_one_of(&["Add", "Sub", "Concat"]) {
        return Some(Keeps::Sum);
    }
    (is_one_of(&FIRST) || is_one_of(&["Tile", "Transpose"])).then_some(Keeps::First)
}

/// The axes of values that vanish with weights; `constants` do so along all of theirs.
pub(super) fn axes(graph: &Graph, constants: &HashSet<ValueId>) -> HashSet<(ValueId, usize)> {
    let mut found = HashSet::new();
    for id in graph.topological().unwrap_or_default() {
        let Some(cx) = NodeCx::new(graph, id) else { continue };
        let (Some(keeps), Some(operator)) = (keeps(&cx), table::of(cx.node)) else { continue };
        let Ok(relation) = operator.axes.relation(&cx) else { continue };
        let laid = Laid::out(&cx, &relation);
        // Whether an operand has a letter, and is zero along it.
        let along = |operand: usize, letter: usize| -> Option<bool> {
            let axis = laid.axis(operand, letter)?;
            let value = cx.operand(operand)?;
            Some(constants.contains(&value) || found.contains(&(value, axis)))
        };
        let is_zero = |letter: usize| match keeps {
            Keeps::Product(factors) => {
                (0..factors).any(|operand| along(operand, letter) == Some(true))
                    && (factors..laid.operands).all(|operand| !cx.has(operand) || along(operand, letter) == Some(true))
            }
            // Operands of a concatenation have letters of their own.
            Keeps::Sum if cx.node.is("Concat") => {
                (0..laid.operands).all(|operand| along(operand, letter) != Some(false))
            }
            Keeps::Sum => (0..laid.operands).all(|operand| along(operand, letter) == Some(true)),
            Keeps::First => along(0, letter) == Some(true),
            Keeps::Quotient => {
                along(0, letter) == Some(true) && (along(1, letter) != Some(true) || cx.constant(1).is_some())
            }
        };
        let mut here = Vec::new();
        for port in 0..cx.node.port_count() {
            let Some(Some(row)) = laid.rows.get(laid.operands + port) else { continue };
            for (axis, (parts, _)) in row.iter().enumerate() {
                let all = parts.iter().all(
                    |part| matches!(part, Part::Letters(letters) if letters.iter().all(|&letter| is_zero(letter))),
                );
                if all && !parts.is_empty() {
                    here.push((id.port(port as u32), axis));
                }
            }
        }
        found.extend(here);
    }
    found
}

impl Laid {
    /// The axis of a row that has a letter, where it has more than one index.
    pub(super) fn axis(&self, row: usize, letter: usize) -> Option<usize> {
        let has = |part: &Part| matches!(part, Part::Letters(letters) if letters.contains(&letter));
        let row = self.rows.get(row)?.as_ref()?;
        row.iter().position(|(parts, extent)| *extent != Some(1) && parts.iter().any(has))
    }
}
