//! `Unique`: each element, or each slice along an axis, once: in ascending order or in that of their first occurrence. Further
//! outputs say where each first occurs, which of them each of the operand is, and how many there are.
//!
//! Source: ONNX operator specification, `Unique`, opsets 11 to 28 (types widened, meaning unchanged).

use std::cmp::Ordering;

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::order::Ordered;
use crate::evaluate::pick::pick;
use crate::evaluate::walk::{Walk, around};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::node::Attrs;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::axis_of;

pub(crate) static UNIQUE: Operator = Operator {
    domain: "",
    name: "Unique",
    infer: Infer::With(infer),
    axes: Axes::Opaque("what is left depends on the values"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("only compares"),
    quantize: Quantize::KeepsFloat("elements that are made equal by rounding would be one"),
    cost: Cost::None("only compares"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("what it drops depends on the elements"),
};

fn axis(attrs: &Attrs<'_>, rank: usize) -> Result<Option<usize>, Undecided> {
    attrs.int("axis")?.map(|axis| axis_of(axis, rank)).transpose()
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = cx.dtype(0);
    let row = |extent: Dim| Shape::from(vec![extent]);
    let flat = !cx.attrs().has("axis");
    cx.set_tensor(0, dtype, flat.then(|| row(Dim::unknown())));
    for index in 1..4 {
        cx.set_tensor(index, DType::Int64, row(Dim::unknown()));
    }
    let mut shape = cx.known_shape(0)?.clone();
    let extent = match axis(&cx.attrs(), shape.rank())? {
        None => shape.size(),
        Some(axis) => {
            let extent = std::mem::take(&mut shape[axis]);
            cx.set_tensor(0, dtype, shape);
            extent
        }
    };
    cx.set_tensor(2, DType::Int64, row(extent));
    Ok(())
}

/// One of the different ones: the first of its occurrences, and how many there are.
struct Kind {
    first: usize,
    count: i64,
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let axis = axis(&cx.attrs(), x.rank())?;
    // Without an axis the slices are the elements.
    let dims = if axis.is_some() { x.dims().to_vec() } else { vec![x.len()] };
    let along = axis.unwrap_or(0);
    let ordered = Ordered::of(x)?;
    let (outer, extent, inner) =
        around(&dims, along).ok_or_else(|| EvalError::invalid(format!("extents {dims:?} overflow")))?;
    // Slices without elements are all equal, and may be any number.
    let (outer, inner) = if x.is_empty() { (0, 0) } else { (outer, inner) };
    cx.room_for(&[extent])?;
    let compare = |a: usize, b: usize| {
        let place = |slice: usize, row: usize, column: usize| (row * extent + slice) * inner + column;
        let pairs = (0..outer).flat_map(|row| (0..inner).map(move |column| (row, column)));
        pairs
            .map(|(row, column)| ordered.compare(place(a, row, column), place(b, row, column)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    };
    let mut slices: Vec<usize> = (0..extent).collect();
    slices.sort_by(|&a, &b| compare(a, b));
    let mut kinds: Vec<Kind> = Vec::new();
    let mut kind_of = vec![0; extent];
    for slice in slices {
        match kinds.last_mut() {
            // Sorting keeps equal ones in their order, so the first of a run is the first to occur.
            Some(kind) if compare(kind.first, slice).is_eq() => kind.count += 1,
            _ => kinds.push(Kind { first: slice, count: 1 }),
        }
        kind_of[slice] = kinds.len() - 1;
    }
    let mut order: Vec<usize> = (0..kinds.len()).collect();
    if cx.attrs().int_or("sorted", 1)? == 0 {
        order.sort_by_key(|&kind| kinds[kind].first);
    }
    let mut rank_of = vec![0i64; kinds.len()];
    for (rank, &kind) in order.iter().enumerate() {
        rank_of[kind] = rank as i64;
    }
    let mut to = dims;
    to[along] = order.len();
    let walk = Walk::new(&[outer, order.len(), inner], |axis, index| match axis {
        0 => Some(index * extent * inner),
        1 => Some(kinds[order[index]].first * inner),
        _ => Some(index),
    });
    let y = pick(x, &to, walk.map(|place| place.unwrap_or(usize::MAX)))?;
    let firsts: Vec<i64> = order.iter().map(|&kind| kinds[kind].first as i64).collect();
    let inverse: Vec<i64> = kind_of.into_iter().map(|kind| rank_of[kind]).collect();
    let counts: Vec<i64> = order.iter().map(|&kind| kinds[kind].count).collect();
    let row = |values| Value::from(Tensor::vector::<i64>(values));
    Ok(vec![y.into(), row(firsts), row(inverse), row(counts)])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::testing::{OneNode, op};

    fn all(node: &OneNode) -> Vec<Vec<i64>> {
        node.evaluate().unwrap().iter().map(|value| value.as_tensor().unwrap().to_i64s().unwrap()).collect()
    }

    #[test]
    fn elements_are_sorted_or_stay_in_order() {
        let node = || op("Unique").int64s(&[6], &[2, 1, 1, 3, 4, 3]).outputs(4);
        let kept = [vec![2, 1, 3, 4], vec![0, 1, 3, 4], vec![0, 1, 1, 2, 3, 2], vec![1, 2, 2, 1]];
        assert_eq!(all(&node().int("sorted", 0)), kept);
        let sorted = [vec![1, 2, 3, 4], vec![1, 0, 3, 4], vec![1, 0, 0, 2, 3, 2], vec![2, 1, 2, 1]];
        assert_eq!(all(&node()), sorted);
    }

    #[test]
    fn slices_are_compared_as_a_whole() {
        let rows = op("Unique").int64s(&[3, 3], &[1, 0, 0, 1, 0, 0, 2, 3, 4]).int("axis", 0).outputs(4);
        assert_eq!(all(&rows), [vec![1, 0, 0, 2, 3, 4], vec![0, 2], vec![0, 0, 1], vec![2, 1]]);
        let empty = op("Unique").int64s(&[3, 0], &[]).int("axis", 0).outputs(4);
        assert_eq!(all(&empty), [vec![], vec![0], vec![0, 0, 0], vec![3]]);
        assert_eq!(all(&op("Unique").int64s(&[0], &[]).outputs(4)), [[0i64; 0]; 4]);
    }

    #[test]
    fn how_many_there_are_is_not_known() {
        let node = op("Unique").input("float[N,3]").outputs(4);
        assert_eq!(node.infer(), "float[?], int64[?], int64[3*N], int64[?]");
        let node = op("Unique").input("float[N,3]").int("axis", 0).outputs(4);
        assert_eq!(node.infer(), "float[?,3], int64[?], int64[N], int64[?]");
    }
}
