//! `QuantizeLinear`: `y = saturate(round(x / scale) + zero_point)`, one scale a tensor, an index of an axis, or a block.
//!
//! Rounding is to nearest, ties to even. The division is done in the type of the scale, or in the one that `precision`
//! names. Results of eight-bit floats are `x / scale` in that type.
//!
//! Source: ONNX operator specification, `QuantizeLinear`, opsets 10 to 28: from 13 on per axis, from 19 on float types,
//! from 21 on blocks and `output_dtype`, from 23 on `precision`.

use half::{bf16, f16};
use onnxpress_ir::tensor::{minifloat, range};
use onnxpress_ir::{DType, Tensor};

use super::granularity::{Granularity, expect_scales, relation};
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::node::Attrs;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static QUANTIZE_LINEAR: Operator = sheet("");

/// The sheet, which is the same in the domain of onnxruntime.
pub(super) const fn sheet(domain: &'static str) -> Operator {
    Operator {
        domain,
        name: "QuantizeLinear",
        infer: Infer::With(infer),
        axes: Axes::With(relation),
        evaluate: Evaluate::With(evaluate),
        linear: Linear::None("elementwise"),
        quantize: Quantize::Quantized,
        cost: Cost::None("elementwise"),
        effects: Effects::Pure,
        gradient: Gradient::With(super::gradient::quantize),
    }
}

/// The element type that an attribute names; 0 names none.
pub(super) fn named_dtype(attrs: &Attrs<'_>, name: &str) -> Result<Option<DType>, Undecided> {
    if attrs.int_or(name, 0)? == 0 { Ok(None) } else { attrs.dtype(name) }
}

/// The type of the result, as far as attributes and the zero point's type, if it is known, say it.
fn target(attrs: &Attrs<'_>, zero_point: Option<DType>) -> Result<Option<DType>, Undecided> {
    let named = named_dtype(attrs, "output_dtype")?;
    match (named, zero_point) {
        (Some(named), Some(found)) if named != found => {
            Err(Undecided::invalid(format!("a zero point of {found} for `output_dtype` {named}")))
        }
        _ => Ok(zero_point.or(named)),
    }
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = target(&cx.attrs(), cx.dtype(2))?.or((!cx.has(2)).then_some(DType::Uint8));
    expect_scales(cx)?;
    cx.set_tensor(0, dtype, cx.shape(0).cloned());
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (x, scale) = (cx.tensor(0)?, cx.tensor(1)?);
    let zero_point = cx.optional_tensor(2)?;
    let dtype = target(&cx.attrs(), zero_point.map(Tensor::dtype))?.unwrap_or(DType::Uint8);
    let precision = named_dtype(&cx.attrs(), "precision")?.unwrap_or(scale.dtype());
    let saturates = cx.attrs().int_or("saturate", 1)? != 0;
    let granularity = Granularity::of(cx, x.dims(), scale.dims())?;
    let quantized = Quantizer { dtype, precision, saturates }.quantize(&granularity, x, scale, zero_point)?;
    Ok(vec![quantized.into()])
}

/// The target of a quantization.
pub(crate) struct Quantizer {
    /// The element type of the result.
    pub dtype: DType,
    /// The float type in which the division is done.
    pub precision: DType,
    /// Whether an eight-bit float beyond the range becomes the largest one, not infinity or NaN.
    pub saturates: bool,
}

impl Quantizer {
    /// The tensor in the target's type.
    ///
    /// # Errors
    /// Where scales and zero points do not cover it, or types are none that can be quantized.
    pub(crate) fn quantize(
        &self,
        granularity: &Granularity,
        x: &Tensor,
        scale: &Tensor,
        zero_point: Option<&Tensor>,
    ) -> Result<Tensor, EvalError> {
        let scales = scale.to_f64s()?;
        let zero_points = Granularity::zero_points(zero_point, scale)?;
        let quotients = x.to_f64s()?.into_iter().enumerate().map(|(index, value)| {
            let parameter = granularity.parameter(index);
            (rounded_to(self.precision, value / scales[parameter]), zero_points[parameter])
        });
        if self.dtype.is_float() {
            let codes: Option<Vec<u8>> = quotients
                .map(|(quotient, zero)| minifloat::encode(self.dtype, quotient + zero, self.saturates))
                .collect();
            let codes = codes.ok_or_else(|| EvalError::invalid(format!("a quantized type {}", self.dtype)))?;
            return Ok(Tensor::from_codes(self.dtype, x.dims(), &codes)?);
        }
        let (low, high) = range(self.dtype);
        let values: Vec<i64> = quotients
            .map(|(quotient, zero)| {
                let rounded = quotient.round_ties_even();
                // As vector instructions have it, a NaN is the lowest number.
                if rounded.is_nan() { low } else { ((rounded + zero) as i64).clamp(low, high) }
            })
            .collect();
        Ok(Tensor::from_i64s(self.dtype, x.dims(), &values)?)
    }
}

/// The number rounded to what a float type can hold.
pub(crate) fn rounded_to(dtype: DType, value: f64) -> f64 {
    match dtype {
        DType::Double => value,
        DType::Float16 => f16::from_f64(value).to_f64(),
        DType::Bfloat16 => bf16::from_f64(value).to_f64(),
        _ => f64::from(value as f32),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::op;

    #[test]
    fn the_zero_point_or_an_attribute_tells_the_type() {
        assert_eq!(op("QuantizeLinear").input("float[N,3]").input("float[]").infer(), "uint8[N,3]");
        assert_eq!(op("QuantizeLinear").input("float[N]").input("float[]").input("int4[]").infer(), "int4[N]");
        let named = op("QuantizeLinear").int("output_dtype", DType::Int16.code());
        assert_eq!(named.input("float[N]").input("float[]").infer(), "int16[N]");
        let scales = op("QuantizeLinear").input("float[N,3]").input("float[4]");
        assert_eq!(scales.infer(), "invalid: 4 scales along an axis of extent 3");
    }

    #[test]
    fn ties_go_to_even_and_the_ends_saturate() {
        let x = [0.5, 1.5, 2.5, -1.0, 1000.0, f32::NAN];
        let node = op("QuantizeLinear").floats(&[6], &x).floats(&[], &[1.0]);
        let node = node.constant(Tensor::scalar(10u8));
        assert_eq!(node.i64s(), [10, 12, 12, 9, 255, 0]);
    }

    #[test]
    fn blocks_share_a_scale_and_the_last_may_be_short() {
        let node = op("QuantizeLinear").int("axis", 0).int("block_size", 2);
        let node = node.floats(&[3], &[4.0, 8.0, 8.0]).floats(&[2], &[2.0, 8.0]);
        assert_eq!(node.i64s(), [2, 4, 1]);
        let node = op("QuantizeLinear").int("axis", 0).int("block_size", i64::MIN).floats(&[3], &[0.0; 3]);
        assert!(node.floats(&[2], &[1.0; 2]).evaluate().is_err());
    }

    #[test]
    fn one_scale_an_index_follows_its_axis() {
        let node = op("QuantizeLinear").input("float[N,C,H]").input("float[C]").input("int8[C]");
        assert_eq!(node.axes(), "s0 s1 s2, s1, s1 -> s0 s1 s2");
    }
}
