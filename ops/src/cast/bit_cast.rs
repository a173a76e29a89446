//! `BitCast`: the same bits read as another element type of the same width.
//!
//! Operand `[s..]` of any type but strings; output `[s..]` of the type `to`.
//!
//! Source: ONNX operator specification, `BitCast`, opset 26.

use onnxpress_ir::{DType, Tensor};

use crate::elementwise::pointwise;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Infer, Operator, Quantize};

pub(crate) static BIT_CAST: Operator = Operator {
    infer: Infer::With(infer),
    ..pointwise("BitCast", Quantize::KeepsFloat("bits have no scale"), Gradient::Zero("bits have no scale"), evaluate)
};

fn check(from: DType, to: DType) -> Result<(), Undecided> {
    if from == DType::String || from.bits() != to.bits() {
        return Err(Undecided::invalid(format!("the bits of {from} are none of {to}")));
    }
    Ok(())
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let to = cx.attrs().dtype("to")?;
    if let (Some(from), Some(to)) = (cx.dtype(0), to) {
        check(from, to)?;
    }
    cx.set_tensor(0, to, cx.shape(0).cloned());
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let to = cx.attrs().dtype("to")?.ok_or_else(|| EvalError::invalid("no attribute `to`"))?;
    check(x.dtype(), to)?;
    let bytes = x.bytes().cloned().unwrap_or_default();
    Ok(vec![Tensor::from_bytes(to, x.dims(), bytes)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn bits_stay() {
        assert_eq!(op("BitCast").int("to", 6).floats(&[2], &[1.0, -0.0]).i64s(), [0x3f80_0000, i64::from(i32::MIN)]);
        assert_eq!(op("BitCast").int("to", 14).input("double[N]").infer(), "complex64[N]");
        assert_eq!(
            op("BitCast").int("to", 10).input("float[N]").infer(),
            "invalid: the bits of float are none of float16"
        );
    }
}
