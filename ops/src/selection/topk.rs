//! `TopK`: along an axis the k largest (or smallest) elements, in order, and where they stand; of equal ones the first first.
//!
//! Source: ONNX operator specification, `TopK`, opsets 1 to 24 (k is an operand from 10 on; smallest and unsorted from 11 on).
//! Where no order is asked for, the sorted one is as good as any.

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::lanes::volume;
use crate::evaluate::order::Ordered;
use crate::evaluate::pick::pick;
use crate::evaluate::walk::around;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::letters::{Letters, and_parameters, relation, with_axis};
use crate::movement::extents_of_result;
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, axis_of};

pub(crate) static TOP_K: Operator = Operator {
    domain: "",
    name: "TopK",
    infer: Infer::With(infer),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("only compares"),
    quantize: Quantize::Moves,
    cost: Cost::None("only compares"),
    effects: Effects::Pure,
    gradient: Gradient::With(crate::movement::gradient::chosen),
};

fn axis(p: &dyn Parameters, rank: usize) -> Result<usize, Undecided> {
    axis_of(p.attrs().int_or("axis", -1)?, rank)
}

/// How many elements are wanted.
fn wanted(p: &dyn Parameters) -> Result<Dim, Undecided> {
    if p.version() < 10 {
        return p.attrs().int("k")?.map(Dim::from).ok_or_else(|| Undecided::invalid("`k` is missing"));
    }
    match p.sole_entry(1) {
        Err(Undecided::Unknown) => Ok(Dim::unknown()),
        wanted => wanted?.ok_or_else(|| Undecided::invalid("operand 1 is missing")),
    }
}

fn shape(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let (mut shape, wanted) = (p.extents(0)?, wanted(p)?);
    let axis = axis(p, shape.rank())?;
    let too_many = (&shape[axis] - &wanted).is_non_negative() == Some(false);
    if too_many || wanted.is_non_negative() == Some(false) {
        return Err(Undecided::invalid(format!("the first {wanted} of {} elements", shape[axis])));
    }
    shape[axis] = wanted;
    Ok(shape)
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = cx.dtype(0);
    cx.set_tensor(0, dtype, None);
    cx.set_tensor(1, DType::Int64, None);
    let shape = shape(&**cx)?;
    cx.set_tensor(0, dtype, shape.clone());
    cx.set_tensor(1, DType::Int64, shape);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let dims = extents_of_result(cx, &shape(cx)?)?;
    let axis = axis(cx, x.rank())?;
    let largest = cx.attrs().int_or("largest", 1)? != 0;
    let ordered = Ordered::of(x)?;
    let count = volume(&dims);
    let (mut places, mut indices) = (vec![0; count], vec![0i64; count]);
    if count > 0 {
        let ((outer, extent, inner), kept) = (around(x.dims(), axis).unwrap_or_default(), dims[axis]);
        for (row, column) in (0..outer).flat_map(|row| (0..inner).map(move |column| (row, column))) {
            let mut lane: Vec<usize> = (0..extent).map(|index| (row * extent + index) * inner + column).collect();
            lane.sort_by(|&a, &b| if largest { ordered.compare(b, a) } else { ordered.compare(a, b) });
            for (rank, place) in lane.into_iter().take(kept).enumerate() {
                let at = (row * kept + rank) * inner + column;
                places[at] = place;
                indices[at] = (place / inner % extent) as i64;
            }
        }
    }
    let values = pick(x, &dims, places.into_iter())?;
    Ok(vec![values.into(), Tensor::from_values::<i64>(&dims, indices)?.into()])
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let rank = cx.rank(0).ok_or("the rank is not known")?;
    let axis = axis(cx, rank).map_err(|_| "the axis is not known")?;
    let row = Letters::default().row(rank);
    let kept = with_axis(&row, axis, "_");
    let roles = format!("chosen {}", row[axis]);
    Ok(relation(&and_parameters(row, cx.operand_count()), &[Some(kept.clone()), Some(kept)], &roles))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::testing::{OneNode, op};

    fn top(k: i64) -> OneNode {
        op("TopK").int64s(&[2, 3], &[1, 5, 5, 9, 7, 8]).int64s(&[1], &[k]).outputs(2)
    }

    fn both(node: &OneNode) -> Vec<Vec<i64>> {
        node.evaluate().unwrap().iter().map(|value| value.as_tensor().unwrap().to_i64s().unwrap()).collect()
    }

    #[test]
    fn of_equal_elements_the_first_comes_first() {
        assert_eq!(both(&top(2)), [[5, 5, 9, 8], [1, 2, 0, 2]]);
        assert_eq!(both(&top(1).int("largest", 0)), [[1, 7], [0, 1]]);
        assert_eq!(both(&top(1).int("axis", 0)), [[9, 7, 8], [1, 1, 1]]);
        assert_eq!(both(&top(0)), [[0i64; 0], []]);
    }

    #[test]
    fn k_is_the_extent() {
        let node = op("TopK").input("float[N,100]").int64s(&[1], &[5]).outputs(2);
        assert_eq!(node.infer(), "float[N,5], int64[N,5]");
        assert_eq!(node.axes(), "a b, * -> a _, a _; chosen b");
        assert_eq!(op("TopK").version(9).input("float[N,9]").int("k", 5).outputs(2).infer(), "float[N,5], int64[N,5]");
        assert_eq!(op("TopK").input("float[N,9]").input("int64[1]").outputs(2).infer(), "float[N,?], int64[N,?]");
        assert_eq!(
            op("TopK").input("float[3]").int64s(&[1], &[5]).outputs(2).infer(),
            "invalid: the first 5 of 3 elements"
        );
        assert_eq!(top(-1).fault(), "the first -1 of 3 elements");
    }
}
