//! `DequantizeLinear`: `y = (x - zero_point) * scale`, one scale a tensor, an index of an axis, or a block.
//!
//! Source: ONNX operator specification, `DequantizeLinear`, opsets 10 to 28: from 13 on per axis, from 21 on blocks, from
//! 23 on `output_dtype`.

use onnxpress_ir::{DType, Tensor};

use super::granularity::{Granularity, expect_scales, relation};
use super::quantize::named_dtype;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static DEQUANTIZE_LINEAR: Operator = sheet("");

/// The sheet, which is the same in the domain of onnxruntime.
pub(super) const fn sheet(domain: &'static str) -> Operator {
    Operator {
        domain,
        name: "DequantizeLinear",
        infer: Infer::With(infer),
        axes: Axes::With(relation),
        evaluate: Evaluate::With(evaluate),
        linear: Linear::None("elementwise"),
        quantize: Quantize::Quantized,
        cost: Cost::None("elementwise"),
        effects: Effects::Pure,
        gradient: Gradient::With(super::gradient::dequantize),
    }
}

/// The type of the result, given that of the scale.
fn result(named: Option<DType>, scale: Option<DType>) -> Option<DType> {
    named.or(scale.filter(|&dtype| dtype != DType::Float8e8m0))
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let named = named_dtype(&cx.attrs(), "output_dtype")?;
    let older = (cx.node.canonical_domain().is_empty() && cx.version < 19).then_some(DType::Float);
    if let (Some(x), Some(zero)) = (cx.dtype(0), cx.dtype(2))
        && x != zero
    {
        return Err(Undecided::invalid(format!("a zero point of {zero} for a tensor of {x}")));
    }
    expect_scales(cx)?;
    cx.set_tensor(0, older.or(result(named, cx.dtype(1))), cx.shape(0).cloned());
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (x, scale) = (cx.tensor(0)?, cx.tensor(1)?);
    let granularity = Granularity::of(cx, x.dims(), scale.dims())?;
    let dtype = result(named_dtype(&cx.attrs(), "output_dtype")?, Some(scale.dtype())).unwrap_or(DType::Float);
    Ok(vec![dequantize(&granularity, x, scale, cx.optional_tensor(2)?, dtype)?.into()])
}

/// The tensor in float.
///
/// # Errors
/// Where scales and zero points do not cover it, or types have no numbers.
pub(crate) fn dequantize(
    granularity: &Granularity,
    x: &Tensor,
    scale: &Tensor,
    zero_point: Option<&Tensor>,
    dtype: DType,
) -> Result<Tensor, EvalError> {
    let scales = scale.to_f64s()?;
    let zero_points = Granularity::zero_points(zero_point, scale)?;
    let values: Vec<f64> = x
        .to_f64s()?
        .into_iter()
        .enumerate()
        .map(|(index, value)| {
            let parameter = granularity.parameter(index);
            (value - zero_points[parameter]) * scales[parameter]
        })
        .collect();
    Ok(Tensor::from_f64s(dtype, x.dims(), &values)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::op;

    #[test]
    fn the_scale_tells_the_type() {
        assert_eq!(op("DequantizeLinear").input("int8[N,3]").input("float16[3]").infer(), "float16[N,3]");
        let other = op("DequantizeLinear").input("int8[N]").input("float[]").input("uint8[]");
        assert_eq!(other.infer(), "invalid: a zero point of uint8 for a tensor of int8");
    }

    #[test]
    fn every_index_of_the_axis_has_its_scale() {
        let x = Tensor::from_i64s(DType::Int4, &[2, 2], &[-8, 7, 1, 2]).unwrap();
        let zero = Tensor::from_i64s(DType::Int4, &[2], &[0, 1]).unwrap();
        let node = op("DequantizeLinear").constant(x).floats(&[2], &[0.5, 10.0]).constant(zero);
        assert_eq!(node.f32s(), [-4.0, 60.0, 0.5, 10.0]);
    }
}
