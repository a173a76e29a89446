//! In what type a weight is written, how it is rounded, and why it may not be.

use onnxpress_ir::tensor::range;
use onnxpress_ir::{DType, Kind, TensorError};

crate::option_enum! {
    /// How the scale is found.
    pub enum Rounding {
        /// The scale that just reaches the largest weight.
        Nearest,
        /// The scale with the least squared error: the largest weights may be clipped.
        Mse,
        /// As before, and a zero point that makes the error sparse: half-quadratic quantization (Badri and Shaji 2023).
        Hqq,
        /// With samples: the scale with the least error as the layer's inputs weigh it, and codes chosen column by column, each making
        /// up for what those before it lost (GPTQ, Frantar et al. 2022).
        Gptq,
        /// With samples: scales of channels moved into what comes before, where that changes nothing, so that channels that matter are
        /// rounded more finely; then the scale with the least error (AWQ, Lin et al. 2023).
        Awq,
    }
}

impl Rounding {
    /// Whether it takes samples.
    pub(crate) fn needs_data(self) -> bool {
        matches!(self, Self::Gptq | Self::Awq)
    }
}

/// In what type a weight is written, and how it is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scheme {
    /// The type of the codes: a whole number of 2, 4, 8 or 16 bits.
    pub(crate) dtype: DType,
    /// What the codes stand for.
    pub(crate) meaning: Meaning,
    /// How many bits of a code are in use; `None` for all.
    pub(crate) bits: Option<u32>,
    /// Whether zero is the middle of the codes, so that there is no zero point to be chosen.
    pub(crate) symmetric: bool,
    /// Whether one bit stays unused, for instructions that add two products in 16 bits and saturate.
    pub(crate) reduce_range: bool,
    /// How the scale is found.
    pub(crate) rounding: Rounding,
    /// The type that scales are stored in; the weight's own, where none is given.
    pub(crate) scales: Option<DType>,
}

/// What codes stand for, times the scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The number that a code is in its type, less the zero point.
    Number,
    /// The value of NF4 at its place.
    Nf4,
}

/// Why a tensor cannot be quantized so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it is of type {0}")]
    Weight(DType),
    #[error("{0} is no type for codes")]
    Codes(DType),
    #[error("it holds a NaN or an infinity")]
    NotFinite,
    #[error("it has no axis {axis} of {rank}")]
    Axis { axis: usize, rank: usize },
    #[error("it has no elements")]
    Empty,
    #[error("a block of {0} elements")]
    Block(usize),
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// The codes in use, and which of them zero is where that is not to be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Codes {
    pub(super) low: i32,
    pub(super) high: i32,
    /// The code of zero; `None` where it is chosen for each scale.
    pub(super) zero: Option<i32>,
}

impl Scheme {
    /// Whole numbers of eight bits around zero.
    #[allow(dead_code, reason = "static quantization reads it")]
    pub(crate) const INT8: Self = Self::of(DType::Int8, true, Rounding::Nearest);

    /// Codes of this type that are numbers, all of them in use.
    pub(crate) const fn of(dtype: DType, symmetric: bool, rounding: Rounding) -> Self {
        Self { dtype, meaning: Meaning::Number, bits: None, symmetric, reduce_range: false, rounding, scales: None }
    }

    /// How many bits of a code are in use.
    pub(crate) fn used_bits(&self) -> u32 {
        self.bits.unwrap_or(self.dtype.bits() as u32)
    }

    /// Whether it chooses zero points, or zero is another code than 0.
    pub(crate) fn has_zero_points(&self) -> bool {
        self.meaning == Meaning::Number && self.codes().is_ok_and(|codes| codes.zero != Some(0))
    }

    /// The codes that the scheme uses. Symmetric ones of eight bits and more leave the lowest out, so that the range is the
    /// same on both sides; of few bits every code counts.
    ///
    /// # Errors
    /// Where the type is none for codes.
    pub(super) fn codes(&self) -> Result<Codes, Refusal> {
        let signed = match (self.dtype.kind(), self.dtype.bits()) {
            (Kind::Signed, 2 | 4 | 8 | 16) => true,
            (Kind::Unsigned, 2 | 4 | 8 | 16) => false,
            _ => return Err(Refusal::Codes(self.dtype)),
        };
        let (low, high) = range(self.dtype);
        // In range for all types of at most 16 bits.
        let (mut low, mut high) = (low as i32, high as i32);
        if let Some(bits) = self.bits.filter(|&bits| (1..16).contains(&bits)) {
            (low, high) = if signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) };
        }
        if self.reduce_range && signed {
            (low, high) = (low / 2, high / 2);
        } else if self.reduce_range {
            high /= 2;
        }
        let zero = match (self.symmetric, signed) {
            (false, _) => None,
            (true, true) => Some(0),
            (true, false) => Some((high + 1) / 2),
        };
        if self.symmetric && self.dtype.bits() >= 8 {
            low += 1;
        }
        Ok(Codes { low, high, zero })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_schemes() {
        let of = |dtype, symmetric, reduce_range| {
            let codes = Scheme { reduce_range, ..Scheme::of(dtype, symmetric, Rounding::Nearest) }.codes();
            codes.map(|Codes { low, high, zero }| (low, high, zero)).map_err(|error| error.to_string())
        };
        assert_eq!(of(DType::Int8, true, false), Ok((-127, 127, Some(0))));
        assert_eq!(of(DType::Int8, false, false), Ok((-128, 127, None)));
        assert_eq!(of(DType::Uint8, true, false), Ok((1, 255, Some(128))));
        assert_eq!(of(DType::Uint8, false, true), Ok((0, 127, None)));
        assert_eq!(of(DType::Int8, true, true), Ok((-63, 63, Some(0))));
        assert_eq!(of(DType::Int4, true, false), Ok((-8, 7, Some(0))));
        assert_eq!(of(DType::Uint4, true, false), Ok((0, 15, Some(8))));
        assert_eq!(of(DType::Int16, true, false), Ok((-32767, 32767, Some(0))));
        let three = Scheme { bits: Some(3), ..Scheme::of(DType::Uint4, true, Rounding::Nearest) };
        assert_eq!(three.codes(), Ok(Codes { low: 0, high: 7, zero: Some(4) }));
        assert_eq!(of(DType::Int32, true, false), Err("int32 is no type for codes".to_owned()));
    }
}
