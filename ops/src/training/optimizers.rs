//! `Adagrad`, `Adam`, `Momentum`: one step of training for any number of tensors.
//!
//! Operands: the learning rate R, the number T of steps before, then all tensors X, all gradients G, and all states of one
//! kind after the other. Outputs: all new tensors, then all new states in the same order. With `g = norm_coefficient x + G`:
//! - `Adagrad`, state h: `h' = h + g²`, `x' = x - R / (1 + T decay_factor) · g / (sqrt(h') + epsilon)`.
//! - `Adam`, states v and h: `v' = alpha v + (1 - alpha) g`, `h' = beta h + (1 - beta) g²`,
//!   `x' = (1 - norm_coefficient_post)(x - r v' / (sqrt(h') + epsilon))`, with R corrected for the first steps.
//! - `Momentum`, state v: `v' = alpha v + beta g` (beta is 1 in the first step), `x' = x - R v'`, or, by Nesterov,
//!   `x' = x - R (g + alpha v')`.
//!
//! Source: ONNX operator specification, `ai.onnx.preview.training.Adagrad`, `Adam`, `Momentum`, version 1.

use onnxpress_ir::Tensor;

use super::DOMAIN;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static ADAGRAD: Operator = sheet("Adagrad", |cx| infer(cx, 1), adagrad);
pub(crate) static ADAM: Operator = sheet("Adam", |cx| infer(cx, 2), adam);
pub(crate) static MOMENTUM: Operator = sheet("Momentum", |cx| infer(cx, 1), momentum);

const fn sheet(
    name: &'static str,
    infer: fn(&mut InferCx<'_>) -> Result<(), Undecided>,
    evaluate: fn(&EvalCx<'_>) -> Result<Vec<Value>, EvalError>,
) -> Operator {
    Operator {
        domain: DOMAIN,
        name,
        infer: Infer::With(infer),
        axes: Axes::Opaque("training graphs are not pruned"),
        evaluate: Evaluate::With(evaluate),
        linear: Linear::None("elementwise"),
        quantize: Quantize::KeepsFloat("small steps need the precision"),
        cost: Cost::None("elementwise"),
        effects: Effects::Pure,
        gradient: Gradient::NotPossible("it takes a step, and has no slope"),
    }
}

/// How many tensors there are, of which each has a gradient and so many states.
fn count(operands: usize, states: usize) -> Result<usize, Undecided> {
    match operands.checked_sub(2) {
        Some(rest) if rest % (2 + states) == 0 => Ok(rest / (2 + states)),
        _ => Err(Undecided::invalid(format!("{operands} operands for {states} states of each tensor"))),
    }
}

fn infer(cx: &mut InferCx<'_>, states: usize) -> Result<(), Undecided> {
    let count = count(cx.operand_count(), states)?;
    for kind in 0..=states {
        for at in 0..count {
            // New tensors are like the old; between those and the states stand the gradients.
            let operand = 2 + at + count * if kind == 0 { 0 } else { kind + 1 };
            cx.set(kind * count + at, cx.ty(operand).clone());
        }
    }
    Ok(())
}

/// One step: `f` is given an element, its gradient (regularized) and its states, which it moves on; it answers the new
/// element.
fn step<const STATES: usize>(
    cx: &EvalCx<'_>,
    f: impl Fn(f64, f64, &mut [f64; STATES]) -> f64,
) -> Result<Vec<Value>, EvalError> {
    let count = count(cx.inputs.len(), STATES)?;
    let norm = f64::from(cx.attrs().float_or("norm_coefficient", 0.0)?);
    let mut outputs: Vec<Vec<Value>> = vec![Vec::new(); 1 + STATES];
    for at in 0..count {
        let operand = |kind: usize| cx.tensor(2 + at + count * kind);
        let x = operand(0)?;
        let gradients = operand(1)?.to_f64s()?;
        let mut states = Vec::with_capacity(STATES);
        for state in 0..STATES {
            states.push(operand(2 + state)?.to_f64s()?);
        }
        let mut xs = x.to_f64s()?;
        if gradients.len() != xs.len() || states.iter().any(|state| state.len() != xs.len()) {
            return Err(EvalError::invalid(format!("gradients and states of {x:?}")));
        }
        for (index, x) in xs.iter_mut().enumerate() {
            let mut own = [0.0; STATES];
            own.iter_mut().zip(&states).for_each(|(own, state)| *own = state[index]);
            *x = f(*x, norm * *x + gradients[index], &mut own);
            states.iter_mut().zip(own).for_each(|(state, own)| state[index] = own);
        }
        outputs[0].push(Tensor::from_f64s(x.dtype(), x.dims(), &xs)?.into());
        for (state, values) in states.into_iter().enumerate() {
            let old = operand(2 + state)?;
            outputs[1 + state].push(Tensor::from_f64s(old.dtype(), old.dims(), &values)?.into());
        }
    }
    Ok(outputs.concat())
}

/// The learning rate and the number of steps before.
fn schedule(cx: &EvalCx<'_>) -> Result<(f64, f64), EvalError> {
    match (cx.tensor(0)?.to_f64s()?.as_slice(), cx.tensor(1)?.to_f64s()?.as_slice()) {
        (&[rate], &[steps]) => Ok((rate, steps)),
        _ => Err(EvalError::invalid("the learning rate and the number of steps are not one number each")),
    }
}

fn number(cx: &EvalCx<'_>, name: &str) -> Result<f64, EvalError> {
    Ok(f64::from(cx.attrs().float_or(name, 0.0)?))
}

fn adagrad(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (rate, steps) = schedule(cx)?;
    let (epsilon, decay) = (number(cx, "epsilon")?, number(cx, "decay_factor")?);
    let rate = rate / (1.0 + steps * decay);
    step::<1>(cx, |x, g, [h]| {
        *h += g * g;
        x - rate * g / (h.sqrt() + epsilon)
    })
}

fn adam(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (rate, steps) = schedule(cx)?;
    let (alpha, beta, epsilon) = (number(cx, "alpha")?, number(cx, "beta")?, number(cx, "epsilon")?);
    let kept = 1.0 - number(cx, "norm_coefficient_post")?;
    let corrected = (1.0 - beta.powf(steps)).sqrt() / (1.0 - alpha.powf(steps));
    let rate = if steps > 0.0 { rate * corrected } else { rate };
    step::<2>(cx, |x, g, [v, h]| {
        *v = alpha * *v + (1.0 - alpha) * g;
        *h = beta * *h + (1.0 - beta) * g * g;
        kept * (x - rate * *v / (h.sqrt() + epsilon))
    })
}

fn momentum(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (rate, steps) = schedule(cx)?;
    let (alpha, beta) = (number(cx, "alpha")?, number(cx, "beta")?);
    let beta = if steps > 0.0 { beta } else { 1.0 };
    let nesterov = match cx.attrs().string_or("mode", "standard".into())?.as_ref() {
        "standard" => false,
        "nesterov" => true,
        other => return Err(EvalError::invalid(format!("`mode` is `{other}`"))),
    };
    step::<1>(cx, |x, g, [v]| {
        *v = alpha * *v + beta * g;
        x - rate * if nesterov { g + alpha * *v } else { *v }
    })
}
