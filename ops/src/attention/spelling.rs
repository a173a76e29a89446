//! Attention spelled out: products, a softmax and what hides keys, as exporters of other frameworks write it.
//!
//! Hidden scores are put far below all others before the softmax, and their probabilities to 0 after it, so that a query from
//! which every key is hidden gathers nothing, as the operators have it.

use onnxpress_ir::{Attr, DType, Dim, Node, Tensor, ValueId};

use super::standard::heads;
use crate::gradient::{Expression, GradientCx, GradientError, choose, function, of};

type Spelled = Result<Vec<Option<ValueId>>, GradientError>;

/// Below all scores, and of a size that every type of floats has.
const HIDDEN: f64 = -6e4;

/// Queries, keys and values, `[n, h, length, size]`.
struct Heads {
    q: ValueId,
    k: ValueId,
    v: ValueId,
}

/// What scores go through.
struct Scores {
    scale: f64,
    softcap: f64,
    /// What is added to them.
    bias: Vec<ValueId>,
    /// Truth values: which of them count.
    visible: Vec<ValueId>,
}

/// What attention gives, `[n, h, s, e]`, and the scores on their way, as products, capped, biased, probabilities.
struct Attended {
    gathered: ValueId,
    stages: [ValueId; 4],
}

fn declined(reason: &str) -> GradientError {
    GradientError::not_possible(reason)
}

fn wide(cx: &mut GradientCx<'_, '_>, value: ValueId) -> Result<ValueId, GradientError> {
    cx.add(Node::new("Cast", 1).with(Attr::int("to", DType::Int64.code())), &[value])
}

/// `[n, length, h·d]` as `[n, h, length, d]`.
fn unpacked(cx: &mut GradientCx<'_, '_>, value: ValueId, heads: i64) -> Result<ValueId, GradientError> {
    let hidden = cx.shape(value)?.get(2).and_then(Dim::as_const);
    let size = hidden.filter(|hidden| heads > 0 && hidden % heads == 0).map(|hidden| hidden / heads);
    let size = size.ok_or_else(|| declined("the size of a head is not known"))?;
    let cut = cx.reshape(value, &[0, 0, heads, size])?;
    cx.transpose(cut, vec![0, 2, 1, 3])
}

/// `[n, h, length, d]` as `[n, length, h·d]`.
fn packed(cx: &mut GradientCx<'_, '_>, value: ValueId) -> Result<ValueId, GradientError> {
    let turned = cx.transpose(value, vec![0, 2, 1, 3])?;
    let extents = cx.extents_along(turned, &[0, 1])?;
    let rest = cx.ints([-1]);
    let extents = cx.concat(&[extents, rest])?;
    cx.apply("Reshape", &[turned, extents])
}

/// Those of the past, then these.
fn after(cx: &mut GradientCx<'_, '_>, past: Option<ValueId>, new: ValueId) -> Result<ValueId, GradientError> {
    match past {
        Some(past) => cx.add(Node::new("Concat", 1).with(Attr::int("axis", 2)), &[past, new]),
        None => Ok(new),
    }
}

/// Each head so many times, one beside the other.
fn repeated(cx: &mut GradientCx<'_, '_>, value: ValueId, times: i64) -> Result<ValueId, GradientError> {
    if times == 1 {
        return Ok(value);
    }
    let axis = cx.ints([2]);
    let apart = cx.apply("Unsqueeze", &[value, axis])?;
    let times = cx.ints([1, 1, times, 1, 1]);
    let tiled = cx.apply("Tile", &[apart, times])?;
    let (batch, last) = (cx.extents_along(value, &[0])?, cx.extents_along(value, &[2, 3])?);
    let all = cx.ints([-1]);
    let extents = cx.concat(&[batch, all, last])?;
    cx.apply("Reshape", &[tiled, extents])
}

/// How far each key is ahead of each query, `[.., s, t]`: queries stand `offset` (`[.., 1, 1]`) behind their number.
fn ahead(cx: &mut GradientCx<'_, '_>, heads: &Heads, offset: Option<ValueId>) -> Result<ValueId, GradientError> {
    let queries = cx.indices_along(heads.q, 2)?;
    let mut queries = cx.reshape(queries, &[-1, 1])?;
    if let Some(offset) = offset {
        queries = cx.apply("Add", &[queries, offset])?;
    }
    let keys = cx.indices_along(heads.k, 2)?;
    cx.apply("Sub", &[keys, queries])
}

/// How many more keys there are than queries.
fn surplus(cx: &mut GradientCx<'_, '_>, heads: &Heads) -> Result<ValueId, GradientError> {
    let (keys, queries) = (cx.extents_along(heads.k, &[2])?, cx.extents_along(heads.q, &[2])?);
    cx.apply("Sub", &[keys, queries])
}

fn attend(cx: &mut GradientCx<'_, '_>, heads: &Heads, scores: &Scores) -> Result<Attended, GradientError> {
    let keys = cx.transpose(heads.k, vec![0, 1, 3, 2])?;
    let products = cx.apply("MatMul", &[heads.q, keys])?;
    let products = cx.write(&(of(products) * scores.scale))?;
    let capped = match scores.softcap > 0.0 {
        true => cx.write(&(scores.softcap * function("Tanh", of(products) / scores.softcap)))?,
        false => products,
    };
    let mut biased = of(capped);
    for &bias in &scores.bias {
        biased = biased + bias;
    }
    let visible = scores.visible.iter().map(|&value| of(value)).reduce(Expression::and);
    if let Some(visible) = &visible {
        biased = choose(visible.clone(), biased, HIDDEN);
    }
    let biased = cx.write(&biased)?;
    let mut probabilities = cx.add(Node::new("Softmax", 1).with(Attr::int("axis", -1)), &[biased])?;
    if let Some(visible) = visible {
        probabilities = cx.write(&choose(visible, probabilities, 0.0))?;
    }
    let gathered = cx.apply("MatMul", &[probabilities, heads.v])?;
    Ok(Attended { gathered, stages: [products, capped, biased, probabilities] })
}

/// One over the root of the size of a head.
fn usual_scale(cx: &GradientCx<'_, '_>, q: ValueId) -> Result<f64, GradientError> {
    let size = cx.shape(q)?.get(3).and_then(Dim::as_const).filter(|&size| size > 0);
    let size = size.ok_or_else(|| declined("the size of a head is not known"))?;
    Ok(1.0 / (size as f64).sqrt())
}

/// The standard's `Attention`.
pub(super) fn standard(cx: &mut GradientCx<'_, '_>) -> Spelled {
    let attrs = cx.node().attrs();
    let (q_heads, kv_heads) = (heads(&attrs, "q_num_heads")?, heads(&attrs, "kv_num_heads")?);
    let (causal, stage) = (attrs.flag("is_causal")?, attrs.int_or("qk_matmul_output_mode", 0)?);
    let (left, right) = (attrs.int_or("left_window_size", -1)?, attrs.int_or("right_window_size", -1)?);
    let (scale, softcap) = (attrs.float("scale")?.map(f64::from), f64::from(attrs.float_or("softcap", 0.0)?));
    let (mask, past_k, past_v, counting) = (cx.optional(3), cx.optional(4), cx.optional(5), cx.optional(6));
    let rank = cx.rank(cx.operand(0)?)?;
    let mut given = [cx.operand(0)?, cx.operand(1)?, cx.operand(2)?];
    if rank == 3 {
        for (value, heads) in given.iter_mut().zip([q_heads, kv_heads, kv_heads]) {
            *value = unpacked(cx, *value, heads.ok_or_else(|| declined("the number of heads is not known"))?)?;
        }
    }
    let [q, k, v] = given;
    let (present_k, present_v) = (after(cx, past_k, k)?, after(cx, past_v, v)?);
    let count = |cx: &GradientCx<'_, '_>, value: ValueId| {
        cx.shape(value)?.get(1).and_then(Dim::as_const).ok_or_else(|| declined("the number of heads is not known"))
    };
    let (all, shared) = (count(cx, q)?, count(cx, k)?);
    if shared == 0 || all % shared != 0 {
        return Err(declined("heads do not fit each other"));
    }
    let keys = repeated(cx, present_k, all / shared)?;
    let values = repeated(cx, present_v, all / shared)?;
    let heads = Heads { q, k: keys, v: values };
    let mut scores =
        Scores { scale: scale.map_or_else(|| usual_scale(cx, q), Ok)?, softcap, bias: vec![], visible: vec![] };
    if let Some(mask) = mask {
        let last = |value: ValueId, axis: usize| cx.shape(value).ok().and_then(|shape| shape.get(axis).cloned());
        let extent = cx.rank(mask)?.checked_sub(1).and_then(|axis| last(mask, axis));
        let fits = match (extent, last(heads.k, 2)) {
            (Some(mask), Some(keys)) => mask.as_const() == Some(1) || mask.equals(&keys) != Some(false),
            _ => true,
        };
        if !fits {
            return Err(declined("a mask that is shorter than the keys"));
        }
        match cx.graph().ty(mask).dtype() {
            Some(DType::Bool) => scores.visible.push(mask),
            Some(dtype) if dtype.is_float() => scores.bias.push(mask),
            _ => return Err(declined("a mask of neither truth values nor floats")),
        }
    }
    if causal || left >= 0 || right >= 0 || counting.is_some() {
        let counting = match counting {
            None => None,
            Some(counting) => {
                let wide = wide(cx, counting)?;
                Some(cx.reshape(wide, &[-1, 1, 1, 1])?)
            }
        };
        let offset = match (past_k, counting) {
            (Some(past), _) => Some(cx.extents_along(past, &[2])?),
            (None, Some(counting)) => {
                let queries = cx.extents_along(q, &[2])?;
                Some(cx.apply("Sub", &[counting, queries])?)
            }
            (None, None) => None,
        };
        let ahead = ahead(cx, &heads, offset)?;
        let mut limit = |cx: &mut GradientCx<'_, '_>, op_type: &'static str, bound: i64| {
            let bound = cx.constant(Tensor::scalar(bound));
            let visible = cx.apply(op_type, &[ahead, bound])?;
            scores.visible.push(visible);
            Ok::<_, GradientError>(())
        };
        if causal {
            limit(cx, "LessOrEqual", 0)?;
        }
        if left >= 0 {
            limit(cx, "GreaterOrEqual", -left)?;
        }
        if right >= 0 {
            limit(cx, "LessOrEqual", right)?;
        }
        if let Some(counting) = counting {
            let keys = cx.indices_along(heads.k, 2)?;
            scores.visible.push(cx.apply("Less", &[keys, counting])?);
        }
    }
    let attended = attend(cx, &heads, &scores)?;
    let y = if rank == 3 { packed(cx, attended.gathered)? } else { attended.gathered };
    let stage = usize::try_from(stage).ok().and_then(|stage| attended.stages.get(stage).copied());
    Ok(vec![Some(y), Some(present_k), Some(present_v), stage])
}

/// What onnxruntime's operators hide and add, of their mask of keys, their bias of scores and their attributes.
fn masked(
    cx: &mut GradientCx<'_, '_>,
    heads: &Heads,
    [mask, bias]: [Option<ValueId>; 2],
) -> Result<Scores, GradientError> {
    let attrs = cx.node().attrs();
    let filter = f64::from(attrs.float_or("mask_filter_value", -10000.0)?);
    let causal = attrs.flag("unidirectional")?;
    let scale = match attrs.float_or("scale", 0.0)? {
        0.0 => usual_scale(cx, heads.q)?,
        scale => f64::from(scale),
    };
    let mut scores = Scores { scale, softcap: 0.0, bias: bias.into_iter().collect(), visible: vec![] };
    if let Some(mask) = mask {
        let hidden = hidden(cx, heads, mask)?;
        scores.bias.push(cx.write(&choose(of(hidden), filter, 0.0))?);
    }
    if causal {
        let offset = surplus(cx, heads)?;
        let ahead = ahead(cx, heads, Some(offset))?;
        let zero = cx.constant(Tensor::scalar(0i64));
        scores.visible.push(cx.apply("LessOrEqual", &[ahead, zero])?);
    }
    Ok(scores)
}

/// Of a mask of keys in one of its forms: which scores it hides.
fn hidden(cx: &mut GradientCx<'_, '_>, heads: &Heads, mask: ValueId) -> Result<ValueId, GradientError> {
    let (shape, batch) = (cx.shape(mask)?, cx.shape(heads.q)?.first().cloned());
    let mask = wide(cx, mask)?;
    let zero = cx.constant(Tensor::scalar(0i64));
    match shape.len() {
        1 if batch.is_some_and(|batch| shape[0].equals(&batch) == Some(true)) => {
            let lengths = cx.reshape(mask, &[-1, 1, 1, 1])?;
            let keys = cx.indices_along(heads.k, 2)?;
            cx.apply("GreaterOrEqual", &[keys, lengths])
        }
        2 => {
            let axes = cx.ints([1, 2]);
            let flags = cx.apply("Unsqueeze", &[mask, axes])?;
            cx.apply("Equal", &[flags, zero])
        }
        3 => {
            let axes = cx.ints([1]);
            let flags = cx.apply("Unsqueeze", &[mask, axes])?;
            cx.apply("Equal", &[flags, zero])
        }
        _ => Err(declined("a mask of this form")),
    }
}

/// onnxruntime's `MultiHeadAttention`.
pub(super) fn multi_head(cx: &mut GradientCx<'_, '_>) -> Spelled {
    let count = heads(&cx.node().attrs(), "num_heads")?.ok_or_else(|| declined("the number of heads is not known"))?;
    let (query, key, value) = (cx.operand(0)?, cx.optional(1), cx.optional(2));
    let (Some(key), Some(value), 3) = (key, value, cx.rank(query)?) else {
        return Err(declined("packed keys and values"));
    };
    if cx.optional(8).is_some() || cx.optional(9).is_some() {
        return Err(declined("a cache shared between past and present"));
    }
    let (mask, bias, past_k, past_v) = (cx.optional(4), cx.optional(5), cx.optional(6), cx.optional(7));
    let mut biases = [None; 3];
    if let Some(all) = cx.optional(3) {
        let width = |value: ValueId| cx.shape(value).ok().and_then(|shape| shape.last().and_then(Dim::as_const));
        // Keys are as wide as queries, and heads of a cache come without a bias.
        let last = width(value).filter(|_| cx.rank(value).is_ok_and(|rank| rank == 3));
        let (Some(q), Some(all_of_it)) = (width(query), width(all)) else {
            return Err(declined("the sizes of the projections are not known"));
        };
        let sizes = cx.ints([q, q, last.unwrap_or(all_of_it - 2 * q)]);
        let split = cx.add_node(Node::new("Split", 3).with(Attr::int("axis", 0)), &[Some(all), Some(sizes)])?;
        biases = [0, 1, 2].map(|port| Some(split.port(port)));
    }
    let mut made = Vec::new();
    for (value, bias) in [query, key, value].into_iter().zip(biases) {
        made.push(match (cx.rank(value)?, bias) {
            (3, Some(bias)) => {
                let biased = cx.apply("Add", &[value, bias])?;
                unpacked(cx, biased, count)?
            }
            (3, None) => unpacked(cx, value, count)?,
            _ => value,
        });
    }
    let (k, v) = (after(cx, past_k, made[1])?, after(cx, past_v, made[2])?);
    let heads = Heads { q: made[0], k, v };
    let scores = masked(cx, &heads, [mask, bias])?;
    let attended = attend(cx, &heads, &scores)?;
    Ok(vec![Some(packed(cx, attended.gathered)?), Some(k), Some(v), Some(attended.stages[0])])
}

/// onnxruntime's `Attention`, with the projections inside.
pub(super) fn projected(cx: &mut GradientCx<'_, '_>) -> Spelled {
    let attrs = cx.node().attrs();
    let count = heads(&attrs, "num_heads")?.ok_or_else(|| declined("the number of heads is not known"))?;
    if attrs.flag("do_rotary")? || attrs.flag("past_present_share_buffer")? {
        return Err(declined("`do_rotary` or `past_present_share_buffer`"));
    }
    let (x, weight) = (cx.operand(0)?, cx.operand(1)?);
    let (mask, past, bias) = (cx.optional(3), cx.optional(4), cx.optional(5));
    let columns = cx.shape(weight)?.get(1).and_then(Dim::as_const);
    let sizes = match (super::projected::hidden_sizes(&attrs)?, columns) {
        (Some(sizes), _) => sizes,
        (None, Some(columns)) => [columns / 3; 3],
        (None, None) => return Err(declined("the sizes of the projections are not known")),
    };
    let mut all = cx.apply("MatMul", &[x, weight])?;
    if let Some(bias) = cx.optional(2) {
        all = cx.apply("Add", &[all, bias])?;
    }
    let sizes = cx.ints(sizes);
    let split = cx.add_node(Node::new("Split", 3).with(Attr::int("axis", 2)), &[Some(all), Some(sizes)])?;
    let mut made = Vec::new();
    for port in 0..3 {
        made.push(unpacked(cx, split.port(port), count)?);
    }
    let before = |cx: &mut GradientCx<'_, '_>, which: i64| match past {
        None => Ok(None),
        Some(past) => {
            let which = cx.constant(Tensor::scalar(which));
            cx.apply("Gather", &[past, which]).map(Some)
        }
    };
    let (past_k, past_v) = (before(cx, 0)?, before(cx, 1)?);
    let (k, v) = (after(cx, past_k, made[1])?, after(cx, past_v, made[2])?);
    let heads = Heads { q: made[0], k, v };
    let scores = masked(cx, &heads, [mask, bias])?;
    let attended = attend(cx, &heads, &scores)?;
    let mut results = vec![Some(packed(cx, attended.gathered)?)];
    if cx.node().node.port_count() > 1 {
        let axis = cx.ints([0]);
        let (k, v) = (cx.apply("Unsqueeze", &[k, axis])?, cx.apply("Unsqueeze", &[v, axis])?);
        results.push(Some(cx.add(Node::new("Concat", 1).with(Attr::int("axis", 0)), &[k, v])?));
    }
    Ok(results)
}

/// Pairs of features turned; `angles` are cosines and sines, `[n, s, d/2]` or what broadcasts to it.
fn turned(cx: &mut GradientCx<'_, '_>, [cosines, sines]: [ValueId; 2]) -> Spelled {
    let attrs = cx.node().attrs();
    let positive = |name: &str| Ok::<_, GradientError>(Some(attrs.int_or(name, 0)?).filter(|&count| count > 0));
    let (turned, count, interleaved) =
        (positive("rotary_embedding_dim")?, positive("num_heads")?, attrs.flag("interleaved")?);
    let x = cx.operand(0)?;
    let unknown = || declined("the size of a head is not known");
    let half = cx.shape(cosines)?.last().and_then(Dim::as_const).filter(|&half| half > 0).ok_or_else(unknown)?;
    let packed_heads = cx.rank(x)? == 3;
    let heads = if packed_heads {
        let hidden = cx.shape(x)?.get(2).and_then(Dim::as_const).ok_or_else(unknown)?;
        let count = match (count, turned) {
            (None, None) => hidden / (2 * half),
            (count, _) => count.ok_or_else(|| declined("the number of heads is not known"))?,
        };
        unpacked(cx, x, count)?
    } else {
        x
    };
    let size = cx.shape(heads)?.get(3).and_then(Dim::as_const).ok_or_else(unknown)?;
    if turned.unwrap_or(size) != 2 * half || size < 2 * half {
        return Err(declined("angles for another number of features"));
    }
    // One turn for all heads.
    let axis = cx.ints([1]);
    let (cosines, sines) = (cx.apply("Unsqueeze", &[cosines, axis])?, cx.apply("Unsqueeze", &[sines, axis])?);
    let (mut moved, mut rest) = (heads, None);
    if size > 2 * half {
        let sizes = cx.ints([2 * half, size - 2 * half]);
        let split = cx.add_node(Node::new("Split", 2).with(Attr::int("axis", -1)), &[Some(heads), Some(sizes)])?;
        (moved, rest) = (split.port(0), Some(split.port(1)));
    }
    let join = |cx: &mut GradientCx<'_, '_>, values: &[ValueId]| {
        cx.add(Node::new("Concat", 1).with(Attr::int("axis", -1)), values)
    };
    let pairs = if interleaved { [half, 2] } else { [2, half] };
    let [n, h, s] = [0, 0, 0];
    let cut = cx.reshape(moved, &[n, h, s, pairs[0], pairs[1]])?;
    let axis = if interleaved { 4 } else { 3 };
    let part = |cx: &mut GradientCx<'_, '_>, which: i64| {
        let which = cx.constant(Tensor::scalar(which));
        cx.add(Node::new("Gather", 1).with(Attr::int("axis", axis)), &[cut, which])
    };
    let (a, b) = (of(part(cx, 0)?), of(part(cx, 1)?));
    let first = cx.write(&(of(cosines) * a.clone() - of(sines) * b.clone()))?;
    let second = cx.write(&(of(sines) * a + of(cosines) * b))?;
    let mut y = if interleaved {
        let last = cx.ints([-1]);
        let (first, second) = (cx.apply("Unsqueeze", &[first, last])?, cx.apply("Unsqueeze", &[second, last])?);
        let pairs = join(cx, &[first, second])?;
        cx.reshape(pairs, &[0, 0, 0, 2 * half])?
    } else {
        join(cx, &[first, second])?
    };
    if let Some(rest) = rest {
        y = join(cx, &[y, rest])?;
    }
    Ok(vec![Some(if packed_heads { packed(cx, y)? } else { y })])
}

/// The standard's `RotaryEmbedding`.
pub(super) fn rotary(cx: &mut GradientCx<'_, '_>) -> Spelled {
    let (cosines, sines) = (cx.operand(1)?, cx.operand(2)?);
    let angles = match cx.optional(3) {
        None => [cosines, sines],
        Some(positions) => [cx.apply("Gather", &[cosines, positions])?, cx.apply("Gather", &[sines, positions])?],
    };
    turned(cx, angles)
}

/// onnxruntime's `RotaryEmbedding`: a single position is that of the first element.
pub(super) fn microsoft_rotary(cx: &mut GradientCx<'_, '_>) -> Spelled {
    if cx.node().attrs().flag("is_packed_batching")? {
        return Err(declined("`is_packed_batching`"));
    }
    let (x, mut positions) = (cx.operand(0)?, cx.operand(1)?);
    if cx.rank(positions)? == 1 {
        let axis = if cx.rank(x)? == 4 { 2 } else { 1 };
        let steps = cx.indices_along(x, axis)?;
        let along = cx.apply("Add", &[positions, steps])?;
        positions = cx.reshape(along, &[1, -1])?;
    }
    let (cosines, sines) = (cx.operand(2)?, cx.operand(3)?);
    let angles = [cx.apply("Gather", &[cosines, positions])?, cx.apply("Gather", &[sines, positions])?];
    turned(cx, angles)
}
