//! `LpPool`: the p-norm of each window.
//!
//! Operand X `[n, c, s..]`; output `[n, c, t..]`. `ceil_mode` and `dilations` came with opset 18.
//!
//! Source: ONNX operator specification, `LpPool`, opsets 1 to 22 (before 2 p was no whole number).

use onnxpress_ir::Tensor;

use super::windowed::{self, Pooling};
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static LP_POOL: Operator = Operator {
    domain: "",
    name: "LpPool",
    infer: Infer::With(infer),
    axes: Axes::Spec("n c s.. -> n c t.."),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("a norm is no linear map"),
    quantize: Quantize::KeepsFloat("powers and roots need the range of floats"),
    cost: Cost::None("it has no weight"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("few models pool by norms"),
};

/// The exponent of the norm.
///
/// # Errors
/// Where it is not positive.
pub(super) fn exponent(cx: &EvalCx<'_>) -> Result<f64, EvalError> {
    let p = if cx.version < 2 { f64::from(cx.attrs().float_or("p", 2.0)?) } else { cx.attrs().int_or("p", 2)? as f64 };
    if p > 0.0 { Ok(p) } else { Err(EvalError::invalid(format!("`p` is {p}"))) }
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.set_tensor(0, cx.dtype(0), windowed::output_shape(cx)?);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let pooling = Pooling::of(cx, x.dims())?;
    let p = exponent(cx)?;
    let mut y = pooling.gather(&x.to_f64s()?, 0.0, |sum, _, value| *sum += value.abs().powf(p));
    y.iter_mut().for_each(|sum| *sum = sum.powf(1.0 / p));
    Ok(vec![Tensor::from_f64s(x.dtype(), &pooling.dims, &y)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn norms_of_windows() {
        let pool = |p| op("LpPool").ints("kernel_shape", &[2]).int("p", p).floats(&[1, 1, 3], &[3.0, -4.0, 0.0]);
        assert_eq!(pool(2).f32s(), [5.0, 4.0]);
        assert_eq!(pool(1).f32s(), [7.0, 4.0]);
        assert_eq!(pool(0).fault(), "`p` is 0");
    }
}
