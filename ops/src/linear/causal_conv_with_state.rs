//! `CausalConvWithState`: a convolution along time that sees the past only, channel by channel, continued from step to step.
//!
//! Operands: input `[b, c, l]`, weight `[c, 1, k]`, optionally bias `[c]` and past_state `[b, c, k - 1]` (zeros if left out),
//! which stands before the input; outputs: output `[b, c, l]`, perhaps through the activation `silu`, and present_state, the
//! last `k - 1` elements of what was read.
//!
//! Source: ONNX operator specification, `CausalConvWithState`, opset 27.

use onnxpress_ir::{Dim, Shape, Tensor};

use super::Sliding;
use super::convolution::{self, Convolution};
use crate::activation::sigmoid;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, LinearLayer, Operator, Quantize, Rows};

pub(crate) static CAUSAL_CONV_WITH_STATE: Operator = Operator {
    domain: "",
    name: "CausalConvWithState",
    infer: Infer::With(infer),
    axes: Axes::Spec("b c _, c 1 _, c, b c _ -> b c _, b c _"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::Layers(layers),
    quantize: Quantize::Computes,
    cost: Cost::Macs(|cx| convolution::macs(cx, 1)),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("it carries a state from step to step"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    for (index, rank) in [(0, 3), (1, 3), (2, 1), (3, 3)] {
        cx.expect_rank(index, rank)?;
    }
    let dim = |index: usize, axis: usize| cx.shape(index).map_or_else(Dim::unknown, |shape| shape[axis].clone());
    let either = |a: Dim, b: Dim| if a.is_unknown() { b } else { a };
    if dim(0, 1).equals(&dim(1, 0)) == Some(false) {
        return Err(Undecided::invalid(format!("the input has {} channels, the weight {}", dim(0, 1), dim(1, 0))));
    }
    let (batch, channels) = (either(dim(0, 0), dim(3, 0)), either(dim(0, 1), dim(1, 0)));
    let output: Shape = [batch.clone(), channels.clone(), dim(0, 2)].into_iter().collect();
    let state: Shape = [batch, channels, either(dim(1, 2) - 1, dim(3, 2))].into_iter().collect();
    let dtype = (0..4).find_map(|index| cx.dtype(index));
    cx.set_tensor(0, dtype, output);
    cx.set_tensor(1, dtype, state);
    Ok(())
}

fn layers(cx: &NodeCx<'_>) -> Vec<LinearLayer> {
    let Some(channels) = cx.shape(1).and_then(|w| w.first()?.as_const()) else { return Vec::new() };
    vec![LinearLayer {
        input: 0,
        weight: 1,
        bias: Some(2),
        output_axes: vec![0],
        input_axes: vec![1, 2],
        batch_axes: Vec::new(),
        groups: channels,
        rows: Rows::Hidden("a state stands before the input"),
    }]
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (x, w) = (cx.tensor(0)?, cx.tensor(1)?);
    let (&[batch, channels, length], &[_, _, kernel]) = (x.dims(), w.dims()) else {
        return Err(EvalError::invalid(format!("an input {:?} and a weight {:?}, not of rank 3", x.dims(), w.dims())));
    };
    if w.dims()[0] != channels {
        return Err(EvalError::invalid(format!("the input has {channels} channels, the weight {}", w.dims()[0])));
    }
    let kept = kernel.checked_sub(1).ok_or_else(|| EvalError::invalid("a kernel of no elements"))?;
    let state_dims = [batch, channels, kept];
    let past = match cx.optional_tensor(3)? {
        Some(past) if past.dims() != state_dims => {
            return Err(EvalError::invalid(format!("a state {:?}, not {state_dims:?}", past.dims())));
        }
        Some(past) => past.to_f64s()?,
        None => vec![0.0; cx.room_for(&state_dims)?],
    };
    let read = [batch, channels, length.saturating_add(kept)];
    let now = x.to_f64s()?;
    let mut padded = Vec::with_capacity(cx.room_for(&read)?);
    let rows = if now.is_empty() && past.is_empty() { 0 } else { batch * channels };
    for row in 0..rows {
        padded.extend_from_slice(&past[row * kept..][..kept]);
        padded.extend_from_slice(&now[row * length..][..length]);
    }
    let present: Vec<f64> = padded.chunks_exact(read[2].max(1)).flat_map(|row| row[length..].iter().copied()).collect();
    let sliding = Sliding {
        positions: vec![length],
        extents: vec![read[2]],
        strides: vec![1],
        dilations: vec![1],
        before: vec![0],
    };
    let bias = cx.optional_tensor(2)?.map(Tensor::to_f64s).transpose()?;
    let mut y =
        Convolution::new(cx, &read, w.dims(), channels, sliding)?.apply(&padded, &w.to_f64s()?, bias.as_deref())?;
    match cx.attrs().string_or("activation", "none".into())?.as_ref() {
        "none" => {}
        "silu" | "swish" => y.iter_mut().for_each(|y| *y *= sigmoid(*y)),
        other => return Err(EvalError::invalid(format!("`activation` is `{other}`, not none, silu or swish"))),
    }
    let dtype = x.dtype();
    Ok(vec![Tensor::from_f64s(dtype, x.dims(), &y)?.into(), Tensor::from_f64s(dtype, &state_dims, &present)?.into()])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::testing::op;

    fn conv() -> crate::testing::OneNode {
        op("CausalConvWithState").outputs(2)
    }

    #[test]
    fn the_state_is_one_shorter_than_the_kernel() {
        let open = conv().input("float[b,c,l]").input("float[8,1,4]");
        assert_eq!(open.infer(), "float[b,c,l], float[b,c,3]");
        let wrong = conv().input("float[b,4,l]").input("float[8,1,4]");
        assert_eq!(wrong.infer(), "invalid: the input has 4 channels, the weight 8");
    }

    #[test]
    fn two_steps_make_one() {
        let weight = [1.0, 10.0, 100.0];
        let step = |x: &[f32], past: &[f32]| {
            let outputs = conv()
                .floats(&[1, 1, x.len()], x)
                .floats(&[1, 1, 3], &weight)
                .omitted()
                .floats(&[1, 1, 2], past)
                .evaluate()
                .unwrap();
            [0, 1].map(|index| outputs[index].as_tensor().unwrap().to_f32s().unwrap())
        };
        let whole = step(&[1.0, 2.0, 3.0], &[0.0, 0.0]);
        assert_eq!(whole, [vec![100.0, 210.0, 321.0], vec![2.0, 3.0]]);
        let [first, state] = step(&[1.0], &[0.0, 0.0]);
        let [rest, _] = step(&[2.0, 3.0], &state);
        assert_eq!([first, rest].concat(), whole[0]);
    }
}
