//! Codes of a few bits in the bytes of onnxruntime's block-wise operators: the first code of a byte in its low bits.

use onnxpress_ir::{DType, Tensor};

use crate::evaluate::EvalError;
use crate::infer::Undecided;
use crate::node::Attrs;

/// How codes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blocks {
    /// Bits of a code.
    pub(super) bits: usize,
    /// Neighbours that share a scale.
    pub(super) size: usize,
}

impl Blocks {
    /// As the attributes have it; `size` is what holds without one.
    ///
    /// # Errors
    /// Where they make no sense.
    pub(super) fn of(attrs: &Attrs<'_>, size: Option<i64>) -> Result<Self, Undecided> {
        let bits = attrs.int_or("bits", 4)?;
        let found = attrs.int("block_size")?.or(size);
        let size = found.and_then(|size| usize::try_from(size).ok()).filter(|size| (2..=1 << 20).contains(size));
        let size = size.ok_or_else(|| Undecided::invalid(format!("`block_size` is {found:?}, expected at least 2")))?;
        match bits {
            2 | 4 | 8 => Ok(Self { bits: bits as usize, size }),
            _ => Err(Undecided::invalid(format!("`bits` is {bits}, expected 2, 4 or 8"))),
        }
    }

    /// Codes of a byte.
    pub(super) fn per_byte(self) -> usize {
        8 / self.bits
    }

    /// The code that stands for zero where no zero points are given.
    pub(super) fn middle(self) -> f64 {
        f64::from(1u32 << (self.bits - 1))
    }

    /// Blocks along an axis of so many entries.
    pub(super) fn count(self, extent: usize) -> usize {
        extent.div_ceil(self.size)
    }

    /// Rows of codes, each beginning with a byte of its own.
    ///
    /// # Errors
    /// Where there are other bytes than rows take.
    pub(super) fn unpacked(self, bytes: &Tensor, rows: usize, codes: usize) -> Result<Vec<f64>, EvalError> {
        let row = codes.div_ceil(self.per_byte());
        let packed = bytes.to_codes().map_err(|error| EvalError::invalid(error.to_string()))?;
        if bytes.dtype() != DType::Uint8 || rows.checked_mul(row) != Some(packed.len()) {
            return Err(EvalError::invalid(format!(
                "{bytes:?} for {rows} rows of {codes} codes of {} bits",
                self.bits
            )));
        }
        let mask = u8::MAX >> (8 - self.bits);
        let code =
            |row: &[u8], at: usize| f64::from(row[at / self.per_byte()] >> (self.bits * (at % self.per_byte())) & mask);
        Ok(packed.chunks(row.max(1)).flat_map(|row| (0..codes).map(move |at| code(row, at))).collect())
    }
}
