//! `DynamicQuantizeLinear`: quantization to eight bits without sign, with parameters that fit the data at hand.
//!
//! The range is that of the data, widened to hold 0: `scale = (max - min) / 255`, `zero_point = round(-min / scale)`.
//!
//! Source: ONNX operator specification, `DynamicQuantizeLinear`, opset 11. Where all data are 0 the scale is 1, as
//! onnxruntime has it; the specification's own formula would divide by it.

use onnxpress_ir::{DType, Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static DYNAMIC_QUANTIZE_LINEAR: Operator = Operator {
    domain: "",
    name: "DynamicQuantizeLinear",
    infer: Infer::With(infer),
    axes: Axes::Spec("s.. -> s.., , ; normalized s"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("elementwise"),
    quantize: Quantize::Quantized,
    cost: Cost::None("elementwise"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("its range follows what it quantizes"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.set_tensor(0, DType::Uint8, cx.shape(0).cloned());
    cx.set_tensor(1, DType::Float, Shape::scalar());
    cx.set_tensor(2, DType::Uint8, Shape::scalar());
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let values = x.to_f32s()?;
    let (low, high) = values.iter().fold((0f32, 0f32), |(low, high), &value| (low.min(value), high.max(value)));
    let scale = if low == high { 1.0 } else { (high - low) / 255.0 };
    let zero_point = (-low / scale).clamp(0.0, 255.0).round_ties_even();
    let quantized = values.iter().map(|value| ((value / scale).round_ties_even() + zero_point).clamp(0.0, 255.0) as u8);
    let y = Tensor::from_values(x.dims(), quantized.collect::<Vec<u8>>())?;
    Ok(vec![y.into(), Tensor::scalar(scale).into(), Tensor::scalar(zero_point as u8).into()])
}
