//! Scaled dot-product attention, the kernel of all operators that have it inside.
//!
//! `softmax(softcap(scale · Q Kᵀ) + bias) V`, one head after the other; several heads of Q may share one of K and V.

use super::heads::Heads;
use crate::activation::softmax;
use crate::evaluate::{EvalCx, EvalError};

/// What scores are given out beside the result, `[batch, heads, queries, keys]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Products,
    Capped,
    Biased,
    Probabilities,
}

/// How queries look at keys.
pub(super) struct Attend<'a> {
    pub scale: f64,
    /// Scores are squeezed smoothly into plus and minus this; 0 leaves them.
    pub softcap: f64,
    /// What is added to the score of `(batch, head, query, key)`; minus infinity hides the key.
    pub bias: &'a dyn Fn(usize, usize, usize, usize) -> f64,
    pub stage: Stage,
}

impl Attend<'_> {
    /// The values that each query gathers, and the scores of the stage.
    ///
    /// A query from which every key is hidden gathers 0.
    ///
    /// # Errors
    /// Where heads do not fit each other, or the work is more than allowed.
    pub(super) fn run(&self, cx: &EvalCx<'_>, q: &Heads, k: &Heads, v: &Heads) -> Result<(Heads, Vec<f64>), EvalError> {
        let fits = k.heads > 0
            && q.heads.is_multiple_of(k.heads)
            && (q.batch, q.size) == (k.batch, k.size)
            && (k.batch, k.heads, k.length) == (v.batch, v.heads, v.length);
        if !fits {
            return Err(EvalError::invalid("queries, keys and values do not fit each other"));
        }
        let shared = q.heads / k.heads;
        let scores_count = cx.room_for(&[q.batch, q.heads, q.length, k.length])?;
        cx.spend((scores_count as u64).saturating_mul((k.size + v.size) as u64))?;
        let mut kept = Vec::with_capacity(scores_count);
        let mut values = Vec::with_capacity(cx.room_for(&[q.batch, q.heads, q.length, v.size])?);
        for n in 0..q.batch {
            for h in 0..q.heads {
                for i in 0..q.length {
                    let query = q.row(n, h, i);
                    let products = (0..k.length).map(|j| {
                        let key = k.row(n, h / shared, j);
                        query.iter().zip(key).map(|(q, k)| q * k).sum::<f64>() * self.scale
                    });
                    let products: Vec<f64> = products.collect();
                    let capped: Vec<f64> = products.iter().map(|&score| self.capped(score)).collect();
                    let bias: Vec<f64> = (0..k.length).map(|j| (self.bias)(n, h, i, j)).collect();
                    let biased: Vec<f64> = capped.iter().zip(&bias).map(|(score, bias)| score + bias).collect();
                    let hidden = bias.iter().all(|&bias| bias == f64::NEG_INFINITY);
                    let weights = if hidden { vec![0.0; k.length] } else { probabilities(&biased) };
                    let mut gathered = vec![0.0; v.size];
                    for (j, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
                        gathered.iter_mut().zip(v.row(n, h / shared, j)).for_each(|(sum, v)| *sum += weight * v);
                    }
                    values.extend(gathered);
                    kept.extend(match self.stage {
                        Stage::Products => products,
                        Stage::Capped => capped,
                        Stage::Biased => biased,
                        Stage::Probabilities => weights,
                    });
                }
            }
        }
        Ok((Heads { batch: q.batch, heads: q.heads, length: q.length, size: v.size, values }, kept))
    }

    fn capped(&self, score: f64) -> f64 {
        if self.softcap > 0.0 { (score / self.softcap).tanh() * self.softcap } else { score }
    }
}

/// All 0 where every score is minus infinity.
fn probabilities(scores: &[f64]) -> Vec<f64> {
    let mut weights = scores.to_vec();
    match scores.iter().all(|&score| score == f64::NEG_INFINITY) {
        true => weights.fill(0.0),
        false => softmax(&mut weights),
    }
    weights
}
