//! `Sub`: elementwise difference with broadcasting.
//!
//! Operands A, B `[s..]`, broadcast together; output `[s..]`.
//!
//! Source: ONNX operator specification, `Sub`, opsets 1 to 14 (before 7 broadcasting was asked for by attributes).

use crate::elementwise::combining;
use crate::evaluate::elementwise::binary;
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::operator::{Operator, Quantize};

pub(crate) static SUB: Operator =
    combining("Sub", infer, Quantize::Elementwise, Gradient::With(super::gradient::sub), |cx| {
        binary(cx, |a, b| Some(a - b), |a, b| a - b)
    });

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = infer::elementwise(cx, None)?;
    infer::elements_of_pairs(cx, dtype, |a, b| a - b);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn a_difference_of_equal_sizes_is_nothing() {
        let difference = op("Sub").elements("int64[1]", "2*N").elements("int64[2]", "N 2*N");
        assert_eq!(difference.infer(), "int64[2] = {N, 0}");
    }

    #[test]
    fn unsigned_numbers_wrap_below_zero() {
        let bytes = |value: u8| onnxpress_ir::Tensor::vector(vec![value]);
        assert_eq!(op("Sub").constant(bytes(1)).constant(bytes(2)).i64s(), [255]);
    }
}
