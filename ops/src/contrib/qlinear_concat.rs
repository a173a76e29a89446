//! `QLinearConcat`: quantized tensors brought to one scale and put one after the other.
//!
//! Operands: the scale and the zero point of the result, then each tensor with its own.
//!
//! Source: onnxruntime, "Contrib Operators", `com.microsoft.QLinearConcat`, version 1.

use onnxpress_ir::{Shape, Tensor};

use super::DOMAIN;
use super::qlinear::numbers;
use crate::axes::Axes;
use crate::evaluate::pieces::concat;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::linear::requantize;
use crate::movement::concat_shape;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static QLINEAR_CONCAT: Operator = Operator {
    domain: DOMAIN,
    name: "QLinearConcat",
    infer: Infer::With(infer),
    axes: Axes::Opaque("quantized operators are not pruned"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("moves data"),
    quantize: Quantize::Quantized,
    cost: Cost::None("moves data"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("it rounds"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.set_tensor(0, cx.dtype(1), None);
    let shapes: Vec<Option<&Shape>> = (2..cx.operand_count()).step_by(3).map(|index| cx.shape(index)).collect();
    let shape = concat_shape(&cx.attrs(), &shapes)?;
    cx.set_tensor(0, cx.dtype(1), shape);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let parts = (2..cx.inputs.len()).step_by(3).map(|index| numbers(cx, index)).collect::<Result<Vec<_>, _>>()?;
    let axis = cx.attrs().int("axis")?.ok_or_else(|| EvalError::invalid("no attribute `axis`"))?;
    let joined = concat(cx, cx.axis(axis, parts.first().map_or(0, Tensor::rank))?, &parts)?;
    let quantized = requantize(&joined.to_f64s()?, joined.dims(), cx.tensor(0)?, cx.tensor(1)?)?;
    Ok(vec![quantized.into()])
}
