//! `LinearAttention`: attention as a recurrence on a state that maps keys to values.
//!
//! Operands, heads packed: query `[n, t, g·r·d]`, key `[n, t, g·d]`, value `[n, t, g·e]`, past state `[n, g, d, e]`, decay
//! `[n, t, g]` or `[n, t, g·d]`, beta `[n, t, g]` or `[n, t, 1]`. Outputs `[n, t, g·r·e]` and the state `[n, g, d, e]`.
//!
//! Step by step: the state shrinks by `exp(decay)` (rules `gated`, `gated_delta`); the value becomes `beta (v - Sᵀ k)` (rules
//! `delta`, `gated_delta`); then `S += k vᵀ`, and a query reads `scale · Sᵀ q`.
//!
//! Source: ONNX operator specification, `LinearAttention`, opset 27.

use onnxpress_ir::{Dim, Shape, Tensor};

use super::heads::Heads;
use super::standard::heads;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::node::{Attrs, NodeCx};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static LINEAR_ATTENTION: Operator = Operator {
    domain: "",
    name: "LinearAttention",
    infer: Infer::With(infer),
    axes: Axes::With(relation),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("multiplies activations with each other"),
    quantize: Quantize::KeepsFloat("rounding errors of the state add up from step to step"),
    cost: Cost::None("multiplies activations with each other"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("it carries a state from step to step"),
};

/// Heads of queries and of keys.
fn head_counts(attrs: &Attrs<'_>) -> Result<(i64, i64), Undecided> {
    match (heads(attrs, "q_num_heads")?, heads(attrs, "kv_num_heads")?) {
        (Some(q), Some(kv)) if q % kv == 0 => Ok((q, kv)),
        (q, kv) => Err(Undecided::invalid(format!("{q:?} heads of queries for {kv:?} of keys"))),
    }
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let (q_heads, kv_heads) = head_counts(&cx.attrs())?;
    (0..3).try_for_each(|index| cx.expect_rank(index, 3))?;
    let state_type = if cx.has(3) { cx.dtype(3) } else { cx.dtype(0) };
    let (Some(query), Some(value)) = (cx.shape(0), cx.shape(2)) else {
        cx.set_tensor(0, cx.dtype(0), None);
        cx.set_tensor(1, state_type, None);
        return Ok(());
    };
    let (d, e) = (query[2].floor_div(q_heads), value[2].floor_div(kv_heads));
    let output = [query[0].clone(), query[1].clone(), &e * q_heads];
    let state = [query[0].clone(), Dim::from(kv_heads), d, e];
    cx.set_tensor(0, cx.dtype(0), output.into_iter().collect::<Shape>());
    cx.set_tensor(1, state_type, state.into_iter().collect::<Shape>());
    Ok(())
}

fn relation(cx: &NodeCx<'_>) -> Result<String, String> {
    let (q, g) = head_counts(&cx.attrs()).map_err(|_| "the number of heads is not known here")?;
    let r = q / g;
    let (query, key, value) = (format!("n t (g:{g} r:{r} d)"), format!("n t (g:{g} d)"), format!("n t (g:{g} e)"));
    let operands = [query.as_str(), &key, &value, "n g d e", "n t _", "n t _"];
    let operands = &operands[..cx.operand_count().clamp(3, operands.len())];
    let outputs = [format!("n t (g:{g} r:{r} e)"), "n g d e".to_owned()];
    let outputs = &outputs[..cx.node.port_count().clamp(1, outputs.len())];
    Ok(format!("{} -> {}; carried t, fixed d e", operands.join(", "), outputs.join(", ")))
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let attrs = cx.attrs();
    let (q_heads, kv_heads) = head_counts(&attrs)?;
    let (q_heads, kv_heads) = (q_heads.unsigned_abs() as usize, kv_heads.unsigned_abs() as usize);
    let query = cx.tensor(0)?;
    let q = Heads::of(query, Some(q_heads))?;
    let k = Heads::of(cx.tensor(1)?, Some(kv_heads))?;
    let v = Heads::of(cx.tensor(2)?, Some(kv_heads))?;
    let (batch, steps, d, e) = (q.batch, q.length, q.size, v.size);
    if (k.batch, k.heads, k.length, k.size, v.batch, v.heads, v.length)
        != (batch, kv_heads, steps, d, batch, kv_heads, steps)
    {
        return Err(EvalError::invalid("queries, keys and values do not fit each other"));
    }
    let rule = attrs.string_or("update_rule", "gated_delta".into())?;
    let (gated, corrected) = match rule.as_ref() {
        "linear" => (false, false),
        "gated" => (true, false),
        "delta" => (false, true),
        "gated_delta" => (true, true),
        other => return Err(EvalError::invalid(format!("`update_rule` is `{other}`"))),
    };
    let decay = of_step(cx, gated, 4, [batch, steps], &[kv_heads, kv_heads * d])?;
    let beta = of_step(cx, corrected, 5, [batch, steps], &[kv_heads, 1])?;
    let state_dims = [batch, kv_heads, d, e];
    let (mut state, state_type) = match cx.optional_tensor(3)? {
        Some(past) if past.dims() == state_dims => (past.to_f64s()?, past.dtype()),
        Some(past) => return Err(EvalError::invalid(format!("a past state {past:?}"))),
        None => (vec![0.0; cx.room_for(&state_dims)?], query.dtype()),
    };
    let scale = match attrs.float_or("scale", 0.0)? {
        0.0 => 1.0 / (d as f64).sqrt(),
        scale => f64::from(scale),
    };
    let shared = q_heads / kv_heads;
    let count = cx.room_for(&[batch, q_heads, steps, e])?;
    cx.spend((count as u64).saturating_mul(3 * d as u64))?;
    let mut output = vec![0.0; count];
    for n in 0..batch {
        for g in 0..kv_heads {
            let from = (n * kv_heads + g) * d * e;
            let state = &mut state[from..from + d * e];
            for t in 0..steps {
                let key = k.row(n, g, t);
                if let Some(decay) = &decay {
                    for (at, cell) in state.iter_mut().enumerate() {
                        *cell *= decay.at(n * steps + t, g, at / e, kv_heads).exp();
                    }
                }
                let read = |state: &[f64], key: &[f64], at: usize| -> f64 {
                    key.iter().enumerate().map(|(row, key)| key * state[row * e + at]).sum()
                };
                let mut value = v.row(n, g, t).to_vec();
                if let Some(beta) = &beta {
                    let beta = beta.at(n * steps + t, g, 0, kv_heads);
                    for (at, value) in value.iter_mut().enumerate() {
                        *value = beta * (*value - read(state, key, at));
                    }
                }
                for (at, cell) in state.iter_mut().enumerate() {
                    *cell += key[at / e] * value[at % e];
                }
                for h in g * shared..(g + 1) * shared {
                    let to = ((n * q_heads + h) * steps + t) * e;
                    for at in 0..e {
                        output[to + at] = scale * read(state, q.row(n, h, t), at);
                    }
                }
            }
        }
    }
    let output = Heads { batch, heads: q_heads, length: steps, size: e, values: output };
    Ok(vec![output.packed(query.dtype())?.into(), Tensor::from_f64s(state_type, &state_dims, &state)?.into()])
}

/// A factor of each step: one number for all heads, one a head, or one a feature of a head.
struct OfStep {
    values: Vec<f64>,
    width: usize,
}

impl OfStep {
    fn at(&self, step: usize, head: usize, feature: usize, heads: usize) -> f64 {
        let within = match self.width {
            1 => 0,
            width if width == heads => head,
            width => head * (width / heads) + feature,
        };
        self.values[step * self.width + within]
    }
}

/// Operand `index`, which must be there just if `wanted`, with one of these widths.
fn of_step(
    cx: &EvalCx<'_>,
    wanted: bool,
    index: usize,
    [batch, steps]: [usize; 2],
    widths: &[usize],
) -> Result<Option<OfStep>, EvalError> {
    match cx.optional_tensor(index)? {
        None if !wanted => Ok(None),
        Some(tensor) if wanted => match *tensor.dims() {
            [n, t, width] if (n, t) == (batch, steps) && widths.contains(&width) => {
                Ok(Some(OfStep { values: tensor.to_f64s()?, width }))
            }
            _ => Err(EvalError::invalid(format!("operand {index} is {tensor:?}"))),
        },
        found => Err(EvalError::invalid(format!(
            "operand {index} is {}, against `update_rule`",
            if found.is_some() { "there" } else { "missing" }
        ))),
    }
}
