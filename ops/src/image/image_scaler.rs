//! `ImageScaler`: an image times a factor, plus a number for each channel.
//!
//! Operand `[n, c, h, w]`; output of the same type and shape. onnxruntime knows it in the standard's domain, from which it was
//! taken before the first release; converters of old models still write it.
//!
//! Source: onnxruntime, `ImageScaler`, version 1.

use onnxpress_ir::Tensor;

use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::same_as_first;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static IMAGE_SCALER: Operator = Operator {
    domain: "",
    name: "ImageScaler",
    infer: Infer::With(same_as_first),
    // The numbers of the channels are an attribute, which does not shrink with them.
    axes: Axes::Spec("n _ h w -> n _ h w"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("elementwise"),
    quantize: Quantize::Elementwise,
    cost: Cost::None("elementwise"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("Mul and Add have one"),
};

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let &[_, channels, h, w] = x.dims() else { return Err(EvalError::invalid(format!("an image {x:?}"))) };
    let scale = f64::from(cx.attrs().float_or("scale", 1.0)?);
    let bias = cx.attrs().floats("bias")?.unwrap_or_else(|| vec![0.0; channels]);
    if bias.len() != channels {
        return Err(EvalError::invalid(format!("{} numbers for {channels} channels", bias.len())));
    }
    let plane = h * w;
    let scaled = x.to_f64s()?.into_iter().enumerate();
    let scaled: Vec<f64> = scaled.map(|(at, x)| x * scale + f64::from(bias[at / plane % channels])).collect();
    Ok(vec![Tensor::from_f64s(x.dtype(), x.dims(), &scaled)?.into()])
}
