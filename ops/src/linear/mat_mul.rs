//! `MatMul`: product of matrices or stacks of matrices, as NumPy's `matmul`.
//!
//! Operands A `[b.., m, k]`, B `[b.., k, n]`, stacks broadcast together; output `[b.., m, n]`. A vector has k only, and the
//! result lacks its axis.
//!
//! Source: ONNX operator specification, `MatMul`, opsets 1 to 13 (types widened, meaning unchanged).

use std::num::Wrapping;

use onnxpress_ir::Tensor;

use super::matrix;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static MAT_MUL: Operator = Operator {
    domain: "",
    name: "MatMul",
    infer: Infer::With(infer),
    axes: Axes::With(|cx| {
        let [a, b, y] = matrix::letters(cx.rank(0), cx.rank(1));
        Ok(format!("{a}, {b} -> {y}"))
    }),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::Layers(|cx| matrix::layers(cx, 0, 1)),
    quantize: Quantize::Computes,
    cost: Cost::Macs(|cx| matrix::macs(cx, matrix::summed(cx.shape(0), cx.shape(1)))),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::mat_mul),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = cx.dtype(0).or(cx.dtype(1));
    let shape = matrix::product_shape_of(cx.shape(0), cx.shape(1))?;
    cx.set_tensor(0, dtype, shape);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (a, b) = (cx.tensor(0)?, cx.tensor(1)?);
    if a.dtype() != b.dtype() {
        return Err(EvalError::invalid(format!("operands of {} and {}", a.dtype(), b.dtype())));
    }
    if a.dtype().is_float() {
        let (y, dims) = matrix::product(cx, (&a.to_f64s()?, a.dims()), (&b.to_f64s()?, b.dims()))?;
        return Ok(vec![Tensor::from_f64s(a.dtype(), &dims, &y)?.into()]);
    }
    let wrapping =
        |tensor: &Tensor| Ok::<_, EvalError>(tensor.to_i64s()?.into_iter().map(Wrapping).collect::<Vec<_>>());
    let (y, dims) = matrix::product(cx, (&wrapping(a)?, a.dims()), (&wrapping(b)?, b.dims()))?;
    let y: Vec<i64> = y.into_iter().map(|Wrapping(value)| value).collect();
    Ok(vec![Tensor::from_i64s(a.dtype(), &dims, &y)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn stacks_are_broadcast() {
        assert_eq!(op("MatMul").input("float[N,h,s,64]").input("float[N,h,64,s]").infer(), "float[N,h,s,s]");
        assert_eq!(op("MatMul").input("float[N,h,s,64]").input("float").infer(), "float");
        let y = op("MatMul").floats(&[2, 1, 2], &[1.0, 2.0, 3.0, 4.0]).floats(&[2, 2], &[1.0, 0.0, 1.0, 1.0]);
        assert_eq!(y.tensor().dims(), [2, 1, 2]);
        assert_eq!(y.f32s(), [3.0, 2.0, 7.0, 4.0]);
        assert_eq!(op("MatMul").int64s(&[2], &[2, 3]).int64s(&[2], &[10, 100]).i64s(), [320]);
        assert_eq!(op("MatMul").floats(&[2], &[0.0; 2]).floats(&[3], &[0.0; 3]).fault(), "a product of [2] and [3]");
    }

    #[test]
    fn axes_of_vectors() {
        assert_eq!(op("MatMul").input("float[k]").input("float[N,k,n]").axes(), "k, b.. k n -> b.. n");
        assert_eq!(op("MatMul").input("float").input("float[k,n]").axes(), "b.. m k, b.. k n -> b.. m n");
        assert_eq!(op("MatMul").input("float[k]").input("float[k]").axes(), "k, k -> ");
    }
}
