//! `MatMulInteger`: a product of matrices of whole numbers of eight bits, in 32 bits.
//!
//! Operands A `[b.., m, k]`, B `[b.., k, n]`, as for `MatMul`; optionally their zero points: one, one for each row of A, one for
//! each column of B. Output `[b.., m, n]`.
//!
//! Source: ONNX operator specification, `MatMulInteger`, opset 10.

use onnxpress_ir::{DType, Tensor};

use super::matrix;
use super::quantized::{Along, axes_of, centered};
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static MAT_MUL_INTEGER: Operator = Operator {
    domain: "",
    name: "MatMulInteger",
    infer: Infer::With(infer),
    axes: Axes::With(|cx| {
        let [a, b, y] = matrix::letters(cx.rank(0), cx.rank(1));
        Ok(format!("{a}, {b}, {}, {} -> {y}", axes_of(cx, 2, "m"), axes_of(cx, 3, "n")))
    }),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::Layers(|cx| matrix::layers(cx, 0, 1)),
    quantize: Quantize::Quantized,
    cost: Cost::Macs(|cx| matrix::macs(cx, matrix::summed(cx.shape(0), cx.shape(1)))),
    effects: Effects::Pure,
    gradient: Gradient::Zero("whole numbers have no small changes"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let shape = matrix::product_shape_of(cx.shape(0), cx.shape(1))?;
    cx.set_tensor(0, DType::Int32, shape);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (a, b) = (cx.tensor(0)?, cx.tensor(1)?);
    let a_values = centered(cx, a, cx.optional_tensor(2)?, Along::Rows)?;
    let b_values = centered(cx, b, cx.optional_tensor(3)?, Along::Columns)?;
    let (y, dims) = matrix::product(cx, (&a_values, a.dims()), (&b_values, b.dims()))?;
    let y: Vec<i64> = y.into_iter().map(|sum| sum as i64).collect();
    Ok(vec![Tensor::from_i64s(DType::Int32, &dims, &y)?.into()])
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    #[test]
    fn rows_and_columns_have_zero_points_of_their_own() -> Result<(), onnxpress_ir::TensorError> {
        let product = op("MatMulInteger")
            .constant(Tensor::from_values(&[2, 1], vec![5u8, 7])?)
            .constant(Tensor::from_values(&[1, 2], vec![3i8, -3])?)
            .constant(Tensor::vector(vec![4u8, 5]))
            .constant(Tensor::vector(vec![1i8, 0]));
        assert_eq!(product.i64s(), [2, -3, 4, -6]);
        assert_eq!(product.axes(), "b.. m k, b.. k n, m, n -> b.. m n");
        assert_eq!(op("MatMulInteger").input("uint8[N,4]").input("int8[4,8]").infer(), "int32[N,8]");
        Ok(())
    }
}
