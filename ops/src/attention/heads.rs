//! Tensors that hold heads: `[batch, heads, length, size]`, or packed as `[batch, length, heads · size]`.

use onnxpress_ir::{DType, Tensor};

use crate::evaluate::{EvalCx, EvalError};

/// Heads in the order of the unpacked form.
#[derive(Debug, Clone)]
pub(super) struct Heads {
    pub batch: usize,
    pub heads: usize,
    pub length: usize,
    pub size: usize,
    pub values: Vec<f64>,
}

impl Heads {
    /// Of a tensor of rank 4, or of one of rank 3 that packs so many heads.
    ///
    /// # Errors
    /// Where the rank is another, or the heads do not divide the last axis.
    pub(super) fn of(tensor: &Tensor, heads: Option<usize>) -> Result<Self, EvalError> {
        let values = tensor.to_f64s()?;
        match *tensor.dims() {
            [batch, heads, length, size] => Ok(Self { batch, heads, length, size, values }),
            [batch, length, hidden] => {
                let heads = heads.filter(|&heads| heads > 0 && hidden.is_multiple_of(heads));
                let heads = heads.ok_or_else(|| EvalError::invalid(format!("{hidden} features as heads")))?;
                Ok(Self::unpacked(batch, length, heads, hidden / heads, &values))
            }
            _ => Err(EvalError::invalid(format!("heads of {tensor:?}, which is not of rank 3 or 4"))),
        }
    }

    /// Of row-major `[batch, length, heads, size]`.
    pub(super) fn unpacked(batch: usize, length: usize, heads: usize, size: usize, packed: &[f64]) -> Self {
        let mut values = Vec::with_capacity(packed.len());
        if !packed.is_empty() {
            for n in 0..batch {
                for h in 0..heads {
                    for t in 0..length {
                        let from = ((n * length + t) * heads + h) * size;
                        values.extend_from_slice(&packed[from..from + size]);
                    }
                }
            }
        }
        Self { batch, heads, length, size, values }
    }

    /// One vector.
    pub(super) fn row(&self, batch: usize, head: usize, at: usize) -> &[f64] {
        let from = ((batch * self.heads + head) * self.length + at) * self.size;
        &self.values[from..from + self.size]
    }

    /// These after `past`, along the length.
    ///
    /// # Errors
    /// Where the others differ in batch, heads or size.
    pub(super) fn after(self, cx: &EvalCx<'_>, past: Option<&Tensor>) -> Result<Self, EvalError> {
        let Some(past) = past else { return Ok(self) };
        let past = Self::of(past, None)?;
        if (past.batch, past.heads, past.size) != (self.batch, self.heads, self.size) {
            return Err(EvalError::invalid("the past does not fit keys or values"));
        }
        let length = past.length.saturating_add(self.length);
        let mut values = Vec::with_capacity(cx.room_for(&[self.batch, self.heads, length, self.size])?);
        for n in 0..self.batch {
            for h in 0..self.heads {
                (0..past.length).for_each(|t| values.extend_from_slice(past.row(n, h, t)));
                (0..self.length).for_each(|t| values.extend_from_slice(self.row(n, h, t)));
            }
        }
        Ok(Self { length, values, ..self })
    }

    /// The tensor of rank 4.
    ///
    /// # Errors
    /// Where the type holds no numbers.
    pub(super) fn tensor(&self, dtype: DType) -> Result<Tensor, EvalError> {
        Ok(Tensor::from_f64s(dtype, &[self.batch, self.heads, self.length, self.size], &self.values)?)
    }

    /// The tensor of rank 3.
    ///
    /// # Errors
    /// Where the type holds no numbers.
    pub(super) fn packed(&self, dtype: DType) -> Result<Tensor, EvalError> {
        // To pack is to unpack with length and heads in each other's place.
        let packed = Self::unpacked(self.batch, self.heads, self.length, self.size, &self.values);
        Ok(Tensor::from_f64s(dtype, &[self.batch, self.length, self.heads * self.size], &packed.values)?)
    }
}
