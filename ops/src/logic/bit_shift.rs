//! `BitShift`: shifts the bits of whole numbers, with broadcasting.
//!
//! Operands X, Y (by how much) `[s..]` of one integer type, broadcast together; output `[s..]` of the same. From opset 28 on
//! the type may be signed; a right shift then keeps the sign. A shift by less than 0 or by the width or more leaves only
//! what fills in: copies of the sign to the right, zeros to the left.
//!
//! Source: ONNX operator specification, `BitShift`, opsets 11 to 28.

use crate::elementwise::{combining, of_their_type};
use crate::evaluate::elementwise::binary;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::operator::{Operator, Quantize};

pub(crate) static BIT_SHIFT: Operator = combining(
    "BitShift",
    of_their_type,
    Quantize::KeepsFloat("bits of whole numbers have no scale"),
    Gradient::Zero("bits of whole numbers"),
    evaluate,
);

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let dtype = cx.tensor(0)?.dtype();
    if !dtype.is_integer() {
        return Err(EvalError::invalid(format!("an operand of {dtype}")));
    }
    let within = |by: i128| u32::try_from(by).ok().filter(|&by| (by as usize) < dtype.bits());
    match cx.attrs().string("direction")?.as_deref() {
        Some("LEFT") => binary(cx, |x, by| Some(within(by).map_or(0, |by| x << by)), |x, _| x),
        Some("RIGHT") => {
            binary(cx, |x, by| Some(within(by).map_or(if x < 0 { -1 } else { 0 }, |by| x >> by)), |x, _| x)
        }
        other => Err(EvalError::invalid(format!("`direction` is `{}`, not LEFT or RIGHT", other.unwrap_or_default()))),
    }
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    #[test]
    fn what_fills_in_is_the_sign_to_the_right_and_zeros_to_the_left() {
        let shifted = |direction| {
            op("BitShift")
                .string("direction", direction)
                .constant(Tensor::vector(vec![-5i8, -5, 5, 100]))
                .constant(Tensor::vector(vec![1i8, 8, -1, 1]))
                .i64s()
        };
        assert_eq!(shifted("RIGHT"), [-3, -1, 0, 50]);
        assert_eq!(shifted("LEFT"), [-10, 0, 0, -56]);
        assert_eq!(
            op("BitShift").int64s(&[1], &[1]).int64s(&[1], &[1]).fault(),
            "`direction` is ``, not LEFT or RIGHT"
        );
    }
}
