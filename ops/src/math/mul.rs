//! `Mul`: elementwise product with broadcasting.
//!
//! Operands A, B `[s..]`, broadcast together; output `[s..]`.
//!
//! Source: ONNX operator specification, `Mul`, opsets 1 to 14 (before 7 broadcasting was asked for by attributes).

use crate::elementwise::combining;
use crate::evaluate::elementwise::binary;
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::operator::{Operator, Quantize};

pub(crate) static MUL: Operator =
    combining("Mul", infer, Quantize::Elementwise, Gradient::With(super::gradient::mul), |cx| {
        binary(cx, |a, b| Some(a.wrapping_mul(b)), |a, b| a * b)
    });

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = infer::elementwise(cx, None)?;
    infer::elements_of_pairs(cx, dtype, |a, b| a * b);
    Ok(())
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::{DType, Tensor};

    use crate::testing::op;

    #[test]
    fn sizes_are_scaled_through_floats_where_those_are_exact() {
        assert_eq!(op("Mul").elements("float[2]", "3 16").floats(&[], &[2.0]).infer(), "float[2] = {6, 32}");
        assert_eq!(op("Mul").elements("float[1]", "3").floats(&[], &[1.5]).infer(), "float[1]", "1.5 is no size");
        let rounded = op("Mul").elements("float[1]", "16777215").floats(&[], &[3.0]);
        assert_eq!(rounded.infer(), "float[1]", "beyond 2^24 binary32 rounds");
    }

    #[test]
    fn products_of_the_widest_numbers_wrap() -> Result<(), onnxpress_ir::TensorError> {
        let widest = Tensor::vector(vec![u64::MAX]);
        assert_eq!(op("Mul").constant(widest.clone()).constant(widest).i64s(), [1]);
        let small = Tensor::from_i64s(DType::Int8, &[1], &[100])?;
        assert_eq!(op("Mul").constant(small.clone()).constant(small).i64s(), [16]);
        Ok(())
    }
}
