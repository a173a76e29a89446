//! `Transpose`: the axes in another order, by default the reverse.
//!
//! Source: ONNX operator specification, `Transpose`, opsets 1 to 25 (types widened, meaning unchanged).

use onnxpress_ir::{Dim, Shape};

use super::Moves;
use crate::axes::Axes;
use crate::evaluate::walk::Walk;
use crate::gradient::Gradient;
use crate::infer::Undecided;
use crate::letters::{Letters, relation};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, distinct_axes};

const MOVES: Moves = Moves { shape, walk };

pub(crate) static TRANSPOSE: Operator = Operator {
    domain: "",
    name: "Transpose",
    infer: Infer::With(|cx| MOVES.infer(cx)),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(|cx| MOVES.evaluate(cx)),
    linear: Linear::None("only orders axes anew"),
    quantize: Quantize::Moves,
    cost: Cost::None("only orders axes anew"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::transpose),
};

/// Which axis of the operand each axis of the result is.
fn order(p: &dyn Parameters, rank: usize) -> Result<Vec<usize>, Undecided> {
    let Some(perm) = p.attrs().ints("perm")? else { return Ok((0..rank).rev().collect()) };
    if perm.len() != rank {
        return Err(Undecided::invalid(format!("`perm` has {} entries for a tensor of rank {rank}", perm.len())));
    }
    distinct_axes(&perm.into_iter().map(Dim::from).collect::<Vec<_>>(), rank)
}

fn shape(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let data = p.extents(0)?;
    Ok(order(p, data.rank())?.into_iter().map(|axis| data[axis].clone()).collect())
}

fn walk(p: &dyn Parameters, from: &[usize], _: &[usize]) -> Result<Walk, Undecided> {
    Ok(Walk::transposed(from, &order(p, from.len())?))
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let rank = cx.rank(0).ok_or("the rank is not known")?;
    let order = order(cx, rank).map_err(|_| "the order is not known")?;
    let row = Letters::default().row(rank);
    let to = order.into_iter().map(|axis| row[axis].clone()).collect();
    Ok(relation(&[Some(row)], &[Some(to)], ""))
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn axes_change_places() {
        let heads = op("Transpose").input("float[N,s,12,64]").ints("perm", &[0, 2, 1, 3]);
        assert_eq!(heads.infer(), "float[N,12,s,64]");
        assert_eq!(heads.axes(), "a b c d -> a c b d");
        assert_eq!(op("Transpose").input("float[N,3]").infer(), "float[3,N]");
        assert_eq!(op("Transpose").input("float").infer(), "float");
    }

    #[test]
    fn elements_change_places() {
        let matrix = op("Transpose").int64s(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        assert_eq!(matrix.i64s(), [1, 4, 2, 5, 3, 6]);
        assert_eq!(matrix.infer(), "int64[3,2] = {1, 4, 2, 5, 3, 6}");
    }

    #[test]
    fn what_is_no_order_of_the_axes_is_refused() {
        let perm = |perm: &[i64]| op("Transpose").input("float[2,3]").ints("perm", perm).infer();
        assert_eq!(perm(&[0]), "invalid: `perm` has 1 entries for a tensor of rank 2");
        assert_eq!(perm(&[0, 0]), "invalid: axis 0 is named twice");
        assert_eq!(perm(&[0, 2]), "invalid: axis 2 of a tensor of rank 2");
    }
}
