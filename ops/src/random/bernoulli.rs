//! `Bernoulli`: ones with given probabilities, else zeros.
//!
//! Operand (probabilities) `[s..]`; output `[s..]` of the type `dtype` (default that of the operand).
//!
//! Source: ONNX operator specification, `Bernoulli`, opsets 15 to 22.

use onnxpress_ir::Tensor;

use crate::elementwise::pointwise;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Effects, Infer, Operator, Quantize};

use super::Generator;

pub(crate) static BERNOULLI: Operator = Operator {
    infer: Infer::With(infer),
    effects: Effects::Random,
    ..pointwise(
        "Bernoulli",
        Quantize::KeepsFloat("draws random numbers"),
        Gradient::NotPossible("draws random numbers"),
        evaluate,
    )
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = cx.attrs().dtype("dtype")?.or(cx.dtype(0));
    cx.set_tensor(0, dtype, cx.shape(0).cloned());
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let dtype = cx.attrs().dtype("dtype")?.unwrap_or(x.dtype());
    let mut generator = Generator::of(cx)?;
    let values: Vec<f64> = x.to_f64s()?.into_iter().map(|p| f64::from(u8::from(generator.uniform() < p))).collect();
    Ok(vec![Tensor::from_f64s(dtype, x.dims(), &values)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn certainty_is_certain() {
        let drawn = op("Bernoulli").int("dtype", 9).floats(&[3], &[0.0, 1.0, 0.0]);
        assert_eq!(drawn.i64s(), [0, 1, 0]);
        assert_eq!(op("Bernoulli").int("dtype", 9).input("float[N]").infer(), "bool[N]");
    }
}
