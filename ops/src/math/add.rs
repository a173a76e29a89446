//! `Add`: elementwise sum with broadcasting.
//!
//! Operands A, B `[s..]`, broadcast together; output `[s..]`.
//!
//! Source: ONNX operator specification, `Add`, opsets 1 to 14 (before 7 broadcasting was asked for by attributes, which is
//! older than what this compiler reads).

use crate::elementwise::combining;
use crate::evaluate::elementwise::binary;
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::operator::{Operator, Quantize};

pub(crate) static ADD: Operator =
    combining("Add", infer, Quantize::Elementwise, Gradient::With(super::gradient::add), |cx| {
        binary(cx, |a, b| Some(a + b), |a, b| a + b)
    });

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = infer::elementwise(cx, None)?;
    infer::elements_of_pairs(cx, dtype, |a, b| a + b);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    #[test]
    fn sums_of_sizes_stay_known() {
        let sum = op("Add").elements("int64[2]", "N 3").elements("int64[]", "1");
        assert_eq!(sum.infer(), "int64[2] = {N + 1, 4}");
        let broadcast = op("Add").input("float[N,1,4]").input("float[3,1]");
        assert_eq!(broadcast.infer(), "float[N,3,4]");
    }

    #[test]
    fn whole_numbers_wrap() {
        let bytes = |value: u8| Tensor::vector(vec![value]);
        assert_eq!(op("Add").constant(bytes(200)).constant(bytes(100)).i64s(), [44]);
        assert_eq!(op("Add").floats(&[2, 1], &[1.0, 2.0]).floats(&[2], &[10.0, 20.0]).f32s(), [11.0, 21.0, 12.0, 22.0]);
        assert_eq!(op("Add").floats(&[1], &[1.0]).int64s(&[1], &[1]).fault(), "operands of float and int64");
    }
}
