//! `QLinearGlobalAveragePool`: the mean of each channel of a quantized tensor.
//!
//! Operands: X `[n, c, s..]`, or `[n, s.., c]` if `channels_last`, with its scale and zero point, then those of the result.
//!
//! Source: onnxruntime, "Contrib Operators", `com.microsoft.QLinearGlobalAveragePool`, version 1.

use onnxpress_ir::{Dim, Shape};

use super::DOMAIN;
use super::qlinear::{codes, numbers};
use crate::axes::Axes;
use crate::evaluate::lanes::Lanes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static QLINEAR_GLOBAL_AVERAGE_POOL: Operator = Operator {
    domain: DOMAIN,
    name: "QLinearGlobalAveragePool",
    infer: Infer::With(infer),
    axes: Axes::Opaque("quantized operators are not pruned"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("its weights are fixed"),
    quantize: Quantize::Quantized,
    cost: Cost::None("no operand is a weight"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("it rounds"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let last = cx.attrs().flag("channels_last")?;
    let shape = match cx.shape(0) {
        Some(x) if x.len() < 2 => return Err(Undecided::invalid(format!("X {x} without channels"))),
        Some(x) => {
            let channel = if last { x.len() - 1 } else { 1 };
            let kept = |axis: usize| axis == 0 || axis == channel;
            Some(
                x.iter()
                    .enumerate()
                    .map(|(axis, dim)| if kept(axis) { dim.clone() } else { Dim::from(1) })
                    .collect::<Shape>(),
            )
        }
        None => None,
    };
    cx.set_tensor(0, cx.dtype(0), shape);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = numbers(cx, 0)?;
    let rank = x.rank();
    if rank < 3 {
        return Err(EvalError::invalid(format!("X {x:?} without axes to pool")));
    }
    let (from, to) = if cx.attrs().flag("channels_last")? { (1, rank - 1) } else { (2, rank) };
    let mut dims = x.dims().to_vec();
    dims[from..to].fill(1);
    cx.room_for(&dims)?;
    let means =
        Lanes::along(x.dims(), from, to).fold(&x.to_f64s()?, |lane| lane.iter().sum::<f64>() / lane.len() as f64);
    codes(cx, &means, &dims, 3)
}
