//! `BitwiseAnd`, `BitwiseOr`, `BitwiseXor`, `BitwiseNot`: bit by bit on whole numbers, with broadcasting.
//!
//! Operands `[s..]` of one integer type, broadcast together; output `[s..]` of the same.
//!
//! Source: ONNX operator specification, the operators of these names, opset 18.

use crate::elementwise::{combining, of_their_type, pointwise};
use crate::evaluate::elementwise::{binary, unary};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::operator::{Operator, Quantize};

const WHOLE: Quantize = Quantize::KeepsFloat("bits of whole numbers have no scale");

pub(crate) static BITWISE_AND: Operator =
    combining("BitwiseAnd", of_their_type, WHOLE, Gradient::Zero("bits of whole numbers"), |cx| bits(cx, |a, b| a & b));
pub(crate) static BITWISE_OR: Operator =
    combining("BitwiseOr", of_their_type, WHOLE, Gradient::Zero("bits of whole numbers"), |cx| bits(cx, |a, b| a | b));
pub(crate) static BITWISE_XOR: Operator =
    combining("BitwiseXor", of_their_type, WHOLE, Gradient::Zero("bits of whole numbers"), |cx| bits(cx, |a, b| a ^ b));
pub(crate) static BITWISE_NOT: Operator =
    pointwise("BitwiseNot", WHOLE, Gradient::Zero("bits of whole numbers"), |cx| {
        whole_operand(cx)?;
        unary(cx, |x| !x, |x| x)
    });

fn whole_operand(cx: &EvalCx<'_>) -> Result<(), EvalError> {
    let dtype = cx.tensor(0)?.dtype();
    if dtype.is_integer() { Ok(()) } else { Err(EvalError::invalid(format!("an operand of {dtype}"))) }
}

fn bits(cx: &EvalCx<'_>, f: impl Fn(i128, i128) -> i128) -> Result<Vec<Value>, EvalError> {
    whole_operand(cx)?;
    binary(cx, |a, b| Some(f(a, b)), |a, _| a)
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    #[test]
    fn signed_and_unsigned_bits() {
        assert_eq!(op("BitwiseAnd").int64s(&[2], &[6, -1]).int64s(&[], &[3]).i64s(), [2, 3]);
        assert_eq!(op("BitwiseXor").int64s(&[1], &[-1]).int64s(&[1], &[1]).i64s(), [-2]);
        assert_eq!(op("BitwiseNot").constant(Tensor::vector(vec![0u8, 254])).i64s(), [255, 1]);
        assert_eq!(op("BitwiseOr").floats(&[1], &[1.0]).floats(&[1], &[1.0]).fault(), "an operand of float");
    }
}
