//! `RotaryEmbedding`: turns pairs of features by angles that grow with the position.
//!
//! Operands: X `[n, h, s, d]` or packed `[n, s, h·d]`, cosines and sines `[positions, d/2]` with positions `[n, s]`, or
//! `[n, s, d/2]` without. Only the first `rotary_embedding_dim` features are turned, if that is given. Pairs are neighbours
//! if `interleaved`, else a feature of the first half and its counterpart in the second.
//!
//! The operator of onnxruntime's own domain takes the positions as operand 1; a single one is that of the first element.
//!
//! Source: ONNX operator specification, `RotaryEmbedding`, opset 23; onnxruntime, "Contrib Operators",
//! `com.microsoft.RotaryEmbedding`.

use onnxpress_ir::Tensor;

use super::heads::Heads;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::{Gradient, SpellOut};
use crate::infer::{InferCx, Undecided, same_as_first};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static ROTARY_EMBEDDING: Operator = sheet("", evaluate, super::spelling::rotary);
pub(crate) static MICROSOFT_ROTARY_EMBEDDING: Operator =
    sheet("com.microsoft", evaluate_microsoft, super::spelling::microsoft_rotary);

const fn sheet(
    domain: &'static str,
    evaluate: fn(&EvalCx<'_>) -> Result<Vec<Value>, EvalError>,
    spelling: SpellOut,
) -> Operator {
    Operator {
        domain,
        name: "RotaryEmbedding",
        infer: Infer::With(infer),
        axes: Axes::With(relation),
        evaluate: Evaluate::With(evaluate),
        linear: Linear::None("turns pairs of features"),
        quantize: Quantize::KeepsFloat("angles need the precision"),
        cost: Cost::None("elementwise"),
        effects: Effects::Pure,
        gradient: Gradient::SpelledOut(spelling),
    }
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    if let Some(rank) = cx.rank(0)
        && rank != 3
        && rank != 4
    {
        return Err(Undecided::invalid(format!("X has rank {rank}, not 3 or 4")));
    }
    same_as_first(cx)
}

fn relation(cx: &NodeCx<'_>) -> Result<String, String> {
    // Features are turned in pairs by angles of their own, so a head can go, a feature cannot.
    let x = match (cx.rank(0), cx.attrs().int_or("num_heads", 0)) {
        (Some(4), _) => "n h s _".to_owned(),
        (Some(3), Ok(heads)) if heads > 0 => format!("n s (h:{heads} d)"),
        (Some(3), _) => "n s _".to_owned(),
        _ => return Err("the rank is not known".to_owned()),
    };
    Ok(format!("{x}{} -> {x}; fixed d", ", *".repeat(cx.operand_count().saturating_sub(1))))
}

/// The cache's row for each position of each batch.
type Rows<'a> = &'a dyn Fn(usize, usize) -> Option<usize>;

fn rotate(cx: &EvalCx<'_>, cosines: &Tensor, sines: &Tensor, row: Rows<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let attrs = cx.attrs();
    let count = |name| Ok::<_, EvalError>(usize::try_from(attrs.int_or(name, 0)?).ok().filter(|&count| count > 0));
    let width = cosines.dims().last().copied().unwrap_or(0);
    let turned = count("rotary_embedding_dim")?;
    let heads = match (count("num_heads")?, x.dims()) {
        (None, [_, _, hidden]) if turned.is_none() && width > 0 => Some(hidden / width.saturating_mul(2)),
        (heads, _) => heads,
    };
    let mut x4 = Heads::of(x, heads)?;
    let turned = turned.unwrap_or(x4.size);
    let half = turned / 2;
    if turned > x4.size || !turned.is_multiple_of(2) || width != half || sines.dims() != cosines.dims() {
        return Err(EvalError::invalid(format!("angles {:?} for {turned} of {} features", cosines.dims(), x4.size)));
    }
    let interleaved = attrs.flag("interleaved")?;
    let (cosines, sines) = (cosines.to_f64s()?, sines.to_f64s()?);
    let (heads, length, size) = (x4.heads, x4.length, x4.size);
    for (vector, values) in x4.values.chunks_exact_mut(size.max(1)).enumerate() {
        let (n, t) = (vector / length / heads, vector % length);
        let row = row(n, t).map(|row| row.saturating_mul(half));
        for pair in 0..half {
            let angle = row.and_then(|row| Some((cosines.get(row + pair)?, sines.get(row + pair)?)));
            let (cos, sin) = angle.ok_or_else(|| EvalError::invalid("a position is outside of the cache"))?;
            let (a, b) = if interleaved { (2 * pair, 2 * pair + 1) } else { (pair, pair + half) };
            (values[a], values[b]) = (cos * values[a] - sin * values[b], sin * values[a] + cos * values[b]);
        }
    }
    let y = if x.rank() == 3 { x4.packed(x.dtype())? } else { x4.tensor(x.dtype())? };
    Ok(vec![y.into()])
}

/// The length of the sequences of operand 0.
fn length(x: &Tensor) -> usize {
    let axis = if x.rank() == 4 { 2 } else { 1 };
    x.dims().get(axis).copied().unwrap_or(0)
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let length = length(cx.tensor(0)?);
    let positions = cx.ints(3)?;
    let row = |n: usize, t: usize| match &positions {
        Some(positions) => positions.get(n * length + t).and_then(|&position| usize::try_from(position).ok()),
        None => Some(n * length + t),
    };
    rotate(cx, cx.tensor(1)?, cx.tensor(2)?, &row)
}

fn evaluate_microsoft(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    if cx.attrs().flag("is_packed_batching")? {
        return Err(EvalError::unsupported("`is_packed_batching`"));
    }
    let length = length(cx.tensor(0)?);
    let positions = cx.ints(1)?.unwrap_or_default();
    let row = |n: usize, t: usize| match positions.as_slice() {
        [first] => usize::try_from(*first).ok()?.checked_add(t),
        positions => positions.get(n * length + t).and_then(|&position| usize::try_from(position).ok()),
    };
    rotate(cx, cx.tensor(2)?, cx.tensor(3)?, &row)
}
