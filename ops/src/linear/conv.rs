//! `Conv`: cross-correlation over any number of spatial axes, with groups.
//!
//! Operands: X `[n, g·i, s..]`, W `[g·o, i, k..]`, optionally B `[g·o]`; output `[n, g·o, t..]`.
//!
//! Source: ONNX operator specification, `Conv`, opsets 1 to 22 (types widened, meaning unchanged).

use onnxpress_ir::Tensor;

use super::convolution::{self, Convolution};
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static CONV: Operator = Operator {
    domain: "",
    name: "Conv",
    infer: Infer::With(infer),
    axes: Axes::Spec("n (g i) s.., (g o) i k.., (g o) -> n (g o) t..; group=g"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::Layers(|cx| convolution::layers(cx, 0, 1, 2)),
    quantize: Quantize::Computes,
    cost: Cost::Macs(|cx| convolution::macs(cx, 1)),
    effects: Effects::Pure,
    gradient: Gradient::With(super::convolution_gradient::conv),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = cx.dtype(0).or(cx.dtype(1));
    let shape = convolution::output_shape(cx, 0, 1)?;
    cx.set_tensor(0, dtype, shape);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (x, w) = (cx.tensor(0)?, cx.tensor(1)?);
    let convolution = Convolution::of(cx, x.dims(), w.dims())?;
    let bias = cx.optional_tensor(2)?.map(Tensor::to_f64s).transpose()?;
    let y = convolution.apply(&x.to_f64s()?, &w.to_f64s()?, bias.as_deref())?;
    Ok(vec![Tensor::from_f64s(x.dtype(), &convolution.output_dims(), &y)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn extents_follow_from_the_window() {
        let strided = op("Conv").ints("strides", &[2, 2]).ints("pads", &[1, 1, 1, 1]);
        assert_eq!(strided.input("float[N,3,2*h,2*w]").input("float[8,3,3,3]").infer(), "float[N,8,h,w]");
        assert_eq!(op("Conv").input("float").input("float[8,3,3,3]").infer(), "float[?,8,?,?]");
        let open = op("Conv").input("float[1,3,9,9]").input("float[o,3,k,3]");
        assert_eq!(open.infer(), "float[1,o,?,?]");
    }

    #[test]
    fn channels_fall_into_groups() {
        let grouped = |group| op("Conv").int("group", group).input("float[1,4,9]").input("float[6,2,3]").infer();
        assert_eq!(grouped(2), "float[1,6,7]");
        assert_eq!(grouped(1), "invalid: X has 4 channels, but W takes 1 times 2");
        assert_eq!(grouped(0), "invalid: `group` is 0");
        let kernel = op("Conv").ints("kernel_shape", &[5]).input("float[1,4,9]").input("float[6,4,3]").infer();
        assert_eq!(kernel, "invalid: `kernel_shape` is [5], but W has [3]");
    }

    #[test]
    fn sums_over_what_lies_below_the_kernel() {
        let x: Vec<f32> = (0u8..9).map(f32::from).collect();
        let conv = || op("Conv").floats(&[1, 1, 3, 3], &x).floats(&[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(conv().f32s(), [27.0, 37.0, 57.0, 67.0]);
        let padded = conv().ints("pads", &[1, 1, 0, 0]).floats(&[1], &[0.5]);
        assert_eq!(padded.f32s(), [0.5, 4.5, 11.5, 12.5, 27.5, 37.5, 30.5, 57.5, 67.5]);
        let depthwise =
            op("Conv").int("group", 2).floats(&[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]).floats(&[2, 1, 1], &[10.0, 100.0]);
        assert_eq!(depthwise.f32s(), [10.0, 20.0, 300.0, 400.0]);
    }
}
