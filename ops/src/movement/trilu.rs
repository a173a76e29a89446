//! `Trilu`: of each matrix the part above or below a diagonal; the rest is 0.
//!
//! Source: ONNX operator specification, `Trilu`, opset 14.

use onnxpress_ir::Shape;

use super::Moves;
use crate::axes::Axes;
use crate::evaluate::lanes::volume;
use crate::evaluate::walk::Walk;
use crate::gradient::Gradient;
use crate::infer::Undecided;
use crate::letters::{Letters, and_parameters, relation};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::Parameters;

const MOVES: Moves = Moves { shape, walk };

pub(crate) static TRILU: Operator = Operator {
    domain: "",
    name: "Trilu",
    infer: Infer::With(|cx| MOVES.infer(cx)),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(|cx| MOVES.evaluate(cx)),
    linear: Linear::None("only leaves elements out"),
    quantize: Quantize::Moves,
    cost: Cost::None("only leaves elements out"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::same_again),
};

fn shape(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let data = p.extents(0)?;
    if data.rank() < 2 { Err(Undecided::invalid(format!("a matrix of shape {data}"))) } else { Ok(data) }
}

fn walk(p: &dyn Parameters, from: &[usize], _: &[usize]) -> Result<Walk, Undecided> {
    let diagonal = match p.sole_entry(1)? {
        None => 0,
        Some(k) => i128::from(k.as_const().ok_or(Undecided::Unknown)?),
    };
    let upper = p.attrs().int_or("upper", 1)? != 0;
    let rank = from.len();
    let (rows, columns) = (from[rank - 2], from[rank - 1]);
    let place = |place: usize| {
        let (row, column) = (place / columns % rows, place % columns);
        let above = column as i128 - row as i128 - diagonal;
        (if upper { above >= 0 } else { above <= 0 }).then_some(place)
    };
    Ok(Walk::to_places((0..volume(from)).map(place).collect()))
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let rank = cx.rank(0).filter(|&rank| rank >= 2).ok_or("the rank is not known")?;
    // The diagonal ties rows to columns by their places.
    let row = [Letters::default().row(rank - 2), vec!["_".to_owned(); 2]].concat();
    Ok(relation(&and_parameters(row.clone(), cx.operand_count()), &[Some(row)], ""))
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::{OneNode, op};

    fn part(upper: i64, k: i64) -> OneNode {
        op("Trilu").int64s(&[2, 3], &[1, 2, 3, 4, 5, 6]).constant(Tensor::scalar(k)).int("upper", upper)
    }

    #[test]
    fn the_diagonal_belongs_to_both_parts() {
        assert_eq!(part(1, 0).i64s(), [1, 2, 3, 0, 5, 6]);
        assert_eq!(part(0, 0).i64s(), [1, 0, 0, 4, 5, 0]);
        assert_eq!(part(1, 1).i64s(), [0, 2, 3, 0, 0, 6]);
        assert_eq!(part(0, i64::MIN).i64s(), [0; 6]);
        assert_eq!(op("Trilu").int64s(&[2, 1, 1], &[1, 2]).i64s(), [1, 2]);
    }

    #[test]
    fn matrices_keep_their_shape() {
        assert_eq!(op("Trilu").input("float[N,s,s]").infer(), "float[N,s,s]");
        assert_eq!(op("Trilu").input("float[N,s,s]").axes(), "a _ _ -> a _ _");
        assert_eq!(op("Trilu").input("float[s]").infer(), "invalid: a matrix of shape [s]");
    }
}
