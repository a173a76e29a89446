//! `com.microsoft.Attention`: attention with the projections to queries, keys and values inside.
//!
//! Operands: X `[n, s, i]`, W `[i, h·d + h·d + h·e]`, the bias of its columns, a mask of keys, the past `[2, n, h, p, d]`, a
//! bias of scores that broadcasts to `[n, h, s, p+s]`. Outputs: `[n, s, h·e]` and the present `[2, n, h, p+s, d]`.
//!
//! Source: onnxruntime, "Contrib Operators", `com.microsoft.Attention`, version 1.

use onnxpress_ir::{Dim, Shape, Tensor};

use super::attend::{Attend, Stage};
use super::heads::Heads;
use super::multi_head::Padding;
use super::standard::{Mask, heads};
use crate::axes::Axes;
use crate::evaluate::pieces::{slice_at, stack};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::node::{Attrs, NodeCx};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, LinearLayer, Operator, Quantize, Rows};

pub(crate) static ATTENTION: Operator = Operator {
    domain: "com.microsoft",
    name: "Attention",
    infer: Infer::With(infer),
    axes: Axes::With(relation),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::Layers(layers),
    quantize: Quantize::KeepsFloat("scores and probabilities are inside"),
    cost: Cost::Macs(macs),
    effects: Effects::Pure,
    gradient: Gradient::SpelledOut(super::spelling::projected),
};

/// The columns of queries, keys and values, where the attribute gives them.
pub(super) fn hidden_sizes(attrs: &Attrs<'_>) -> Result<Option<[i64; 3]>, Undecided> {
    match attrs.ints("qkv_hidden_sizes")?.as_deref() {
        None | Some([]) => Ok(None),
        Some(&[q, k, v]) if q > 0 && q == k && v > 0 => Ok(Some([q, k, v])),
        Some(other) => Err(Undecided::invalid(format!("`qkv_hidden_sizes` is {other:?}"))),
    }
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let h = heads(&cx.attrs(), "num_heads")?.map_or_else(Dim::unknown, Dim::from);
    cx.expect_rank(0, 3)?;
    cx.set_tensor(0, cx.dtype(0), None);
    cx.set_tensor(1, cx.dtype(0), None);
    let Some(x) = cx.shape(0) else { return Ok(()) };
    let columns = cx.shape(1).filter(|w| w.len() == 2).map_or_else(Dim::unknown, |w| w[1].clone());
    let (k, v) = match hidden_sizes(&cx.attrs())? {
        Some([_, k, v]) => (Dim::from(k), Dim::from(v)),
        None => (columns.floor_div(3), columns.floor_div(3)),
    };
    cx.set_tensor(0, cx.dtype(0), [x[0].clone(), x[1].clone(), v].into_iter().collect::<Shape>());
    let shared = cx.attrs().flag("past_present_share_buffer")?;
    let total = match (cx.has(4), cx.shape(4)) {
        (false, _) => x[1].clone(),
        (true, Some(past)) if past.len() == 5 && shared => past[3].clone(),
        (true, Some(past)) if past.len() == 5 => &past[3] + &x[1],
        _ => Dim::unknown(),
    };
    let present = [Dim::from(2), x[0].clone(), h.clone(), total, k.floor_div(&h)];
    cx.set_tensor(1, cx.dtype(0), present.into_iter().collect::<Shape>());
    Ok(())
}

fn relation(cx: &NodeCx<'_>) -> Result<String, String> {
    let attrs = cx.attrs();
    let Ok(Some(h)) = heads(&attrs, "num_heads") else {
        return Err("the number of heads is not known here".to_owned());
    };
    let columns = match hidden_sizes(&attrs) {
        Ok(None) => format!("(h:{h} q)+(h:{h} k)+(h:{h} v)"),
        Ok(Some([q, k, v])) => format!("(h:{h} q:{})+(h:{h} k:{})+(h:{h} v:{})", q / h, k / h, v / h),
        Err(_) => return Err("the sizes of the projections are not known here".to_owned()),
    };
    let operands = ["n s i", &format!("i {columns}"), &columns, "*", "_ n h p _", "*", "*"];
    let keys = if cx.has(4) { "p+s" } else { "s" };
    let outputs = [format!("n s (h:{h} v)"), format!("_ n h {keys} _")];
    let operands = &operands[..cx.operand_count().clamp(2, operands.len())];
    let outputs = &outputs[..cx.node.port_count().clamp(1, outputs.len())];
    Ok(format!("{} -> {}; normalized s p, fixed q k v, num_heads=h", operands.join(", "), outputs.join(", ")))
}

fn layers(_: &NodeCx<'_>) -> Vec<LinearLayer> {
    vec![LinearLayer {
        input: 0,
        weight: 1,
        bias: Some(2),
        output_axes: vec![1],
        input_axes: vec![0],
        batch_axes: Vec::new(),
        groups: 1,
        rows: Rows::Along { input: 2, output: None },
    }]
}

fn macs(cx: &NodeCx<'_>) -> Dim {
    match (cx.shape(0), cx.shape(1)) {
        (Some(x), Some(w)) if x.len() == 3 => &x[0] * &x[1] * w.size(),
        _ => Dim::unknown(),
    }
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let attrs = cx.attrs();
    let h = heads(&attrs, "num_heads")?.and_then(|heads| usize::try_from(heads).ok());
    let h = h.ok_or_else(|| EvalError::invalid("no attribute `num_heads`"))?;
    if attrs.flag("do_rotary")? || attrs.flag("past_present_share_buffer")? {
        return Err(EvalError::unsupported("`do_rotary` or `past_present_share_buffer`"));
    }
    let (x, w) = (cx.tensor(0)?, cx.tensor(1)?);
    let ([n, s, i], [rows, columns]) = (x.dims(), w.dims()) else {
        return Err(EvalError::invalid(format!("X {x:?} and W {w:?}")));
    };
    let (n, s, i, columns) = (*n, *s, *i, *columns);
    let sizes = match hidden_sizes(&attrs)? {
        Some(sizes) => sizes.map(|size| usize::try_from(size).unwrap_or(0)),
        None => [columns / 3; 3],
    };
    if *rows != i || sizes.iter().fold(0usize, |sum, &size| sum.saturating_add(size)) != columns {
        return Err(EvalError::invalid(format!("W {w:?} for {i} features and projections {sizes:?}")));
    }
    let (xs, ws) = (x.to_f64s()?, w.to_f64s()?);
    let bias = cx.optional_tensor(2)?.map(Tensor::to_f64s).transpose()?.unwrap_or_else(|| vec![0.0; columns]);
    if bias.len() != columns {
        return Err(EvalError::invalid(format!("{} entries of bias for {columns} columns", bias.len())));
    }
    cx.spend((xs.len() as u64).saturating_mul(columns as u64))?;
    let project = |from: usize, size: usize| -> Result<Heads, EvalError> {
        let mut projected = Vec::with_capacity(cx.room_for(&[n, s, size])?);
        for row in 0..n * s {
            let x = &xs[row * i..(row + 1) * i];
            projected.extend((from..from + size).map(|column| {
                bias[column] + x.iter().enumerate().map(|(at, x)| x * ws[at * columns + column]).sum::<f64>()
            }));
        }
        Heads::of(&Tensor::from_values(&[n, s, size], projected)?, Some(h))
    };
    let past = cx.optional_tensor(4)?;
    let before = |which| past.map(|past| slice_at(past, 0, which)).transpose();
    let q = project(0, sizes[0])?;
    let k = project(sizes[0], sizes[1])?.after(cx, before(0)?.as_ref())?;
    let v = project(sizes[0] + sizes[1], sizes[2])?.after(cx, before(1)?.as_ref())?;
    let padding = Padding::of(cx.optional_tensor(3)?, [n, s, k.length])?;
    let extra = cx.optional_tensor(5)?.map(Mask::of).transpose()?;
    if extra.as_ref().is_some_and(|mask| !mask.fits([n, h, s, k.length])) {
        return Err(EvalError::invalid("the bias does not broadcast to the scores"));
    }
    let filter = f64::from(attrs.float_or("mask_filter_value", -10000.0)?);
    let causal = attrs.flag("unidirectional")?;
    let offset = k.length - s;
    let bias = |n: usize, h: usize, i: usize, j: usize| {
        let added = extra.as_ref().map_or(0.0, |mask| mask.at([n, h, i, j], k.length));
        let hidden = if padding.hides(n, i, j) { filter } else { 0.0 };
        if causal && j > offset + i { f64::NEG_INFINITY } else { added + hidden }
    };
    let scale = match attrs.float_or("scale", 0.0)? {
        0.0 => 1.0 / (q.size as f64).sqrt(),
        scale => f64::from(scale),
    };
    let attend = Attend { scale, softcap: 0.0, bias: &bias, stage: Stage::Products };
    let (gathered, _) = attend.run(cx, &q, &k, &v)?;
    let mut outputs = vec![gathered.packed(x.dtype())?.into()];
    if cx.node.port_count() > 1 {
        outputs.push(stack(cx, 0, &[k.tensor(x.dtype())?, v.tensor(x.dtype())?])?.into());
    }
    Ok(outputs)
}
