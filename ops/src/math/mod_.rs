//! `Mod`: elementwise remainder with broadcasting.
//!
//! Operands A, B `[s..]`, broadcast together; output `[s..]`. With `fmod = 0` the quotient is rounded down, so the remainder
//! has the sign of B; with `fmod = 1` toward zero, so it has that of A. A remainder of whole numbers by 0 is not defined.
//!
//! Source: ONNX operator specification, `Mod`, opsets 10 to 28 (before 28 floats asked for `fmod = 1`).

use crate::elementwise::combining;
use crate::evaluate::elementwise::binary;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::operator::{Operator, Quantize};

pub(crate) static MOD: Operator = combining(
    "Mod",
    infer,
    Quantize::KeepsFloat("it jumps where its operand is a multiple"),
    Gradient::With(super::gradient::remainder),
    evaluate,
);

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = infer::elementwise(cx, None)?;
    let truncated = cx.attrs().flag("fmod")?;
    infer::elements_of_pairs(cx, dtype, |a, b| if truncated { a - a.trunc_div(b) * b } else { a.modulo(b) });
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    if cx.attrs().flag("fmod")? {
        return binary(cx, i128::checked_rem, |a, b| a % b);
    }
    binary(
        cx,
        |a, b| {
            let rest = a.checked_rem(b)?;
            Some(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
        },
        |a, b| {
            let rest = a % b;
            match rest {
                0.0 => 0f64.copysign(b),
                _ if (rest < 0.0) != (b < 0.0) => rest + b,
                _ => rest,
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn the_remainder_has_the_sign_of_the_divisor_or_of_the_dividend() {
        let of = |fmod| op("Mod").int("fmod", fmod).int64s(&[4], &[7, -7, 7, -7]).int64s(&[4], &[3, 3, -3, -3]);
        assert_eq!(of(0).i64s(), [1, 2, -2, -1]);
        assert_eq!(of(1).i64s(), [1, -1, 1, -1]);
        let floats =
            |fmod| op("Mod").int("fmod", fmod).floats(&[2], &[-7.5, 1.0]).floats(&[2], &[2.0, f32::NEG_INFINITY]);
        assert_eq!(floats(0).f32s(), [0.5, f32::NEG_INFINITY]);
        assert_eq!(floats(1).f32s(), [-1.5, 1.0]);
    }

    #[test]
    fn a_multiple_leaves_nothing() {
        assert_eq!(op("Mod").elements("int64[2]", "8*h 13").elements("int64[]", "4").infer(), "int64[2] = {0, 1}");
    }
}
