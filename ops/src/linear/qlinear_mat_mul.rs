//! `QLinearMatMul`: a product of quantized matrices.
//!
//! Operands: a `[b.., m, k]`, its scale and zero point (one, or one for each row); b `[b.., k, n]`, its scale and zero point
//! (one, or one for each column); the scale and the zero point of y. Output `[b.., m, n]`, rounded to nearest, ties to even,
//! and cut off at the ends of its type. From opset 21 on also floats of eight bits.
//!
//! Source: ONNX operator specification, `QLinearMatMul`, opsets 10 to 21.

use onnxpress_ir::Tensor;

use super::matrix;
use super::quantized::{Along, axes_of, centered, requantize, spread};
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static QLINEAR_MAT_MUL: Operator = Operator {
    domain: "",
    name: "QLinearMatMul",
    infer: Infer::With(infer),
    axes: Axes::With(|cx| {
        let [a, b, y] = matrix::letters(cx.rank(0), cx.rank(3));
        let [a_scale, a_zero] = [1, 2].map(|index| axes_of(cx, index, "m"));
        let [b_scale, b_zero] = [4, 5].map(|index| axes_of(cx, index, "n"));
        Ok(format!("{a}, {a_scale}, {a_zero}, {b}, {b_scale}, {b_zero}, *, * -> {y}"))
    }),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::Layers(|cx| matrix::layers(cx, 0, 3)),
    quantize: Quantize::Quantized,
    cost: Cost::Macs(|cx| matrix::macs(cx, matrix::summed(cx.shape(0), cx.shape(3)))),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("it rounds"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let shape = matrix::product_shape_of(cx.shape(0), cx.shape(3))?;
    cx.set_tensor(0, cx.dtype(7), shape);
    Ok(())
}

/// What an operand's codes stand for.
fn dequantized(cx: &EvalCx<'_>, first: usize, along: Along) -> Result<Vec<f64>, EvalError> {
    let tensor = cx.tensor(first)?;
    let mut values = centered(cx, tensor, Some(cx.tensor(first + 2)?), along)?;
    let scales = spread(cx.tensor(first + 1)?, tensor.dims(), along)?;
    values.iter_mut().zip(scales).for_each(|(value, scale)| *value *= scale);
    Ok(values)
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (a, b): (&Tensor, &Tensor) = (cx.tensor(0)?, cx.tensor(3)?);
    let a_values = dequantized(cx, 0, Along::Rows)?;
    let b_values = dequantized(cx, 3, Along::Columns)?;
    let (y, dims) = matrix::product(cx, (&a_values, a.dims()), (&b_values, b.dims()))?;
    Ok(vec![requantize(&y, &dims, cx.tensor(6)?, cx.tensor(7)?)?.into()])
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    #[test]
    fn a_scale_for_each_column() -> Result<(), onnxpress_ir::TensorError> {
        let product = op("QLinearMatMul")
            .constant(Tensor::from_values(&[1, 2], vec![12u8, 8])?)
            .constant(Tensor::scalar(0.5f32))
            .constant(Tensor::scalar(10u8))
            .constant(Tensor::from_values(&[2, 2], vec![4i8, 4, 1, 3])?)
            .constant(Tensor::vector(vec![1f32, 2.0]))
            .constant(Tensor::vector(vec![0i8, 1]))
            .constant(Tensor::scalar(0.25f32))
            .constant(Tensor::scalar(-120i8));
        // [1, -1] times [[4, 6], [1, 4]] is [3, 2]; divided by 0.25 and less 120.
        assert_eq!(product.i64s(), [-108, -112]);
        assert_eq!(product.axes(), "b.. m k, , , b.. k n, n, n, *, * -> b.. m n");
        Ok(())
    }
}
