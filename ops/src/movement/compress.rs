//! `Compress`: along an axis, or of all elements in a row, those for which a condition holds.
//!
//! Source: ONNX operator specification, `Compress`, opsets 9 to 28 (types widened, meaning unchanged).

use onnxpress_ir::tensor::element_count;
use onnxpress_ir::{Dim, Shape};

use super::Moves;
use crate::axes::Axes;
use crate::evaluate::walk::{Walk, around};
use crate::gradient::Gradient;
use crate::infer::Undecided;
use crate::letters::{Letters, and_parameters, relation, with_axis};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, axis_of};

const MOVES: Moves = Moves { shape, walk };

pub(crate) static COMPRESS: Operator = Operator {
    domain: "",
    name: "Compress",
    infer: Infer::With(|cx| MOVES.infer(cx)),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(|cx| MOVES.evaluate(cx)),
    linear: Linear::None("only leaves elements out"),
    quantize: Quantize::Moves,
    cost: Cost::None("only leaves elements out"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::from_places),
};

fn axis(p: &dyn Parameters, rank: usize) -> Result<Option<usize>, Undecided> {
    p.attrs().int("axis")?.map(|axis| axis_of(axis, rank)).transpose()
}

/// The indices, of so many, for which the condition holds; beyond its end it does not.
fn kept(p: &dyn Parameters, extent: usize) -> Result<Vec<usize>, Undecided> {
    let condition = p.numbers(1)?.ok_or_else(|| Undecided::invalid("operand 1 is missing"))?;
    Ok((0..extent).zip(condition).filter(|(_, holds)| *holds != 0).map(|(index, _)| index).collect())
}

fn shape(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let count = |extent: &Dim| match extent.as_const().map(usize::try_from) {
        Some(Ok(extent)) => kept(p, extent).map_or_else(|_| Dim::unknown(), |kept| Dim::from_extent(kept.len())),
        _ => Dim::unknown(),
    };
    let Ok(data) = p.extents(0) else {
        return if p.attrs().has("axis") { Err(Undecided::Unknown) } else { Ok(Shape::of_unknown_extents(1)) };
    };
    Ok(match axis(p, data.rank())? {
        None => Shape::from(vec![count(&data.size())]),
        Some(axis) => {
            let mut shape = data.clone();
            shape[axis] = count(&data[axis]);
            shape
        }
    })
}

fn walk(p: &dyn Parameters, from: &[usize], _: &[usize]) -> Result<Walk, Undecided> {
    let overflow = || Undecided::invalid(format!("extents {from:?} overflow"));
    let Some(axis) = axis(p, from.len())? else {
        let kept = kept(p, element_count(from).ok_or_else(overflow)?)?;
        return Ok(Walk::to_places(kept.into_iter().map(Some).collect()));
    };
    let (outer, extent, inner) = around(from, axis).ok_or_else(overflow)?;
    let kept = kept(p, extent)?;
    Ok(Walk::new(&[outer, kept.len(), inner], |axis, index| match axis {
        0 => index.checked_mul(extent)?.checked_mul(inner),
        1 => kept[index].checked_mul(inner),
        _ => Some(index),
    }))
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let rank = cx.rank(0).ok_or("the rank is not known")?;
    let axis = axis(cx, rank).map_err(|_| "the axis is not known")?.ok_or("all axes become one, with gaps")?;
    let row = with_axis(&Letters::default().row(rank), axis, "_");
    Ok(relation(&and_parameters(row.clone(), cx.operand_count()), &[Some(row)], ""))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::Tensor;

    use crate::testing::{OneNode, op};

    fn compress(condition: &[bool]) -> OneNode {
        op("Compress").int64s(&[2, 2], &[1, 2, 3, 4]).constant(Tensor::vector(condition.to_vec()))
    }

    #[test]
    fn what_the_condition_holds_for_stays() {
        assert_eq!(compress(&[false, true]).int("axis", 1).i64s(), [2, 4]);
        assert_eq!(compress(&[false, true]).int("axis", 0).i64s(), [3, 4]);
        assert_eq!(compress(&[true, false, true]).i64s(), [1, 3], "a condition that is too short");
        assert_eq!(compress(&[true; 9]).i64s(), [1, 2, 3, 4]);
        assert_eq!(compress(&[true]).int("axis", 2).fault(), "axis 2 of a tensor of rank 2");
    }

    #[test]
    fn how_many_stay_is_known_where_the_condition_is() {
        assert_eq!(compress(&[false, true]).int("axis", 1).infer(), "int64[2,1] = {2, 4}");
        assert_eq!(op("Compress").input("float[N,3]").input("bool[3]").int("axis", 1).infer(), "float[N,?]");
        assert_eq!(op("Compress").input("float[N,3]").input("bool[3]").infer(), "float[?]");
        assert_eq!(op("Compress").input("float[N,3]").input("bool[3]").int("axis", 1).axes(), "a _, * -> a _");
    }
}
