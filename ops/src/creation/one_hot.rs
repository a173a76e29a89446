//! `OneHot`: along a new axis one value at the place that an index names and another at all others.
//!
//! Source: ONNX operator specification, `OneHot`, opsets 9 to 28 (negative indices from 11 on; types widened).

use onnxpress_ir::{Dim, Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::pick::pick;
use crate::evaluate::walk::around;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided, tracked};
use crate::letters::{Letters, relation};
use crate::movement::extents_of_result;
use crate::node::{Attrs, NodeCx};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::axis_of;

pub(crate) static ONE_HOT: Operator = Operator {
    domain: "",
    name: "OneHot",
    infer: Infer::With(infer),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("only chooses between two values"),
    quantize: Quantize::KeepsFloat("its operands are indices"),
    cost: Cost::None("only chooses between two values"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("its two values are fixed in every model"),
};

/// The new axis, among those of the result.
fn axis(attrs: &Attrs<'_>, rank: usize) -> Result<usize, Undecided> {
    axis_of(attrs.int_or("axis", -1)?, rank + 1)
}

fn shape(attrs: &Attrs<'_>, indices: &Shape, depth: Dim) -> Result<Shape, Undecided> {
    if depth.is_non_negative() == Some(false) {
        return Err(Undecided::invalid(format!("a depth of {depth}")));
    }
    let axis = axis(attrs, indices.rank())?;
    let mut dims = indices.to_vec();
    dims.insert(axis, depth);
    Ok(Shape::from(dims))
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = cx.dtype(2);
    cx.set_tensor(0, dtype, None);
    let depth = match tracked(cx, 1).as_deref() {
        Some([depth]) => depth.clone(),
        _ => Dim::unknown(),
    };
    let shape = shape(&cx.attrs(), cx.known_shape(0)?, depth)?;
    cx.set_tensor(0, dtype, shape);
    Ok(())
}

/// Whole numbers of any numeric type, floats truncated.
fn truncated(tensor: &Tensor) -> Result<Vec<i64>, EvalError> {
    if tensor.dtype().is_float() {
        return Ok(tensor.to_f64s()?.into_iter().map(|value| value as i64).collect());
    }
    Ok(tensor.to_i64s()?)
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (indices, values) = (cx.tensor(0)?, cx.tensor(2)?);
    let depth = match truncated(cx.tensor(1)?)?.as_slice() {
        [depth] => *depth,
        many => return Err(EvalError::invalid(format!("a depth of {} elements", many.len()))),
    };
    if values.len() != 2 {
        return Err(EvalError::invalid(format!("{} values, not two", values.len())));
    }
    let dims = extents_of_result(cx, &shape(&cx.attrs(), &Shape::from_extents(indices.dims()), Dim::from(depth))?)?;
    let (outer, extent, inner) = around(&dims, axis(&cx.attrs(), indices.rank())?).unwrap_or_default();
    let hot: Vec<Option<usize>> = truncated(indices)?
        .into_iter()
        .map(|index| usize::try_from(if index < 0 { index.checked_add(depth)? } else { index }).ok())
        .collect();
    let rows = if dims.contains(&0) { 0 } else { outer };
    let place = |row: usize, at: usize, column: usize| usize::from(hot.get(row * inner + column) == Some(&Some(at)));
    let places = (0..rows)
        .flat_map(|row| (0..extent).flat_map(move |at| (0..inner).map(move |column| (row, at, column))))
        .map(|(row, at, column)| place(row, at, column));
    Ok(vec![pick(values, &dims, places)?.into()])
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let rank = cx.rank(0).ok_or("the rank is not known")?;
    let axis = axis(&cx.attrs(), rank).map_err(|_| "the axis is not known")?;
    let row = Letters::default().row(rank);
    let mut hot = row.clone();
    hot.insert(axis, "_".to_owned());
    Ok(relation(&[Some(row), None, None], &[Some(hot)], ""))
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::{OneNode, op};

    fn one_hot(indices: &[i64], depth: i64) -> OneNode {
        op("OneHot").int64s(&[indices.len()], indices).constant(Tensor::scalar(depth)).int64s(&[2], &[0, 5])
    }

    #[test]
    fn indices_name_places_from_either_end() {
        assert_eq!(one_hot(&[0, -1, 3], 3).i64s(), [5, 0, 0, 0, 0, 5, 0, 0, 0]);
        assert_eq!(one_hot(&[1, 0], 2).int("axis", 0).i64s(), [0, 5, 5, 0]);
        assert_eq!(one_hot(&[1, 0], 0).i64s(), [0i64; 0]);
        assert_eq!(one_hot(&[1], -1).fault(), "a depth of -1");
        assert!(one_hot(&[1, 2], i64::MAX).evaluate().is_err());
        let floats = op("OneHot").floats(&[2], &[1.0, 0.0]).floats(&[1], &[2.0]).int64s(&[2], &[0, 1]);
        assert_eq!(floats.i64s(), [0, 1, 1, 0]);
    }

    #[test]
    fn the_depth_is_the_extent_of_the_new_axis() {
        let node = op("OneHot").input("int64[N,s]").elements("int64[]", "V").input("float[2]");
        assert_eq!(node.infer(), "float[N,s,V]");
        assert_eq!(node.axes(), "a b, *, * -> a b _");
        let node = op("OneHot").input("int64[N]").input("int64").input("float[2]").int("axis", 0);
        assert_eq!(node.infer(), "float[?,N]");
    }
}
