//! `EmbedLayerNormalization`: the sum of word, position and segment embeddings, normalized.
//!
//! Operands: ids `[n, s]`, segments `[n, s]`, the tables `[·, h]` of words, positions and segments, gamma and beta `[h]`, a
//! mask `[n, s]`, positions `[n, s]` or `[1, s]`. Outputs: `[n, s, h]`, the number of tokens that each row of the mask
//! counts `[n]`, and the sum before normalization.
//!
//! Source: onnxruntime, "Contrib Operators", `com.microsoft.EmbedLayerNormalization`, version 1.

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use super::DOMAIN;
use super::skip_layer_normalization::normalize;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static EMBED_LAYER_NORMALIZATION: Operator = Operator {
    domain: DOMAIN,
    name: "EmbedLayerNormalization",
    infer: Infer::With(infer),
    axes: Axes::Spec("n s, n s, _ h, _ h, _ h, h, h, n s, _ s -> n s h, n, n s h; normalized h"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("it looks up"),
    quantize: Quantize::KeepsFloat("statistics need the range of floats"),
    cost: Cost::None("it looks up"),
    effects: Effects::Pure,
    gradient: Gradient::SpelledOut(super::spelling::embed_layer_normalization),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.expect_rank(0, 2)?;
    cx.expect_rank(2, 2)?;
    let width = cx.shape(2).or(cx.shape(3)).and_then(|table| table.last().cloned()).unwrap_or_default();
    let (n, s) = cx.shape(0).map_or_else(|| (Dim::unknown(), Dim::unknown()), |ids| (ids[0].clone(), ids[1].clone()));
    let shape: Shape = [n.clone(), s, width].into_iter().collect();
    cx.set_tensor(0, cx.dtype(2), shape.clone());
    cx.set_tensor(1, DType::Int32, Shape::from(vec![n]));
    cx.set_tensor(2, cx.dtype(2), shape);
    Ok(())
}

/// A table of vectors.
struct Table {
    rows: Vec<f64>,
    width: usize,
}

impl Table {
    fn of(tensor: &Tensor, width: usize) -> Result<Self, EvalError> {
        match *tensor.dims() {
            [_, own] if own == width && width > 0 => Ok(Self { rows: tensor.to_f64s()?, width }),
            _ => Err(EvalError::invalid(format!("a table {tensor:?} of vectors of {width}"))),
        }
    }

    fn row(&self, id: i64) -> Result<&[f64], EvalError> {
        let row = usize::try_from(id).ok().and_then(|id| {
            let from = id.checked_mul(self.width)?;
            self.rows.get(from..from + self.width)
        });
        row.ok_or_else(|| EvalError::invalid(format!("an id of {id}")))
    }
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (ids, words) = (cx.tensor(0)?, cx.tensor(2)?);
    let (&[n, s], &[_, h]) = (ids.dims(), words.dims()) else {
        return Err(EvalError::invalid(format!("ids {ids:?} and words {words:?}")));
    };
    let ids = ids.to_i64s()?;
    let list = |index: usize| -> Result<Option<Vec<i64>>, EvalError> {
        let list = cx.ints(index)?;
        match &list {
            Some(list) if list.len() != n * s && list.len() != s => {
                Err(EvalError::invalid(format!("operand {index} has {} elements", list.len())))
            }
            _ => Ok(list),
        }
    };
    let (segments, mask, positions) = (list(1)?, list(7)?, list(8)?);
    let (words, places) = (Table::of(words, h)?, Table::of(cx.tensor(3)?, h)?);
    let kinds = cx.optional_tensor(4)?.map(|tensor| Table::of(tensor, h)).transpose()?;
    let dims = [n, s, h];
    let mut sum = Vec::with_capacity(cx.room_for(&dims)?);
    for (at, &id) in ids.iter().enumerate() {
        let position = positions.as_ref().map_or((at % s) as i64, |positions| positions[at % positions.len()]);
        let from = sum.len();
        sum.extend_from_slice(words.row(id)?);
        let mut add = |row: &[f64]| sum[from..].iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        add(places.row(position)?);
        if let (Some(kinds), Some(segments)) = (&kinds, &segments) {
            add(kinds.row(segments[at % segments.len()])?);
        }
    }
    let dtype = cx.tensor(2)?.dtype();
    let embedded = Tensor::from_f64s(dtype, &dims, &sum)?;
    let epsilon = f64::from(cx.attrs().float_or("epsilon", 1e-12)?);
    let (gamma, beta) = (cx.tensor(5)?.to_f64s()?, cx.tensor(6)?.to_f64s()?);
    if gamma.len() != h {
        return Err(EvalError::invalid(format!("gamma of {} entries for vectors of {h}", gamma.len())));
    }
    normalize(&mut sum, epsilon, true, &gamma, Some(&beta))?;
    let counted = |row: &[i64]| row.iter().filter(|&&flag| flag == 1).count() as i32;
    let counts: Vec<i32> = match &mask {
        Some(mask) if mask.len() == n * s => mask.chunks_exact(s.max(1)).map(counted).collect(),
        _ => Vec::new(),
    };
    let counts = if counts.len() == n { counts } else { vec![0; n] };
    Ok(vec![Tensor::from_f64s(dtype, &dims, &sum)?.into(), Tensor::vector(counts).into(), embedded.into()])
}
