//! `Attention`: scaled dot-product attention with masks, a cache of past keys and values, and shared heads.
//!
//! Operands, of rank 4 or with heads packed (rank 3): Q `[n, g·r, s, d]`, K `[n, g, t, d]`, V `[n, g, t, e]`, a mask that
//! broadcasts to `[n, g·r, s, p+t]`, past keys and values `[n, g, p, ·]`, and from opset 24 on how many keys of each batch
//! count. Outputs: Y `[n, g·r, s, e]`, present keys and values `[n, g, p+t, ·]`, and scores `[n, g·r, s, p+t]`.
//!
//! A query stands at its index plus the number of keys before it; `is_causal` and the window (opset 25) are relative to that.
//!
//! Source: ONNX operator specification, `Attention`, opsets 23 to 25.

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use super::attend::{Attend, Stage};
use super::heads::Heads;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::node::{Attrs, NodeCx};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static ATTENTION: Operator = Operator {
    domain: "",
    name: "Attention",
    infer: Infer::With(infer),
    axes: Axes::With(relation),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("multiplies activations with each other"),
    quantize: Quantize::KeepsFloat("scores and probabilities are inside"),
    cost: Cost::None("multiplies activations with each other"),
    effects: Effects::Pure,
    gradient: Gradient::SpelledOut(super::spelling::standard),
};

/// The number of heads that an attribute names.
pub(super) fn heads(attrs: &Attrs<'_>, name: &str) -> Result<Option<i64>, Undecided> {
    match attrs.int(name)? {
        Some(heads) if heads <= 0 => Err(Undecided::invalid(format!("`{name}` is {heads}"))),
        heads => Ok(heads),
    }
}

/// Batch, heads, length and size of operand `index`; unknown where they are.
fn unpacked(cx: &InferCx<'_>, index: usize, heads: Option<i64>) -> Result<[Dim; 4], Undecided> {
    let Some(shape) = cx.shape(index) else { return Ok([const { Dim::unknown() }; 4]) };
    let heads = heads.map_or_else(Dim::unknown, Dim::from);
    match &shape[..] {
        [n, h, t, d] => Ok([n.clone(), h.clone(), t.clone(), d.clone()]),
        [n, t, hidden] => Ok([n.clone(), heads.clone(), t.clone(), hidden.floor_div(&heads)]),
        _ => Err(Undecided::invalid(format!("operand {index} has rank {}, not 3 or 4", shape.len()))),
    }
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let (q_heads, kv_heads) = (heads(&cx.attrs(), "q_num_heads")?, heads(&cx.attrs(), "kv_num_heads")?);
    let [n, h, s, _] = unpacked(cx, 0, q_heads)?;
    let [_, _, t, _] = unpacked(cx, 1, kv_heads)?;
    let [_, _, _, e] = unpacked(cx, 2, kv_heads)?;
    let past = if cx.has(4) { unpacked(cx, 4, None)?[2].clone() } else { Dim::from(0) };
    let total = past + &t;
    let y = match cx.rank(0) {
        Some(4) => Some(Shape::from(vec![n.clone(), h.clone(), s.clone(), e])),
        Some(_) => Some(Shape::from(vec![n.clone(), s.clone(), &h * &e])),
        None => None,
    };
    cx.set_tensor(0, cx.dtype(0), y);
    for (operand, past, port) in [(1, 4, 1), (2, 5, 2)] {
        let [n, g, _, size] = unpacked(cx, operand, kv_heads)?;
        let known = cx.rank(operand).map(|_| Shape::from(vec![n, g, total.clone(), size]));
        cx.set_tensor(port, cx.dtype(operand).or(cx.dtype(past)), known);
    }
    let scores = cx.rank(0).map(|_| Shape::from(vec![n, h, s, total]));
    cx.set_tensor(3, cx.dtype(0), scores);
    Ok(())
}

fn relation(cx: &NodeCx<'_>) -> Result<String, String> {
    let missing = |_| "the number of heads is not known here".to_owned();
    let (q_heads, kv_heads) = (heads(&cx.attrs(), "q_num_heads"), heads(&cx.attrs(), "kv_num_heads"));
    let (q_heads, kv_heads) = (q_heads.map_err(missing)?, kv_heads.map_err(missing)?);
    let (q, k, v, y) = match cx.rank(0) {
        Some(4) => ("n (g r) s d".to_owned(), "n g t d".to_owned(), "n g t e".to_owned(), "n (g r) s e".to_owned()),
        Some(3) => {
            let (Some(q_heads), Some(kv_heads)) = (q_heads, kv_heads) else {
                return Err("packed heads, and no number of them".to_owned());
            };
            let (g, r) = (kv_heads, q_heads / kv_heads);
            (
                format!("n s (g:{g} r:{r} d)"),
                format!("n t (g:{g} d)"),
                format!("n t (g:{g} e)"),
                format!("n s (g:{g} r:{r} e)"),
            )
        }
        _ => return Err("the rank is not known".to_owned()),
    };
    let operands = [&q, &k, &v, "*", "n g p d", "n g p e", "n"];
    let keys = if cx.has(4) { "p+t" } else { "t" };
    let outputs = [y, format!("n g {keys} d"), format!("n g {keys} e"), format!("n (g r) s {keys}")];
    let operands = &operands[..cx.operand_count().clamp(3, operands.len())];
    let outputs = &outputs[..cx.node.port_count().clamp(1, outputs.len())];
    Ok(format!("{} -> {}; normalized t p, q_num_heads=g*r, kv_num_heads=g", operands.join(", "), outputs.join(", ")))
}

/// What a mask adds to a score.
pub(super) struct Mask {
    values: Vec<f64>,
    dims: Vec<usize>,
}

impl Mask {
    /// Of a tensor of truth values (false hides) or of numbers to be added.
    ///
    /// # Errors
    /// Where it holds no numbers.
    pub(super) fn of(tensor: &Tensor) -> Result<Self, EvalError> {
        let mut values = tensor.to_f64s()?;
        if tensor.dtype() == DType::Bool {
            values.iter_mut().for_each(|value| *value = if *value != 0.0 { 0.0 } else { f64::NEG_INFINITY });
        }
        if tensor.rank() > 4 {
            return Err(EvalError::invalid(format!("a mask of rank {}", tensor.rank())));
        }
        Ok(Self { values, dims: tensor.dims().to_vec() })
    }

    /// Whether it broadcasts to these extents; the last may be shorter, which hides the keys behind it.
    pub(super) fn fits(&self, dims: [usize; 4]) -> bool {
        let mut pairs = self.dims.iter().rev().zip(dims.iter().rev());
        pairs.next().is_none_or(|(found, wanted)| found <= wanted)
            && pairs.all(|(found, wanted)| [1, *wanted].contains(found))
    }

    /// At `(batch, head, query, key)`.
    pub(super) fn at(&self, at: [usize; 4], keys: usize) -> f64 {
        let mut place = 0;
        let rank = self.dims.len();
        for (axis, &extent) in self.dims.iter().enumerate() {
            let mut index = at[4 - rank + axis];
            if extent == 1 && (axis + 1 < rank || keys == 1) {
                index = 0;
            }
            if index >= extent {
                return f64::NEG_INFINITY;
            }
            place = place * extent + index;
        }
        self.values.get(place).copied().unwrap_or(0.0)
    }
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let attrs = cx.attrs();
    let count = |name| Ok::<_, EvalError>(heads(&attrs, name)?.and_then(|heads| usize::try_from(heads).ok()));
    let (q_heads, kv_heads) = (count("q_num_heads")?, count("kv_num_heads")?);
    let (query, key, value) = (cx.tensor(0)?, cx.tensor(1)?, cx.tensor(2)?);
    let q = Heads::of(query, q_heads)?;
    let k = Heads::of(key, kv_heads)?.after(cx, cx.optional_tensor(4)?)?;
    let v = Heads::of(value, kv_heads)?.after(cx, cx.optional_tensor(5)?)?;
    let past = cx.optional_tensor(4)?.and_then(|past| past.dims().get(2)).copied();
    let mask = cx.optional_tensor(3)?.map(Mask::of).transpose()?;
    if mask.as_ref().is_some_and(|mask| !mask.fits([q.batch, q.heads, q.length, k.length])) {
        return Err(EvalError::invalid("the mask does not broadcast to the scores"));
    }
    let counting = cx.ints(6)?;
    if counting.as_ref().is_some_and(|counting| counting.len() != q.batch) {
        return Err(EvalError::invalid("not one number of keys for each batch"));
    }
    let causal = attrs.flag("is_causal")?;
    let (left, right) = (attrs.int_or("left_window_size", -1)?, attrs.int_or("right_window_size", -1)?);
    let signed = |index: usize| i64::try_from(index).unwrap_or(i64::MAX);
    let offset = |n: usize| match (past, &counting) {
        (None, Some(counting)) => counting[n].saturating_sub(signed(q.length)),
        (past, _) => past.map_or(0, signed),
    };
    let bias = |n: usize, h: usize, i: usize, j: usize| {
        let ahead = signed(j).saturating_sub(signed(i).saturating_add(offset(n)));
        let hidden = causal && ahead > 0
            || left >= 0 && ahead < -left
            || right >= 0 && ahead > right
            || counting.as_ref().is_some_and(|counting| signed(j) >= counting[n]);
        if hidden { f64::NEG_INFINITY } else { mask.as_ref().map_or(0.0, |mask| mask.at([n, h, i, j], k.length)) }
    };
    let stage = match attrs.int_or("qk_matmul_output_mode", 0)? {
        0 => Stage::Products,
        1 => Stage::Capped,
        2 => Stage::Biased,
        3 => Stage::Probabilities,
        other => return Err(EvalError::invalid(format!("`qk_matmul_output_mode` is {other}"))),
    };
    let scale = attrs.float("scale")?.map_or_else(|| 1.0 / (q.size as f64).sqrt(), f64::from);
    let attend = Attend { scale, softcap: f64::from(attrs.float_or("softcap", 0.0)?), bias: &bias, stage };
    let (gathered, scores) = attend.run(cx, &q, &k, &v)?;
    let y = if query.rank() == 3 { gathered.packed(query.dtype())? } else { gathered.tensor(query.dtype())? };
    let scores = Tensor::from_f64s(query.dtype(), &[q.batch, q.heads, q.length, k.length], &scores)?;
    Ok(vec![y.into(), k.tensor(key.dtype())?.into(), v.tensor(value.dtype())?.into(), scores.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn lengths_of_past_and_new_keys_add_up() {
        let node = op("Attention").outputs(4).int("q_num_heads", 4).int("kv_num_heads", 2).input("float[N,S,32]");
        let node = node.input("float[N,T,16]").input("float[N,T,8]").omitted();
        let node = node.input("float[N,2,P,8]").input("float[N,2,P,4]");
        assert_eq!(node.infer(), "float[N,S,16], float[N,2,P + T,8], float[N,2,P + T,4], float[N,4,S,P + T]");
        assert_eq!(
            node.axes(),
            "n s (g:2 r:2 d), n t (g:2 d), n t (g:2 e), *, n g p d, n g p e \
             -> n s (g:2 r:2 e), n g p+t d, n g p+t e, n (g r) s p+t; normalized t p, q_num_heads=g*r, kv_num_heads=g"
        );
    }

    #[test]
    fn a_query_that_sees_no_key_gathers_nothing() {
        let one = |node: crate::testing::OneNode| node.floats(&[1, 1, 1, 1], &[2.0]);
        let node = one(one(one(op("Attention"))));
        let hidden = onnxpress_ir::Tensor::from_values(&[1, 1], vec![false]);
        assert_eq!(node.constant(hidden.expect("one element")).f32s(), [0.0]);
    }
}
