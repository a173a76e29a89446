//! `QLinearConv`: a convolution of quantized tensors.
//!
//! Operands: x `[n, g·i, s..]`, its scale and zero point; w `[g·o, i, k..]`, its scale and zero point (one, or one for each
//! output channel); the scale and the zero point of y; optionally B `[g·o]`, of the scale of x times that of w. Output
//! `[n, g·o, t..]`, rounded to nearest, ties to even, and cut off at the ends of its type.
//!
//! Source: ONNX operator specification, `QLinearConv`, opset 10.

use onnxpress_ir::Tensor;

use super::convolution::{self, Convolution};
use super::quantized::{Along, axes_of, centered, requantize, spread};
use crate::axes::Axes;
use crate::evaluate::lanes::volume;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static QLINEAR_CONV: Operator = sheet("", infer, evaluate);

/// The sheet; onnxruntime's own domain has a copy that knows one attribute more.
pub(crate) const fn sheet(
    domain: &'static str,
    infer: fn(&mut InferCx<'_>) -> Result<(), Undecided>,
    evaluate: fn(&EvalCx<'_>) -> Result<Vec<Value>, EvalError>,
) -> Operator {
    Operator {
        domain,
        name: "QLinearConv",
        infer: Infer::With(infer),
        axes: Axes::With(|cx| {
            let (scale, zero_point) = (axes_of(cx, 4, "(g o)"), axes_of(cx, 5, "(g o)"));
            Ok(format!("n (g i) s.., *, *, (g o) i k.., {scale}, {zero_point}, *, *, (g o) -> n (g o) t..; group=g"))
        }),
        evaluate: Evaluate::With(evaluate),
        linear: Linear::Layers(|cx| convolution::layers(cx, 0, 3, 8)),
        quantize: Quantize::Quantized,
        cost: Cost::Macs(|cx| convolution::macs(cx, 3)),
        effects: Effects::Pure,
        gradient: Gradient::NotPossible("it rounds"),
    }
}

pub(crate) fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let shape = convolution::output_shape(cx, 0, 3)?;
    cx.set_tensor(0, cx.dtype(7), shape);
    Ok(())
}

pub(crate) fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (x, w) = (cx.tensor(0)?, cx.tensor(3)?);
    let convolution = Convolution::of(cx, x.dims(), w.dims())?;
    let dims = convolution.output_dims();
    let xs = centered(cx, x, Some(cx.tensor(2)?), Along::Whole)?;
    let ws = centered(cx, w, Some(cx.tensor(5)?), Along::First)?;
    let bias = cx.optional_tensor(8)?.map(Tensor::to_f64s).transpose()?;
    // The sums are whole, so they are exact; what they are worth is one factor a channel.
    let sums = convolution.apply(&xs, &ws, bias.as_deref())?;
    cx.room_for(&dims[1..2])?;
    let weight_scales = spread(cx.tensor(4)?, &[dims[1]], Along::First)?;
    let input_scale = spread(cx.tensor(1)?, &[], Along::Whole)?[0];
    let positions = volume(&dims[2..]);
    let worth = |index: usize| input_scale * weight_scales[index / positions % dims[1]];
    let values: Vec<f64> = sums.into_iter().enumerate().map(|(index, sum)| sum * worth(index)).collect();
    Ok(vec![requantize(&values, &dims, cx.tensor(6)?, cx.tensor(7)?)?.into()])
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    #[test]
    fn channels_have_scales_of_their_own() -> Result<(), onnxpress_ir::TensorError> {
        let conv = op("QLinearConv")
            .constant(Tensor::from_values(&[1, 1, 2], vec![11u8, 9])?)
            .constant(Tensor::scalar(0.5f32))
            .constant(Tensor::scalar(10u8))
            .constant(Tensor::from_values(&[2, 1, 1], vec![4i8, 4])?)
            .constant(Tensor::vector(vec![1f32, 10.0]))
            .constant(Tensor::vector(vec![0i8, 0]))
            .constant(Tensor::scalar(4f32))
            .constant(Tensor::scalar(3u8))
            .constant(Tensor::vector(vec![3i32, 0]));
        // ((x - 10) * 4 + b) * 0.5 * scale / 4 + 3: 0.875, -0.125 and 5, -5 before the zero point; uint8 ends at 0.
        assert_eq!(conv.i64s(), [4, 3, 8, 0]);
        Ok(())
    }

    #[test]
    fn the_zero_point_gives_the_type() {
        let conv = op("QLinearConv")
            .input("uint8[N,3,8]")
            .input("float[]")
            .input("uint8[]")
            .input("int8[4,3,1]")
            .input("float[4]")
            .input("int8[4]")
            .input("float[]")
            .input("int8[]");
        assert_eq!(conv.infer(), "int8[N,4,8]");
        assert_eq!(conv.axes(), "n (g i) s.., *, *, (g o) i k.., (g o), (g o), *, *, (g o) -> n (g o) t..; group=g");
    }
}
