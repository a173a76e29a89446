//! `FlexAttention`: attention whose scores and probabilities go through subgraphs.
//!
//! Operands: Q `[n, g·r, s, d]`, K `[n, g, t, d]`, V `[n, g, t, e]`; output `[n, g·r, s, e]`. The subgraph `score_mod` is given
//! all scores `[n, g·r, s, t]` and gives as many, `prob_mod` the same for what softmax makes of them.
//!
//! Source: ONNX operator specification, `ai.onnx.preview.FlexAttention`, version 1.

use onnxpress_ir::{DType, Fact, Graph, Shape, Tensor, Type};

use super::heads::Heads;
use crate::activation::softmax;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{BodyInference, Undecided};
use crate::node::{Attrs, NodeCx};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static FLEX_ATTENTION: Operator = Operator {
    domain: "ai.onnx.preview",
    name: "FlexAttention",
    infer: Infer::Bodies(infer),
    axes: Axes::Opaque("what its subgraphs read of other heads and positions is their business"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("multiplies activations with each other"),
    quantize: Quantize::KeepsFloat("scores and probabilities are inside"),
    cost: Cost::None("multiplies activations with each other"),
    effects: Effects::OfBodies,
    gradient: Gradient::NotPossible("it runs a body"),
};

/// The type in which scores and probabilities are.
fn score_type(attrs: &Attrs<'_>, operand: Option<DType>) -> Result<Option<DType>, Undecided> {
    let named = if attrs.int_or("softmax_precision", 0)? == 0 { None } else { attrs.dtype("softmax_precision")? };
    Ok(named.or(match operand {
        Some(DType::Float16 | DType::Bfloat16) => Some(DType::Float),
        other => other,
    }))
}

fn infer(
    cx: &NodeCx<'_>,
    bodies: &mut [&mut Graph],
    inference: &mut BodyInference<'_, '_>,
) -> Result<Vec<Fact>, Undecided> {
    for index in 0..3 {
        if let Some(rank) = cx.rank(index).filter(|&rank| rank != 4) {
            return Err(Undecided::invalid(format!("operand {index} has rank {rank}, not 4")));
        }
    }
    let (scores, y) = match (cx.shape(0), cx.shape(1), cx.shape(2)) {
        (Some(q), k, v) => {
            let last = |shape: Option<&Shape>, axis: usize| shape.map(|shape| shape[axis].clone()).unwrap_or_default();
            let to = |extent| q[..3].iter().cloned().chain([extent]).collect::<Shape>();
            (Some(to(last(k, 2))), Some(to(last(v, 3))))
        }
        _ => (None, None),
    };
    let scores = Fact { ty: Type::tensor(score_type(&cx.attrs(), cx.dtype(0))?, scores), elements: None };
    for body in bodies.iter_mut() {
        inference.infer(body, std::slice::from_ref(&scores))?;
    }
    Ok(vec![Fact { ty: Type::tensor(cx.dtype(2).or(cx.dtype(0)), y), elements: None }])
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (query, value) = (cx.tensor(0)?, cx.tensor(2)?);
    let (q, k, v) = (Heads::of(query, None)?, Heads::of(cx.tensor(1)?, None)?, Heads::of(value, None)?);
    let fits = k.heads > 0
        && q.heads.is_multiple_of(k.heads)
        && (q.batch, q.size) == (k.batch, k.size)
        && (k.batch, k.heads, k.length) == (v.batch, v.heads, v.length);
    if !fits {
        return Err(EvalError::invalid("queries, keys and values do not fit each other"));
    }
    let attrs = cx.attrs();
    let dtype = score_type(&attrs, Some(query.dtype()))?.unwrap_or(DType::Float);
    let scale = attrs.float("scale")?.map_or_else(|| 1.0 / (q.size as f64).sqrt(), f64::from);
    let dims = [q.batch, q.heads, q.length, k.length];
    let count = cx.room_for(&dims)?;
    cx.spend((count as u64).saturating_mul((k.size + v.size) as u64))?;
    let shared = q.heads / k.heads;
    let mut scores = Vec::with_capacity(count);
    for (n, h, i) in places(&q) {
        let query = q.row(n, h, i);
        scores.extend(
            (0..k.length).map(|j| query.iter().zip(k.row(n, h / shared, j)).map(|(q, k)| q * k).sum::<f64>() * scale),
        );
    }
    let changed = |values: Vec<f64>, name: &str| -> Result<Vec<f64>, EvalError> {
        let Some(body) = attrs.graph(name) else { return Ok(values) };
        let given = Tensor::from_f64s(dtype, &dims, &values)?;
        let outputs = cx.bodies.run(body, vec![given.into()])?;
        match outputs.first().map(Value::as_tensor).transpose()? {
            Some(tensor) if tensor.dims() == dims => Ok(tensor.to_f64s()?),
            other => Err(EvalError::invalid(format!("`{name}` gives {other:?}, not {dims:?}"))),
        }
    };
    let mut scores = changed(scores, "score_mod")?;
    scores.chunks_exact_mut(k.length.max(1)).for_each(softmax);
    let weights = changed(scores, "prob_mod")?;
    let mut gathered = Vec::with_capacity(cx.room_for(&[q.batch, q.heads, q.length, v.size])?);
    for ((n, h, _), weights) in places(&q).zip(weights.chunks_exact(k.length.max(1))) {
        let mut sum = vec![0.0; v.size];
        for (j, weight) in weights.iter().enumerate() {
            sum.iter_mut().zip(v.row(n, h / shared, j)).for_each(|(sum, v)| *sum += weight * v);
        }
        gathered.extend(sum);
    }
    let y = Heads { batch: q.batch, heads: q.heads, length: q.length, size: v.size, values: gathered };
    Ok(vec![y.tensor(value.dtype())?.into()])
}

/// Batch, head and position of every vector, in order.
fn places(heads: &Heads) -> impl Iterator<Item = (usize, usize, usize)> {
    let (all, each) = (heads.heads, heads.length);
    (0..heads.batch).flat_map(move |n| (0..all).flat_map(move |h| (0..each).map(move |i| (n, h, i))))
}
