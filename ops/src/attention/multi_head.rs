//! `com.microsoft.MultiHeadAttention`: attention between projected queries, keys and values.
//!
//! Operands: query `[n, s, h·d]`, key `[n, t, h·d]` and value `[n, t, h·e]` (or, of a cache, `[n, h, t, ·]`), the bias of
//! all three `[h·(d+d+e)]`, a mask of keys (`[n]` lengths or `[n, p+t]` flags), a bias of scores that broadcasts to
//! `[n, h, s, p+t]`, past keys and values `[n, h, p, ·]`. Outputs: `[n, s, h·e]`, present keys and values, scores.
//!
//! Query may pack all three, `[n, s, h, 3, d]`, or key may pack two, `[n, t, h, 2, d]`; then shapes are inferred only.
//!
//! Source: onnxruntime, "Contrib Operators", `com.microsoft.MultiHeadAttention`, version 1.

use onnxpress_ir::{Dim, Shape, Tensor};

use super::attend::{Attend, Stage};
use super::heads::Heads;
use super::standard::{Mask, heads};
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static MULTI_HEAD_ATTENTION: Operator = Operator {
    domain: "com.microsoft",
    name: "MultiHeadAttention",
    infer: Infer::With(infer),
    axes: Axes::Opaque("the bias of all three projections has no letter for their sum"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("multiplies activations with each other"),
    quantize: Quantize::KeepsFloat("scores and probabilities are inside"),
    cost: Cost::None("multiplies activations with each other"),
    effects: Effects::Pure,
    gradient: Gradient::SpelledOut(super::spelling::multi_head),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let h = heads(&cx.attrs(), "num_heads")?.map_or_else(Dim::unknown, Dim::from);
    for port in 0..4 {
        cx.set_tensor(port, cx.dtype(0), None);
    }
    let Some(query) = cx.shape(0) else { return Ok(()) };
    let (n, s) = match &query[..] {
        [n, s, _] | [n, s, _, _, _] => (n.clone(), s.clone()),
        _ => return Err(Undecided::invalid(format!("query {query} is not of rank 3 or 5"))),
    };
    // The extents of keys: length and size; of values: features of all heads.
    let (t, d, hidden) = match (&query[..], cx.shape(1), cx.shape(2)) {
        ([_, _, h, _, d], ..) => (s.clone(), d.clone(), h * d),
        (_, Some(key), _) if key.len() == 5 => (key[1].clone(), key[4].clone(), &key[2] * &key[4]),
        (_, Some(key), Some(value)) if key.len() == 4 && value.len() == 4 => {
            (key[2].clone(), key[3].clone(), &value[1] * &value[3])
        }
        (_, Some(key), Some(value)) if key.len() == 3 && value.len() == 3 => {
            (key[1].clone(), key[2].floor_div(&h), value[2].clone())
        }
        _ => (Dim::unknown(), Dim::unknown(), Dim::unknown()),
    };
    let past = match (cx.has(6), cx.shape(6)) {
        (false, _) => Dim::from(0),
        (true, Some(past)) if past.len() == 4 => past[2].clone(),
        _ => Dim::unknown(),
    };
    // A cache that is shared between past and present has the same length in both.
    let total = if cx.has(8) { past } else { past + &t };
    let e = hidden.floor_div(&h);
    let dtype = cx.dtype(0);
    let shape = |dims: [&Dim; 4]| dims.into_iter().cloned().collect::<Shape>();
    cx.set_tensor(0, dtype, [n.clone(), s.clone(), hidden].into_iter().collect::<Shape>());
    cx.set_tensor(1, dtype, shape([&n, &h, &total, &d]));
    cx.set_tensor(2, dtype, shape([&n, &h, &total, &e]));
    cx.set_tensor(3, dtype, shape([&n, &h, &s, &total]));
    Ok(())
}

/// The heads of operand `index`, with its part of the bias.
fn biased(tensor: &Tensor, bias: Option<&[f64]>, h: usize) -> Result<Heads, EvalError> {
    let (Some(bias), 3) = (bias, tensor.rank()) else { return Heads::of(tensor, Some(h)) };
    let mut heads = Heads::of(tensor, Some(h))?;
    let (length, size) = (heads.length, heads.size);
    for (vector, values) in heads.values.chunks_exact_mut(size.max(1)).enumerate() {
        let from = vector / length % h * size;
        let bias = bias.get(from..from + size).ok_or_else(|| EvalError::invalid("the bias is too short"))?;
        values.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
    }
    Ok(heads)
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let attrs = cx.attrs();
    let h = heads(&attrs, "num_heads")?.and_then(|heads| usize::try_from(heads).ok());
    let h = h.ok_or_else(|| EvalError::invalid("no attribute `num_heads`"))?;
    let query = cx.tensor(0)?;
    let (Some(key), Some(value), 3) = (cx.optional_tensor(1)?, cx.optional_tensor(2)?, query.rank()) else {
        return Err(EvalError::unsupported("packed keys and values"));
    };
    if cx.optional(8).is_some() || cx.optional(9).is_some() {
        return Err(EvalError::unsupported("a cache shared between past and present"));
    }
    let bias = cx.optional_tensor(3)?.map(Tensor::to_f64s).transpose()?;
    let hidden = query.dims().get(2).copied().unwrap_or(0);
    let part = |from: usize| bias.as_deref().map(|bias| bias.get(from..).unwrap_or_default());
    let q = biased(query, part(0), h)?;
    let k = biased(key, part(hidden), h)?.after(cx, cx.optional_tensor(6)?)?;
    let v = biased(value, part(2 * hidden), h)?.after(cx, cx.optional_tensor(7)?)?;
    let past = k.length - if key.rank() == 4 { key.dims()[2] } else { key.dims()[1] };
    let filter = f64::from(attrs.float_or("mask_filter_value", -10000.0)?);
    let padding = Padding::of(cx.optional_tensor(4)?, [q.batch, q.length, k.length])?;
    let extra = cx.optional_tensor(5)?.map(Mask::of).transpose()?;
    if extra.as_ref().is_some_and(|mask| !mask.fits([q.batch, h, q.length, k.length])) {
        return Err(EvalError::invalid("the bias does not broadcast to the scores"));
    }
    let causal = attrs.flag("unidirectional")?;
    let bias = |n: usize, h: usize, i: usize, j: usize| {
        let ahead = causal && j > past + i;
        let added = extra.as_ref().map_or(0.0, |mask| mask.at([n, h, i, j], k.length));
        if ahead { f64::NEG_INFINITY } else { added + if padding.hides(n, i, j) { filter } else { 0.0 } }
    };
    let scale = match attrs.float_or("scale", 0.0)? {
        0.0 => 1.0 / (q.size as f64).sqrt(),
        scale => f64::from(scale),
    };
    let attend = Attend { scale, softcap: 0.0, bias: &bias, stage: Stage::Products };
    let (gathered, scores) = attend.run(cx, &q, &k, &v)?;
    let dtype = query.dtype();
    let scores = Tensor::from_f64s(dtype, &[q.batch, h, q.length, k.length], &scores)?;
    Ok(vec![gathered.packed(dtype)?.into(), k.tensor(dtype)?.into(), v.tensor(dtype)?.into(), scores.into()])
}

/// A mask of keys, as onnxruntime's operators take it.
pub(super) struct Padding {
    numbers: Vec<i64>,
    form: Form,
    lengths: [usize; 3],
}

enum Form {
    None,
    /// The number of keys of each batch.
    Lengths,
    /// The end of each batch's keys, then the beginning of each.
    EndsAndStarts,
    /// For each batch and key whether it counts.
    Keys,
    /// The same for each query.
    QueriesAndKeys,
}

impl Padding {
    /// Of a tensor, for these numbers of batches, queries and keys.
    ///
    /// # Errors
    /// Where it has another form.
    pub(super) fn of(tensor: Option<&Tensor>, lengths: [usize; 3]) -> Result<Self, EvalError> {
        let [batch, queries, keys] = lengths;
        let Some(tensor) = tensor else { return Ok(Self { numbers: Vec::new(), form: Form::None, lengths }) };
        let form = match *tensor.dims() {
            [extent] if extent == batch => Form::Lengths,
            [extent] if extent == 2 * batch => Form::EndsAndStarts,
            [n, t] if (n, t) == (batch, keys) => Form::Keys,
            [n, s, t] if (n, s, t) == (batch, queries, keys) => Form::QueriesAndKeys,
            _ => return Err(EvalError::unsupported(format!("a mask {tensor:?}"))),
        };
        Ok(Self { numbers: tensor.to_i64s()?, form, lengths })
    }

    /// Whether it hides key `j` of batch `n` from query `i`.
    pub(super) fn hides(&self, n: usize, i: usize, j: usize) -> bool {
        let [batch, queries, keys] = self.lengths;
        let at = i64::try_from(j).unwrap_or(i64::MAX);
        match self.form {
            Form::None => false,
            Form::Lengths => at >= self.numbers[n],
            Form::EndsAndStarts => at >= self.numbers[n] || at < self.numbers[batch + n],
            Form::Keys => self.numbers[n * keys + j] == 0,
            Form::QueriesAndKeys => self.numbers[(n * queries + i) * keys + j] == 0,
        }
    }
}
