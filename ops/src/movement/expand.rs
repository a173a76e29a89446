//! `Expand`: broadcasts a tensor with a shape that is asked for, in both directions.
//!
//! Source: ONNX operator specification, `Expand`, opsets 8 to 13 (types widened, meaning unchanged).

use onnxpress_ir::{Dim, Shape};

use super::Moves;
use crate::axes::Axes;
use crate::evaluate::walk::Walk;
use crate::gradient::Gradient;
use crate::infer::Undecided;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, asked_extents};

const MOVES: Moves = Moves { shape, walk };

pub(crate) static EXPAND: Operator = Operator {
    domain: "",
    name: "Expand",
    infer: Infer::With(|cx| MOVES.infer(cx)),
    axes: Axes::Spec("s.., * -> s..; extents 1"),
    evaluate: Evaluate::With(|cx| MOVES.evaluate(cx)),
    linear: Linear::None("only repeats elements"),
    quantize: Quantize::Moves,
    cost: Cost::None("only repeats elements"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::unchanged),
};

fn shape(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let asked = asked_extents(p, 1)?;
    // No runtime agrees with another on what a negative entry means.
    let size = |entry: &Dim| if entry.is_non_negative() == Some(false) { Dim::unknown() } else { entry.clone() };
    let asked: Shape = asked.iter().map(size).collect();
    Ok(p.extents(0)?.broadcast(&asked)?)
}

fn walk(_: &dyn Parameters, from: &[usize], to: &[usize]) -> Result<Walk, Undecided> {
    Ok(Walk::broadcast(from, to))
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn both_sides_may_be_repeated() {
        assert_eq!(op("Expand").input("float[N,1,3]").int64s(&[2], &[4, 1]).infer(), "float[N,4,3]");
        assert_eq!(op("Expand").input("float[1]").elements("int64[2]", "N s").infer(), "float[N,s]");
        assert_eq!(op("Expand").input("float[3]").input("int64[2]").infer(), "float[?,3]");
        assert_eq!(op("Expand").input("float[3]").input("int64").infer(), "float");
        assert!(op("Expand").input("float[3]").int64s(&[1], &[2]).infer().starts_with("invalid"));
    }

    #[test]
    fn elements_are_repeated() {
        let node = op("Expand").int64s(&[2, 1], &[1, 2]).int64s(&[3], &[2, 1, 2]);
        assert_eq!(node.i64s(), [1, 1, 2, 2, 1, 1, 2, 2]);
        assert_eq!(op("Expand").elements("int64[]", "N").int64s(&[1], &[2]).infer(), "int64[2] = {N, N}");
        assert!(op("Expand").int64s(&[1], &[1]).int64s(&[1], &[-1]).evaluate().is_err());
    }
}
