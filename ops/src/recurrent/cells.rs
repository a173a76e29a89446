//! `RNN`, `GRU` and `LSTM`: what one step does to the state. All else they share is in [`layer`](super::layer).
//!
//! With `x` for `W x + Wb` and `r` for `R h + Rb`, gate by gate in the order in which the weights hold them:
//! - RNN: `h' = f(x + r)`.
//! - GRU, gates z r h: `h' = (1 - z) h~ + z h` with `h~ = g(x + R (r h) + Rb)`, or, if `linear_before_reset`,
//!   `h~ = g(x + r (R h + Rb))`.
//! - LSTM, gates i o f c: `c' = f c + i g(x + r)`, `h' = o h(c')`. The gates i and f see `c`, the gate o sees `c'` through
//!   the peepholes. With `input_forget` f is `1 - i`. `clip` bounds what goes into the gates; into the function of the
//!   cell it does not, as in onnxruntime.
//!
//! Source: ONNX operator specification, `RNN`, `GRU`, `LSTM`, opsets 7 to 22 (from 14 on with `layout`).

use super::activation::Activation;
use super::layer::{self, Direction, State};
use super::spelling;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::{Gradient, SpellOut};
use crate::infer::{InferCx, Undecided};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static RNN: Operator = sheet(
    "RNN",
    |cx| layer::infer(cx, 1),
    |cx| layer::relation(cx, 1),
    |cx| layer::evaluate(cx, 1, &[Activation::Tanh], rnn),
    spelling::rnn,
);

pub(crate) static GRU: Operator = sheet(
    "GRU",
    |cx| layer::infer(cx, 3),
    |cx| layer::relation(cx, 3),
    |cx| layer::evaluate(cx, 3, &[Activation::Sigmoid, Activation::Tanh], gru),
    spelling::gru,
);

pub(crate) static LSTM: Operator = sheet(
    "LSTM",
    |cx| layer::infer(cx, 4),
    |cx| layer::relation(cx, 4),
    |cx| layer::evaluate(cx, 4, &[Activation::Sigmoid, Activation::Tanh, Activation::Tanh], lstm),
    spelling::lstm,
);

const fn sheet(
    name: &'static str,
    infer: fn(&mut InferCx<'_>) -> Result<(), Undecided>,
    axes: fn(&NodeCx<'_>) -> Result<String, String>,
    evaluate: fn(&EvalCx<'_>) -> Result<Vec<Value>, EvalError>,
    spelling: SpellOut,
) -> Operator {
    Operator {
        domain: "",
        name,
        infer: Infer::With(infer),
        axes: Axes::With(axes),
        evaluate: Evaluate::With(evaluate),
        linear: Linear::Layers(layer::layers),
        quantize: Quantize::KeepsFloat("rounding errors of the state add up from step to step"),
        cost: Cost::Macs(layer::macs),
        effects: Effects::Pure,
        gradient: Gradient::SpelledOut(spelling),
    }
}

fn rnn(_: &EvalCx<'_>, layer: &Direction<'_>, driven: &[f64], state: &mut State) -> Result<(), EvalError> {
    let recurrent = layer.recur(0, &state.h);
    state.h = driven.iter().zip(recurrent).map(|(x, r)| layer.activate(0, x + r)).collect();
    Ok(())
}

fn gru(cx: &EvalCx<'_>, layer: &Direction<'_>, driven: &[f64], state: &mut State) -> Result<(), EvalError> {
    let hidden = layer.hidden;
    let gate = |gate: usize| -> Vec<f64> {
        let recurrent = layer.recur(gate, &state.h);
        recurrent.iter().zip(&driven[gate * hidden..]).map(|(r, x)| layer.activate(0, x + r)).collect()
    };
    let (update, reset) = (gate(0), gate(1));
    let candidate: Vec<f64> = if cx.attrs().flag("linear_before_reset")? {
        layer.recur(2, &state.h).iter().zip(&reset).map(|(recurrent, reset)| reset * recurrent).collect()
    } else {
        let seen: Vec<f64> = state.h.iter().zip(&reset).map(|(h, reset)| h * reset).collect();
        layer.recur(2, &seen)
    };
    for (at, h) in state.h.iter_mut().enumerate() {
        let new = layer.activate(1, driven[2 * hidden + at] + candidate[at]);
        *h = (1.0 - update[at]) * new + update[at] * *h;
    }
    Ok(())
}

fn lstm(cx: &EvalCx<'_>, layer: &Direction<'_>, driven: &[f64], state: &mut State) -> Result<(), EvalError> {
    let hidden = layer.hidden;
    let coupled = cx.attrs().flag("input_forget")?;
    let sum_of = |gate: usize| -> Vec<f64> {
        layer.recur(gate, &state.h).iter().zip(&driven[gate * hidden..]).map(|(r, x)| r + x).collect()
    };
    let [i, o, f, g] = [0, 1, 2, 3].map(sum_of);
    for (at, c) in state.c.iter_mut().enumerate() {
        let before = *c;
        let peephole = |which: usize, c: f64| layer.peepholes[which * hidden + at] * c;
        let input = layer.activate(0, i[at] + peephole(0, before));
        let forget = if coupled { 1.0 - input } else { layer.activate(0, f[at] + peephole(2, before)) };
        *c = forget * before + input * layer.activate(1, g[at]);
        let output = layer.activate(0, o[at] + peephole(1, *c));
        state.h[at] = output * layer.activations[2].apply(*c);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn extents_follow_from_the_weights_and_the_layout() {
        let node = op("LSTM").outputs(3).string("direction", "bidirectional").input("float[T,N,8]");
        let node = node.input("float[2,16,8]").input("float[2,16,4]");
        assert_eq!(node.infer(), "float[T,2,N,4], float[2,N,4], float[2,N,4]");
        let node = op("GRU").outputs(2).int("layout", 1).int("hidden_size", 5).input("float[N,T,8]");
        assert_eq!(node.input("float").input("float").infer(), "float[N,T,1,5], float[N,1,5]");
        let node = op("RNN").int("hidden_size", 5).input("float[T,N,8]").input("float[1,4,8]").input("float[1,4,4]");
        assert_eq!(node.infer(), "invalid: operand 1 has 4 rows for 1 times 5");
    }

    #[test]
    fn a_hidden_unit_is_one_row_of_every_gate() {
        let node = op("GRU").input("float[T,N,8]").input("float[1,12,8]").input("float[1,12,4]").input("float[1,24]");
        assert_eq!(
            node.axes(),
            "t n i, d (g:3 h) i, d (g:3 h) h, d (b:2 g:3 h) -> t d n h; carried t d, fixed g b p, hidden_size=h"
        );
    }

    #[test]
    fn a_reversed_layer_starts_at_the_end_of_each_sequence() {
        // h' = x + h: sums from the end, of the first two of three steps.
        let node = op("RNN").outputs(2).string("direction", "reverse").strings("activations", &["Affine"]);
        let node = node.floats(&[3, 1, 1], &[1.0, 2.0, 4.0]).floats(&[1, 1, 1], &[1.0]).floats(&[1, 1, 1], &[1.0]);
        let node = node.omitted().constant(onnxpress_ir::Tensor::vector(vec![2i32]));
        assert_eq!(node.f32s(), [3.0, 2.0, 0.0]);
    }
}
