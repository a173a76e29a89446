//! `STFT`: the Fourier transforms of windows that slide over a signal.
//!
//! Operands: the signal `[n, t, 1 or 2]`, the step from window to window, the window `[w]`, the length of a frame. Output
//! `[n, frames, frequencies, 2]`.
//!
//! Source: ONNX operator specification, `STFT`, opset 17.

use num_complex::Complex;
use onnxpress_ir::{Dim, Shape, Tensor};

use super::fourier::Fourier;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::Parameters;

pub(crate) static STFT: Operator = Operator {
    domain: "",
    name: "STFT",
    infer: Infer::With(infer),
    axes: Axes::Spec("n _ _, *, *, * -> n _ _ _"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("its weights are fixed by the length"),
    quantize: Quantize::KeepsFloat("frequencies need the precision"),
    cost: Cost::None("no operand is a weight"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("complex numbers are no parameters here"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let node: &crate::node::NodeCx<'_> = cx;
    let entry = |index: usize| node.sole_entry(index).ok().flatten().unwrap_or_default();
    let window = node.shape(2).and_then(|window| window.first().cloned()).unwrap_or_default();
    let length = if node.has(3) { entry(3) } else { window };
    let bins = if node.attrs().int_or("onesided", 1)? != 0 { length.floor_div(2) + 1 } else { length.clone() };
    let (batch, samples) = match node.shape(0) {
        Some(signal) if signal.len() < 2 => {
            return Err(Undecided::invalid(format!("a signal {signal} without a batch")));
        }
        Some(signal) => (signal[0].clone(), signal[1].clone()),
        None => (Dim::unknown(), Dim::unknown()),
    };
    let step = entry(1);
    if step.is_positive() == Some(false) {
        return Err(Undecided::invalid(format!("a step of {step}")));
    }
    let frames = (samples - &length).floor_div(step) + 1;
    cx.set_tensor(0, cx.dtype(0), [batch, frames, bins, Dim::from(2)].into_iter().collect::<Shape>());
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let (batch, samples, parts) = match *x.dims() {
        [batch, samples] => (batch, samples, 1),
        [batch, samples, parts @ (1 | 2)] => (batch, samples, parts),
        _ => return Err(EvalError::invalid(format!("a signal {x:?}"))),
    };
    let positive = |index: usize| -> Result<Option<usize>, EvalError> {
        match cx.ints(index)?.as_deref() {
            None => Ok(None),
            Some(&[number]) if number > 0 => Ok(usize::try_from(number).ok()),
            Some(other) => Err(EvalError::invalid(format!("operand {index} is {other:?}"))),
        }
    };
    let step = positive(1)?.ok_or_else(|| EvalError::invalid("no step"))?;
    let window = cx.optional_tensor(2)?;
    if let Some(window) = window.filter(|window| window.rank() != 1) {
        return Err(EvalError::invalid(format!("a window {window:?}, which is no row")));
    }
    let window = window.map(Tensor::to_f64s).transpose()?;
    let length = positive(3)?.or(window.as_ref().map(Vec::len)).unwrap_or(samples);
    if length == 0 || length > samples {
        return Err(EvalError::invalid(format!("frames of {length} in a signal of {samples}")));
    }
    let window = window.unwrap_or_else(|| vec![1.0; length]);
    let frames = (samples - length) / step + 1;
    let onesided = cx.attrs().int_or("onesided", 1)? != 0;
    let bins = if onesided { length / 2 + 1 } else { length };
    let dims = [batch, frames, bins, 2];
    let mut result = Vec::with_capacity(cx.room_for(&dims)?);
    cx.spend((result.capacity() as u64).saturating_mul(length as u64))?;
    let values = x.to_f64s()?;
    let fourier = Fourier::of_length(length);
    for n in 0..batch {
        for frame in 0..frames {
            let signal = window.iter().enumerate().map(|(at, weight)| {
                let from = frame * step + at;
                // A window longer than the frame may reach behind the end.
                let part = |part: usize| {
                    let place = (from < samples && part < parts).then(|| (n * samples + from) * parts + part);
                    place.map_or(0.0, |place| values[place] * weight)
                };
                Complex::new(part(0), part(1))
            });
            let signal: Vec<_> = signal.collect();
            result.extend(fourier.forward(&signal, bins).into_iter().flat_map(|value| [value.re, value.im]));
        }
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &dims, &result)?.into()])
}
