//! `SwiGLU`: a gate by swish, `A * sigmoid(alpha * A) * B`.
//!
//! Operands A (the gate), B `[s..]` of one shape, without broadcasting; output `[s..]`.
//!
//! Source: ONNX operator specification, `SwiGLU`, opset 28; N. Shazeer, "GLU Variants Improve Transformer" (2020).

use super::sigmoid;
use crate::elementwise::combining;
use crate::evaluate::elementwise::binary;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Operator, Quantize};

pub(crate) static SWIGLU: Operator =
    combining("SwiGLU", infer, Quantize::Elementwise, Gradient::With(super::gradient::swiglu), evaluate);

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.set(0, cx.ty(0).merge(cx.ty(1))?);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (a, b) = (cx.tensor(0)?, cx.tensor(1)?);
    if a.dims() != b.dims() {
        return Err(EvalError::invalid(format!("a gate {:?} for values {:?}", a.dims(), b.dims())));
    }
    let alpha = f64::from(cx.attrs().float_or("alpha", 1.0)?);
    binary(cx, |_, _| None, |a, b| a * sigmoid(alpha * a) * b)
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn shapes_must_agree() {
        assert_eq!(op("SwiGLU").input("float[N,?]").input("float[?,4]").infer(), "float[N,4]");
        let wrong = op("SwiGLU").input("float[2,1]").input("float[2,4]");
        assert_eq!(wrong.infer(), "invalid: axis 1: found extent 4, expected 1");
        let gate = op("SwiGLU").float("alpha", 0.0).floats(&[1], &[3.0]).floats(&[1], &[4.0]);
        assert_eq!(gate.f32s(), [6.0]);
    }
}
