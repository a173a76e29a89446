//! `NonZero`: the coordinates of the elements that are not 0, one column an element, in row-major order.
//!
//! Source: ONNX operator specification, `NonZero`, opsets 9 to 13 (types widened, meaning unchanged). Of a scalar, which has no
//! coordinates, the result has no rows.

use bytes::Bytes;
use num_complex::Complex;
use onnxpress_ir::{DType, Dim, Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::walk::strides;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static NON_ZERO: Operator = Operator {
    domain: "",
    name: "NonZero",
    infer: Infer::With(infer),
    axes: Axes::Opaque("answers coordinates"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("only compares with 0"),
    quantize: Quantize::KeepsFloat("only compares with 0, and answers coordinates"),
    cost: Cost::None("only compares with 0"),
    effects: Effects::Pure,
    gradient: Gradient::Zero("its results are indices"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let rank = cx.rank(0).map_or_else(Dim::unknown, Dim::from_extent);
    cx.set_tensor(0, DType::Int64, Shape::from(vec![rank, Dim::unknown()]));
    Ok(())
}

/// Of each element whether it is not 0 (of a string: not empty).
fn is_not_zero(x: &Tensor) -> Result<Vec<bool>, EvalError> {
    let zero32 = Complex::new(0f32, 0f32);
    let zero64 = Complex::new(0f64, 0f64);
    Ok(match x.dtype() {
        DType::String => x.strings().unwrap_or_default().iter().map(|string: &Bytes| !string.is_empty()).collect(),
        DType::Complex64 => x.values::<Complex<f32>>()?.iter().map(|&value| value != zero32).collect(),
        DType::Complex128 => x.values::<Complex<f64>>()?.iter().map(|&value| value != zero64).collect(),
        dtype if dtype.is_float() => x.to_f64s()?.into_iter().map(|value| value != 0.0).collect(),
        _ => x.to_i64s()?.into_iter().map(|value| value != 0).collect(),
    })
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let places: Vec<usize> =
        is_not_zero(x)?.into_iter().enumerate().filter(|(_, found)| *found).map(|(place, _)| place).collect();
    cx.room_for(&[x.rank(), places.len()])?;
    let strides = strides(x.dims());
    let mut coordinates = Vec::with_capacity(x.rank().saturating_mul(places.len()));
    for (&extent, &stride) in x.dims().iter().zip(&strides) {
        coordinates.extend(places.iter().map(|place| (place / stride % extent) as i64));
    }
    Ok(vec![Tensor::from_values::<i64>(&[x.rank(), places.len()], coordinates)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn coordinates_stand_in_columns() {
        let node = op("NonZero").floats(&[2, 2], &[1.0, -0.0, f32::NAN, 1.0]);
        assert_eq!(node.i64s(), [0, 1, 1, 0, 0, 1]);
        assert_eq!(op("NonZero").int64s(&[], &[5]).tensor().dims(), [0, 1]);
        assert_eq!(op("NonZero").int64s(&[0, 3], &[]).tensor().dims(), [2, 0]);
    }

    #[test]
    fn the_rank_is_the_number_of_rows() {
        assert_eq!(op("NonZero").input("float[N,c]").infer(), "int64[2,?]");
        assert_eq!(op("NonZero").input("float").infer(), "int64[?,?]");
    }
}
