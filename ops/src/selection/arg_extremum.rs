//! `ArgMax` and `ArgMin`: where along an axis the largest or the smallest element stands.
//!
//! Of equal ones the first, or the last where `select_last_index` is set (from version 12 on).
//!
//! Source: ONNX operator specification, `ArgMax` and `ArgMin`, opsets 1 to 13 (types widened).

use std::cmp::Ordering;

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::order::Ordered;
use crate::evaluate::walk::around;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::letters::{Letters, relation, with_axis};
use crate::movement::extents_of_result;
use crate::node::{Attrs, NodeCx};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::axis_of;

const fn sheet(name: &'static str, evaluate: fn(&EvalCx<'_>) -> Result<Vec<Value>, EvalError>) -> Operator {
    Operator {
        domain: "",
        name,
        infer: Infer::With(infer),
        axes: Axes::With(axes),
        evaluate: Evaluate::With(evaluate),
        linear: Linear::None("only compares"),
        quantize: Quantize::KeepsFloat("only compares, and answers indices"),
        cost: Cost::None("only compares"),
        effects: Effects::Pure,
        gradient: Gradient::Zero("its results are indices"),
    }
}

pub(crate) static ARG_MAX: Operator = sheet("ArgMax", |cx| evaluate(cx, Ordering::Greater));

pub(crate) static ARG_MIN: Operator = sheet("ArgMin", |cx| evaluate(cx, Ordering::Less));

/// The extents of the result, and the axis.
fn shape(attrs: &Attrs<'_>, data: &Shape) -> Result<(Shape, usize), Undecided> {
    let axis = axis_of(attrs.int_or("axis", 0)?, data.rank())?;
    let mut dims = data.to_vec();
    if attrs.int_or("keepdims", 1)? != 0 {
        dims[axis] = Dim::from(1);
    } else {
        dims.remove(axis);
    }
    Ok((Shape::from(dims), axis))
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.set_tensor(0, DType::Int64, None);
    let (shape, _) = shape(&cx.attrs(), cx.known_shape(0)?)?;
    cx.set_tensor(0, DType::Int64, shape);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>, wanted: Ordering) -> Result<Vec<Value>, EvalError> {
    let data = cx.tensor(0)?;
    let (shape, axis) = shape(&cx.attrs(), &Shape::from_extents(data.dims()))?;
    let dims = extents_of_result(cx, &shape)?;
    let last = cx.attrs().flag("select_last_index")?;
    let ordered = Ordered::of(data)?;
    let mut found = Vec::new();
    if !dims.contains(&0) {
        let (outer, extent, inner) = around(data.dims(), axis).unwrap_or_default();
        for (row, column) in (0..outer).flat_map(|row| (0..inner).map(move |column| (row, column))) {
            let place = |index: usize| (row * extent + index) * inner + column;
            let best = ordered.extremum((0..extent).map(place), wanted, last);
            let best = best.ok_or_else(|| EvalError::invalid("an extreme of no elements"))?;
            found.push((best / inner % extent) as i64);
        }
    }
    Ok(vec![Tensor::from_values::<i64>(&dims, found)?.into()])
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let data = cx.shape(0).ok_or("the rank is not known")?;
    let (shape, axis) = shape(&cx.attrs(), data).map_err(|_| "the axis is not known")?;
    let row = Letters::default().row(data.rank());
    let mut to = with_axis(&row, axis, "1");
    if shape.rank() < data.rank() {
        to.remove(axis);
    }
    let roles = format!("chosen {}", row[axis]);
    Ok(relation(&[Some(row)], &[Some(to)], &roles))
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn of_equal_elements_the_first_or_the_last_is_named() {
        let node = |name| op(name).int64s(&[2, 3], &[2, 2, 1, 3, 10, 10]).int("axis", 1);
        assert_eq!(node("ArgMax").i64s(), [0, 1]);
        assert_eq!(node("ArgMax").int("select_last_index", 1).i64s(), [1, 2]);
        assert_eq!(node("ArgMin").i64s(), [2, 0]);
        assert_eq!(op("ArgMin").int64s(&[2, 3], &[2, 2, 1, 3, 10, 10]).i64s(), [0, 0, 0]);
        assert_eq!(op("ArgMax").int64s(&[0, 3], &[]).fault(), "an extreme of no elements");
        assert_eq!(op("ArgMax").int64s(&[3, 0], &[]).i64s(), [0i64; 0]);
    }

    #[test]
    fn the_axis_stays_with_one_index_or_goes() {
        assert_eq!(op("ArgMax").input("float[N,c]").int("axis", -1).infer(), "int64[N,1]");
        let node = op("ArgMax").input("float[N,c]").int("axis", -1).int("keepdims", 0);
        assert_eq!(node.infer(), "int64[N]");
        assert_eq!(node.axes(), "a b -> a; chosen b");
        assert_eq!(op("ArgMax").input("float").infer(), "int64");
        assert_eq!(op("ArgMax").input("float[N]").int("axis", 1).infer(), "invalid: axis 1 of a tensor of rank 1");
    }
}
