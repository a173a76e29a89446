//! Recognizes `Attention` over heads.
//!
//! `MatMul(Softmax(s * MatMul(Q, Transpose(K)) + mask), V)` is `Attention<scale = s>(Q, K, V, mask)` for `Q`, `K` and `V` of
//! `[batch, heads, sequence, size]`. The scale may stand at `Q`, at `K`, or behind the product, in parts; the product may go
//! through `c * tanh(. / c)` (`softcap = c`); `K` and `V` may be repeated for groups of heads; a mask may be truth values that
//! `Where` makes zero and negative infinity; and rows that are masked throughout may be set to zero.
//! Fires if extents show that there are no others on the way; if the mask has the extents of the product along its last two
//! axes; if nothing else reads what is on the way (graph outputs count); if the model's version of the standard has the
//! operator for the type; if that is not of halves, which the two round at other places; and if rows that are masked
//! throughout give zeros, as they do in the operator: since the nodes say so, or since there are none.
//! Where the product is read elsewhere too, scaled as it is, the operator gives it.
//! Where `K` and `V` are appended to what was before, the operator reads the two parts and gives the whole.
//! Where the transposition of `K` is one with that of its heads, `Q`, `K` and `V` are read as they are before heads are split, and
//! the result is given as it is after they are joined.
//! Exact: in real numbers the two are equal; they are rounded differently. Ends: several nodes fewer each time.

use onnxpress_ir::{Attr, DType, Edit, EditError, Node, NodeId, Tensor, ValueId};

use super::heads::{Packed, joined};
use super::pattern::{either_way, equal, giver, scalar, shape};
use crate::rewrite::{Found, MatchCx, Miss, Reads, Roots, Rule};
use crate::simplify::fused::Fused;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FuseAttention;

/// The operator, and the last of the nodes in whose place it comes.
#[derive(Debug)]
pub struct Match(Fused, NodeId);

impl Rule for FuseAttention {
    const NAME: &'static str = "fuse-attention";
    const CONTRACT: &'static str = crate::contract!("fuse_attention.rs");
    const ROOTS: Roots = Roots::Operators(&["MatMul"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        if cx.node(root)?.version < 23 {
            return Err(Miss::NotHere);
        }
        let mut gone = vec![root];
        let (weights, guard) = guarded(cx, cx.operand(root, 0)?, &mut gone)?;
        let softmax = giver(cx, weights, "Softmax")?;
        gone.push(softmax);
        let scores = cx.operand(softmax, 0)?;
        let rank = shape(cx, scores).ok_or(Miss::NotHere)?.len();
        let axis = cx.attribute(softmax, cx.node(softmax)?.attrs().int_or("axis", -1))?;
        if rank != 4 || (axis != -1 && axis != 3) {
            return Err(Miss::NotHere);
        }
        let (scores, mask) = masked(cx, scores, &mut gone);
        if !guard.agrees(cx, mask, &mut gone)? {
            return Err(Miss::NotHere);
        }
        let (scores, softcap) = capped(cx, scores, &mut gone);
        let (product, mut scale) = scaled(cx, scores, &mut gone);
        let is_whole = product == scores;
        let product = giver(cx, product, "MatMul")?;
        gone.push(product);
        let (q, of_q) = scaled(cx, cx.operand(product, 0)?, &mut gone);
        let (k, of_k) = scaled(cx, cx.operand(product, 1)?, &mut gone);
        let turned = giver(cx, k, "Transpose")?;
        // Another transposition that was there may be part of this one.
        let is_packed = match cx.attribute(turned, cx.node(turned)?.attrs().ints("perm"))?.as_deref() {
            Some([0, 1, 3, 2]) => false,
            Some([0, 2, 3, 1]) => true,
            _ => return Err(Miss::NotHere),
        };
        gone.push(turned);
        let (k, again) = scaled(cx, cx.operand(turned, 0)?, &mut gone);
        scale *= of_q * of_k * again;
        let v = cx.operand(root, 1)?;
        let (mut last, mut heads) = (root, None);
        let (q, k, v) = match is_packed {
            true => {
                let (q, k, v) = (
                    Packed::turned(cx, q, &mut gone)?,
                    Packed::split(cx, k, &mut gone)?,
                    Packed::turned(cx, v, &mut gone)?,
                );
                last = joined(cx, root.port(0), &mut gone)?;
                heads = Some((q.heads, k.heads));
                fit_packed(cx, &q, &k, &v)?;
                (q.value, k.value, v.value)
            }
            false => {
                let (k, v) = (repeated(cx, k, &mut gone), repeated(cx, v, &mut gone));
                fit(cx, q, k, v)?;
                (q, k, v)
            }
        };
        let mask = match mask {
            Some(mask) => Some(mask.operand(cx, product, &mut gone)?),
            None => None,
        };
        let dtype = cx.ty(q).dtype().ok_or(Miss::NotHere)?;
        cx.require(dtype.bits() > 16, last, "the operator rounds halves at other places, which shows")?;
        let mut node = Node::new("Attention", 1);
        if !is_default(cx, scale, q, heads.map_or(1, |(of_q, _)| of_q)) {
            node = node.with(Attr::float("scale", scale as f32));
        }
        if let Some(softcap) = softcap {
            node = node.with(Attr::float("softcap", softcap as f32));
        }
        if let Some((of_q, of_k)) = heads {
            node = node.with(Attr::int("q_num_heads", of_q)).with(Attr::int("kv_num_heads", of_k));
        }
        let mask = mask.flatten().map_or(Reads::Nothing, Reads::Value);
        let mut outputs = vec![Some(last.port(0))];
        let mut reads = vec![Reads::Value(q), Reads::Value(k), Reads::Value(v), mask];
        if heads.is_none()
            && let (Ok(keys), Ok(values)) = (Appended::of(cx, k), Appended::of(cx, v))
        {
            reads[1] = Reads::Value(keys.new);
            reads[2] = Reads::Value(values.new);
            reads.extend([Reads::Value(keys.past), Reads::Value(values.past)]);
            // Who reads them beside reads what the operator gives.
            outputs.extend([Some(k), Some(v)]);
            gone.extend([k.node, v.node]);
        }
        // The operator gives what was scaled before it was multiplied.
        if is_whole && softcap.is_none() && !cx.is_read_once(product.port(0)) {
            outputs.resize(3, None);
            outputs.push(Some(product.port(0)));
        }
        Ok(Match(Fused::giving(cx, outputs, &gone, node, reads, dtype)?, last))
    }

    fn apply(&self, Match(fused, _): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fused.apply(edit)
    }

    fn sources(&self, root: NodeId, found: &Match) -> Vec<NodeId> {
        vec![found.1, root]
    }
}

/// Whether a scale is what the operator takes without one, `1 / sqrt(size)`, up to rounding.
fn is_default(cx: &MatchCx<'_>, scale: f64, q: ValueId, heads: i64) -> bool {
    let last = shape(cx, q).and_then(|shape| shape.last()?.as_const());
    let size = last.map(|last| (last / heads.max(1)) as f64).filter(|&size| size > 0.0);
    size.is_some_and(|size| (scale * size.sqrt() - 1.0).abs() <= 1e-6)
}

/// Keys or values of a sequence that is appended to what was before.
struct Appended {
    past: ValueId,
    new: ValueId,
}

impl Appended {
    fn of(cx: &MatchCx<'_>, value: ValueId) -> Found<Self> {
        let concat = cx.node(giver(cx, value, "Concat")?)?;
        let axis = cx.attribute(concat.id, concat.attrs().int_or("axis", 0))?;
        match concat.operand_count() == 2 && [2, -2].contains(&axis) {
            true => Ok(Self { past: cx.operand(concat.id, 0)?, new: cx.operand(concat.id, 1)? }),
            false => Err(Miss::NotHere),
        }
    }
}

/// What sets rows to zero that are masked throughout.
enum Guard {
    /// Nothing.
    None,
    /// Never anything: the condition is false for all rows.
    Never,
    /// A value that is negative infinity throughout in these rows, and the nodes that tell.
    Where(ValueId, [NodeId; 2]),
}

/// The value before rows are set to zero, and what is asked for that.
fn guarded(cx: &MatchCx<'_>, value: ValueId, gone: &mut Vec<NodeId>) -> Found<(ValueId, Guard)> {
    let Ok(choice) = giver(cx, value, "Where") else { return Ok((value, Guard::None)) };
    if scalar(cx, cx.operand(choice, 1)?) != Some(0.0) {
        return Err(Miss::NotHere);
    }
    gone.push(choice);
    let (condition, weights) = (cx.operand(choice, 0)?, cx.operand(choice, 2)?);
    if let Some(constant) = cx.constant(condition) {
        let never = constant.to_i64s().is_ok_and(|values| values.iter().all(|&value| value == 0));
        return if never { Ok((weights, Guard::Never)) } else { Err(Miss::NotHere) };
    }
    let equal = giver(cx, condition, "Equal")?;
    let way = |(one, other)| (scalar(cx, other) == Some(f64::NEG_INFINITY)).then_some(one);
    let largest = either_way(cx, equal)?.into_iter().find_map(way).ok_or(Miss::NotHere)?;
    let largest = super::pattern::Reduced::keeping(cx, largest, "ReduceMax")?;
    let is_last = largest.axes == [largest.rank.saturating_sub(1)];
    match is_last {
        true => Ok((weights, Guard::Where(largest.data, [equal, largest.node]))),
        false => Err(Miss::NotHere),
    }
}

impl Guard {
    /// Whether rows that the mask hides throughout give zeros, or there are none.
    fn agrees(&self, cx: &MatchCx<'_>, mask: Option<Mask>, gone: &mut Vec<NodeId>) -> Found<bool> {
        let Some(mask) = mask else { return Ok(!matches!(self, Self::Where(..))) };
        match self {
            Self::Where(value, nodes) => {
                gone.extend(nodes);
                Ok(*value == mask.value)
            }
            Self::None | Self::Never => Ok(cx.constant(mask.value).is_some_and(shows_something_in_each_row)),
        }
    }
}

/// Whether no row of a mask is negative infinity throughout.
fn shows_something_in_each_row(mask: &Tensor) -> bool {
    let width = mask.dims().last().copied().unwrap_or(0);
    let is_shown = |row: &[f64]| row.iter().any(|&value| value > f64::NEG_INFINITY);
    width > 0 && mask.to_f64s().is_ok_and(|values| values.chunks(width).all(is_shown))
}

/// What is added before the softmax.
#[derive(Clone, Copy)]
struct Mask {
    value: ValueId,
    /// The truth values that say where it is zero and not negative infinity, and the node.
    flags: Option<(ValueId, NodeId)>,
}

/// The scores before a mask is added, and the mask.
fn masked(cx: &MatchCx<'_>, scores: ValueId, gone: &mut Vec<NodeId>) -> (ValueId, Option<Mask>) {
    let found = || -> Found<(ValueId, ValueId, NodeId)> {
        let add = giver(cx, scores, "Add")?;
        let is_score = |(scores, _): &(ValueId, ValueId)| {
            ["MatMul", "Mul", "Div"].iter().any(|op_type| giver(cx, *scores, op_type).is_ok())
        };
        let (scores, mask) = either_way(cx, add)?.into_iter().find(is_score).ok_or(Miss::NotHere)?;
        Ok((scores, mask, add))
    };
    let Ok((before, value, add)) = found() else { return (scores, None) };
    gone.push(add);
    let flags = || -> Found<(ValueId, NodeId)> {
        let choice = giver(cx, value, "Where")?;
        let ends = (scalar(cx, cx.operand(choice, 1)?), scalar(cx, cx.operand(choice, 2)?));
        let hides = ends == (Some(0.0), Some(f64::NEG_INFINITY));
        if hides { Ok((cx.operand(choice, 0)?, choice)) } else { Err(Miss::NotHere) }
    };
    (before, Some(Mask { value, flags: flags().ok() }))
}

impl Mask {
    /// What the operator reads for it; nothing where it is zero throughout.
    fn operand(self, cx: &MatchCx<'_>, product: NodeId, gone: &mut Vec<NodeId>) -> Found<Option<ValueId>> {
        let zeros = cx.constant(self.value).and_then(|tensor| tensor.to_f64s().ok());
        if zeros.is_some_and(|values| values.iter().all(|&value| value == 0.0)) {
            return Ok(None);
        }
        let scores = shape(cx, product.port(0)).ok_or(Miss::NotHere)?;
        let fits = |value: ValueId| {
            let Some(extents) = shape(cx, value).filter(|extents| (2..=4).contains(&extents.len())) else {
                return false;
            };
            let last = |count: usize, extents: &onnxpress_ir::Shape| {
                extents.iter().skip(extents.len() - count).cloned().collect::<Vec<_>>()
            };
            let others = extents.iter().rev().zip(scores.iter().rev()).skip(2);
            equal(last(2, extents).iter(), last(2, scores).iter())
                && others.into_iter().all(|(own, whole)| own.as_const() == Some(1) || own.equals(whole) == Some(true))
        };
        match self.flags {
            Some((flags, choice)) if fits(flags) && cx.ty(flags).dtype() == Some(DType::Bool) => {
                gone.push(choice);
                Ok(Some(flags))
            }
            _ if fits(self.value) => Ok(Some(self.value)),
            _ => Err(Miss::NotHere),
        }
    }
}

/// The `e` and `c` of `c * tanh(e / c)`.
fn capped(cx: &MatchCx<'_>, scores: ValueId, gone: &mut Vec<NodeId>) -> (ValueId, Option<f64>) {
    let found = || -> Found<(ValueId, f64, [NodeId; 3])> {
        let (tanh, cap) = times(cx, scores)?;
        let tanh = giver(cx, tanh, "Tanh")?;
        let (inner, inverse) = times(cx, cx.operand(tanh, 0)?)?;
        let is_cap = cap > 0.0 && super::expression::near(cap * inverse, 1.0);
        if is_cap { Ok((inner, cap, [scores.node, tanh, cx.operand(tanh, 0)?.node])) } else { Err(Miss::NotHere) }
    };
    match found() {
        Ok((inner, cap, nodes)) => {
            gone.extend(nodes);
            (inner, Some(cap))
        }
        Err(_) => (scores, None),
    }
}

/// A value before it is multiplied by a number, and the number.
fn times(cx: &MatchCx<'_>, value: ValueId) -> Found<(ValueId, f64)> {
    if let Ok(div) = giver(cx, value, "Div") {
        let number = scalar(cx, cx.operand(div, 1)?).ok_or(Miss::NotHere)?;
        return if number == 0.0 { Err(Miss::NotHere) } else { Ok((cx.operand(div, 0)?, number.recip())) };
    }
    let mul = giver(cx, value, "Mul")?;
    let way = |(one, other)| Some((one, scalar(cx, other)?));
    either_way(cx, mul)?.into_iter().find_map(way).ok_or(Miss::NotHere)
}

/// The same, 1 where it is not multiplied.
fn scaled(cx: &MatchCx<'_>, value: ValueId, gone: &mut Vec<NodeId>) -> (ValueId, f64) {
    match times(cx, value) {
        Ok((before, number))
            if shape(cx, before).map(|shape| shape.len()) == shape(cx, value).map(|shape| shape.len()) =>
        {
            gone.push(value.node);
            (before, number)
        }
        _ => (value, 1.0),
    }
}

/// The heads before each is repeated for a group: `Reshape(Expand(Unsqueeze(x, 2)))`.
fn repeated(cx: &MatchCx<'_>, value: ValueId, gone: &mut Vec<NodeId>) -> ValueId {
    let found = || -> Found<(ValueId, [NodeId; 3])> {
        let reshape = giver(cx, value, "Reshape")?;
        let expand = giver(cx, cx.operand(reshape, 0)?, "Expand")?;
        let unsqueeze = giver(cx, cx.operand(expand, 0)?, "Unsqueeze")?;
        let x = cx.operand(unsqueeze, 0)?;
        let of = |value: ValueId| shape(cx, value).ok_or(Miss::NotHere);
        let (few, one, many, all) = (of(x)?, of(unsqueeze.port(0))?, of(expand.port(0))?, of(value)?);
        let ([b, h, s, d], [b1, h1, o1, s1, d1], [b2, h2, g, s2, d2], [b3, h3, s3, d3]) =
            (&few[..], &one[..], &many[..], &all[..])
        else {
            return Err(Miss::NotHere);
        };
        let same = equal([b, h, s, d].into_iter(), [b1, h1, s1, d1].into_iter())
            && equal([b, h, s, d].into_iter(), [b2, h2, s2, d2].into_iter())
            && equal([b, s, d].into_iter(), [b3, s3, d3].into_iter())
            && o1.as_const() == Some(1)
            && onnxpress_ir::Dim::product([h, g]).equals(h3) == Some(true);
        if same { Ok((x, [reshape, expand, unsqueeze])) } else { Err(Miss::NotHere) }
    };
    match found() {
        Ok((x, nodes)) => {
            gone.extend(nodes);
            x
        }
        Err(_) => value,
    }
}

/// Goes on only if nothing is broadcast but heads to groups of heads.
fn fit(cx: &MatchCx<'_>, q: ValueId, k: ValueId, v: ValueId) -> Found<()> {
    let of = |value: ValueId| shape(cx, value).ok_or(Miss::NotHere);
    let (q, k, v) = (of(q)?, of(k)?, of(v)?);
    let ([bq, hq, _, dq], [bk, hk, sk, dk], [bv, hv, sv, _]) = (&q[..], &k[..], &v[..]) else {
        return Err(Miss::NotHere);
    };
    let same = equal([bq, bk, hk, dq, sk].into_iter(), [bk, bv, hv, dk, sv].into_iter());
    let groups = match (hq.as_const(), hk.as_const()) {
        (Some(many), Some(few)) => few > 0 && many % few == 0,
        _ => hq.equals(hk) == Some(true),
    };
    if same && groups { Ok(()) } else { Err(Miss::NotHere) }
}

/// The same where heads are packed, of which there are as many in each: the products show that the rest fits.
fn fit_packed(cx: &MatchCx<'_>, q: &Packed, k: &Packed, v: &Packed) -> Found<()> {
    let of = |value: ValueId| shape(cx, value).ok_or(Miss::NotHere);
    let (of_q, of_k, of_v) = (of(q.value)?, of(k.value)?, of(v.value)?);
    let ([bq, _, _], [bk, sk, _], [bv, sv, _]) = (&of_q[..], &of_k[..], &of_v[..]) else { return Err(Miss::NotHere) };
    let same = equal([bq, bk, sk].into_iter(), [bk, bv, sv].into_iter());
    if same && q.heads == k.heads && k.heads == v.heads { Ok(()) } else { Err(Miss::NotHere) }
}
