//! `Pow`: elementwise power with broadcasting.
//!
//! Operands X (the base), Y (the exponent), `[s..]`, broadcast together; output `[s..]` of the type of X. From opset 12 on the
//! types may differ and be whole; a power of whole numbers that is none is cut off, as runtimes do.
//!
//! Source: ONNX operator specification, `Pow`, opsets 1 to 15 (before 7 broadcasting was asked for by attributes).

use onnxpress_ir::Tensor;

use crate::elementwise::{CURVED, combining};
use crate::evaluate::elementwise::{broadcast_dims, zip_broadcast};
use crate::evaluate::whole::{from_wholes, to_wholes};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::operator::Operator;

pub(crate) static POW: Operator = combining("Pow", infer, CURVED, Gradient::With(super::gradient::pow), evaluate);

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let base = cx.dtype(0);
    let shape = if cx.version < 7 { cx.shape(0).cloned() } else { infer::broadcast(cx, [0, 1])? };
    cx.set_tensor(0, base, shape);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (x, y) = (cx.tensor(0)?, cx.tensor(1)?);
    let dims = broadcast_dims(cx, x.dims(), y.dims())?;
    if x.dtype().is_integer() && y.dtype().is_integer() {
        let powers = zip_broadcast(&dims, (to_wholes(x)?, x.dims()), (to_wholes(y)?, y.dims()), whole_power)?;
        return Ok(vec![from_wholes(x.dtype(), &dims, &powers)?.into()]);
    }
    let powers = zip_broadcast(&dims, (x.to_f64s()?, x.dims()), (y.to_f64s()?, y.dims()), f64::powf)?;
    Ok(vec![Tensor::from_f64s(x.dtype(), &dims, &powers)?.into()])
}

/// The power modulo 2^64, which is all that any type keeps of it.
fn whole_power(base: i128, exponent: i128) -> i128 {
    let Ok(mut exponent) = u64::try_from(exponent) else {
        // A fraction, but for 1 and -1; of 0 there is no such power, and 0 is as good as anything.
        return match base {
            1 => 1,
            -1 => 1 - 2 * (exponent & 1),
            _ => 0,
        };
    };
    let (mut square, mut power) = (base as u64, 1u64);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = power.wrapping_mul(square);
        }
        square = square.wrapping_mul(square);
        exponent >>= 1;
    }
    i128::from(power)
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn the_result_is_of_the_type_of_the_base() {
        assert_eq!(op("Pow").input("float[N,3]").input("int64[3]").infer(), "float[N,3]");
        assert_eq!(op("Pow").floats(&[2], &[2.0, -8.0]).int64s(&[], &[3]).f32s(), [8.0, -512.0]);
        assert_eq!(op("Pow").int64s(&[2], &[9, 2]).floats(&[], &[0.5]).i64s(), [3, 1]);
    }

    #[test]
    fn whole_powers() {
        let base = [2, -2, -1, 0, 3, 2];
        let exponent = [10, 3, -3, 0, 40, i64::MAX];
        assert_eq!(
            op("Pow").int64s(&[6], &base).int64s(&[6], &exponent).i64s(),
            [1024, -8, -1, 1, 12157665459056928801u64 as i64, 0]
        );
    }
}
