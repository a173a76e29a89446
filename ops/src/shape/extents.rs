//! `Shape` and `Size`: the extents of a tensor, and their product.
//!
//! They are where symbols become values: what is inferred of the extents is what is known of the elements.
//!
//! Source: ONNX operator specification, `Shape`, opsets 1 to 25 (from 15 on of the axes from `start` to before `end` only),
//! `Size`, opsets 1 to 25.

use std::ops::Range;

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::node::Attrs;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

const REASON: &str = "reads extents, no elements";

pub(crate) static SHAPE: Operator = Operator {
    domain: "",
    name: "Shape",
    infer: Infer::With(infer_shape),
    axes: Axes::Spec("r.. -> _; asked r"),
    evaluate: Evaluate::With(evaluate_shape),
    linear: Linear::None(REASON),
    quantize: Quantize::KeepsFloat(REASON),
    cost: Cost::None(REASON),
    effects: Effects::Pure,
    gradient: Gradient::Zero(REASON),
};

pub(crate) static SIZE: Operator = Operator {
    domain: "",
    name: "Size",
    infer: Infer::With(infer_size),
    axes: Axes::Spec("r.. -> ; asked r"),
    evaluate: Evaluate::With(evaluate_size),
    linear: Linear::None(REASON),
    quantize: Quantize::KeepsFloat(REASON),
    cost: Cost::None(REASON),
    effects: Effects::Pure,
    gradient: Gradient::Zero(REASON),
};

/// The axes asked for; both ends are clamped, and a start behind the end asks for none.
fn asked(attrs: &Attrs<'_>, rank: usize) -> Result<Range<usize>, Undecided> {
    let place = |value: i64| {
        let from_front = if value < 0 { value.saturating_add_unsigned(rank as u64) } else { value };
        usize::try_from(from_front).unwrap_or(0).min(rank)
    };
    let start = place(attrs.int_or("start", 0)?);
    let end = attrs.int("end")?.map_or(rank, place);
    Ok(start..end.max(start))
}

fn infer_shape(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.set_tensor(0, DType::Int64, Shape::of_unknown_extents(1));
    let data = cx.known_shape(0)?;
    let elements = &data[asked(&cx.attrs(), data.rank())?];
    cx.set_tensor(0, DType::Int64, Shape::from_extents(&[elements.len()]));
    cx.set_elements(0, elements);
    Ok(())
}

fn evaluate_shape(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let dims = cx.tensor(0)?.dims();
    let extents = dims[asked(&cx.attrs(), dims.len())?].iter().map(|&dim| dim as i64).collect();
    Ok(vec![Tensor::vector::<i64>(extents).into()])
}

fn infer_size(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.set_tensor(0, DType::Int64, Shape::scalar());
    let elements: [Dim; 1] = [cx.known_shape(0)?.size()];
    cx.set_elements(0, elements);
    Ok(())
}

fn evaluate_size(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    Ok(vec![Tensor::scalar(cx.tensor(0)?.len() as i64).into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn extents_become_elements() {
        assert_eq!(op("Shape").input("float[N,3,2*h]").infer(), "int64[3] = {N, 3, 2*h}");
        assert_eq!(op("Size").input("float[N,3,2*h]").infer(), "int64[] = {6*N*h}");
        assert_eq!(op("Shape").input("float[]").infer(), "int64[0] = {}");
        assert_eq!(op("Shape").input("float").infer(), "int64[?]");
    }

    #[test]
    fn the_ends_are_clamped_to_the_rank() {
        let shape =
            |start: i64, end: i64| op("Shape").floats(&[1, 2, 1], &[0.0; 2]).int("start", start).int("end", end);
        assert_eq!(shape(-2, 9).i64s(), [2, 1]);
        assert_eq!(shape(i64::MIN, -1).i64s(), [1, 2]);
        assert_eq!(shape(2, 1).i64s(), [0i64; 0]);
        assert_eq!(shape(1, i64::MAX).infer(), "int64[2] = {2, 1}");
    }

    #[test]
    fn before_version_15_there_are_no_ends() {
        assert_eq!(op("Shape").version(14).input("float[N,3]").infer(), "int64[2] = {N, 3}");
    }
}
