//! `ConvInteger`: a convolution of whole numbers of eight bits, in 32 bits.
//!
//! Operands: x `[n, g·i, s..]`, w `[g·o, i, k..]`, optionally their zero points, one number each, that of w also one for each
//! output channel; output `[n, g·o, t..]`. Padding counts as the zero point.
//!
//! Source: ONNX operator specification, `ConvInteger`, opset 10.

use onnxpress_ir::{DType, Tensor};

use super::convolution::{self, Convolution};
use super::quantized::{Along, centered};
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static CONV_INTEGER: Operator = Operator {
    domain: "",
    name: "ConvInteger",
    infer: Infer::With(infer),
    axes: Axes::With(|cx| {
        let zero_point = super::quantized::axes_of(cx, 3, "(g o)");
        Ok(format!("n (g i) s.., (g o) i k.., *, {zero_point} -> n (g o) t..; group=g"))
    }),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::Layers(|cx| {
        let mut layers = convolution::layers(cx, 0, 1, 0);
        layers.iter_mut().for_each(|layer| layer.bias = None);
        layers
    }),
    quantize: Quantize::Quantized,
    cost: Cost::Macs(|cx| convolution::macs(cx, 1)),
    effects: Effects::Pure,
    gradient: Gradient::Zero("whole numbers have no small changes"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let shape = convolution::output_shape(cx, 0, 1)?;
    cx.set_tensor(0, DType::Int32, shape);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (x, w) = (cx.tensor(0)?, cx.tensor(1)?);
    let convolution = Convolution::of(cx, x.dims(), w.dims())?;
    let xs = centered(cx, x, cx.optional_tensor(2)?, Along::Whole)?;
    let ws = centered(cx, w, cx.optional_tensor(3)?, Along::First)?;
    let sums: Vec<i64> = convolution.apply(&xs, &ws, None)?.into_iter().map(|sum| sum as i64).collect();
    Ok(vec![Tensor::from_i64s(DType::Int32, &convolution.output_dims(), &sums)?.into()])
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    #[test]
    fn padding_counts_as_the_zero_point() -> Result<(), onnxpress_ir::TensorError> {
        let x = Tensor::from_values(&[1, 1, 2], vec![3u8, 5])?;
        let w = Tensor::from_values(&[2, 1, 2], vec![1u8, 1, 2, 2])?;
        let conv = op("ConvInteger")
            .ints("pads", &[1, 0])
            .constant(x)
            .constant(w)
            .constant(Tensor::scalar(1u8))
            .constant(Tensor::vector(vec![0u8, 1]));
        assert_eq!(conv.i64s(), [2, 6, 2, 6]);
        assert_eq!(conv.axes(), "n (g i) s.., (g o) i k.., *, (g o) -> n (g o) t..; group=g");
        assert_eq!(op("ConvInteger").input("uint8[N,3,8]").input("int8[4,3,3]").infer(), "int32[N,4,6]");
        Ok(())
    }
}
