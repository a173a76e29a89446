//! What codes take: as they are written, once they are compressed, and at the least.

use bytes::Bytes;
use onnxpress_ir::{DType, Tensor};

use crate::compressed_size::zstd;

/// The codes of a weight, and what they take.
#[derive(Debug, Clone, PartialEq)]
pub struct CodeBytes {
    /// The weight.
    pub tensor: String,
    /// The type of its codes.
    pub dtype: DType,
    /// How many bits of a code are in use.
    pub bits: u32,
    /// How many codes there are.
    pub codes: usize,
    /// The bytes that they take in the file.
    pub raw: usize,
    /// The same after zstd at its fastest level.
    pub zstd: usize,
    /// Their entropy in bits a code: the least that any coding of single codes takes.
    pub entropy: f64,
}

impl CodeBytes {
    /// Of codes; `None` where they are of a type that has none.
    pub(crate) fn of(tensor: &str, codes: &Tensor, bits: u32) -> Option<Self> {
        let bytes = codes.unmade().map(|unmade| unmade.make()).or_else(|| codes.bytes().cloned())?;
        let counts = counts(codes.dtype(), &bytes, codes.len())?;
        Some(Self {
            tensor: tensor.to_owned(),
            dtype: codes.dtype(),
            bits,
            codes: codes.len(),
            raw: bytes.len(),
            zstd: zstd(&[bytes]),
            entropy: entropy(&counts),
        })
    }
}

/// How often each code is there, of `count` that are packed in bytes.
fn counts(dtype: DType, bytes: &Bytes, count: usize) -> Option<Vec<u64>> {
    let bits = dtype.bits();
    let mut counts = vec![0u64; 1 << bits.min(16)];
    match bits {
        1..=8 => {
            let (each, mask) = (8 / bits, counts.len() - 1);
            let codes = bytes.iter().flat_map(|&byte| (0..each).map(move |place| usize::from(byte) >> (place * bits)));
            codes.take(count).for_each(|code| counts[code & mask] += 1);
        }
        16 => bytes.as_chunks().0.iter().for_each(|&code| counts[usize::from(u16::from_le_bytes(code))] += 1),
        _ => return None,
    }
    Some(counts)
}

/// Bits a code.
fn entropy(counts: &[u64]) -> f64 {
    let all: u64 = counts.iter().sum();
    let share = |&count: &u64| count as f64 / all.max(1) as f64;
    let bits = counts.iter().map(share).filter(|&share| share > 0.0).map(|share| -share * share.log2()).sum::<f64>();
    // A sum of nothing is a negative zero.
    bits + 0.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn codes_are_counted_in_whatever_they_are_packed() {
        let of = |dtype, codes: &[i64]| {
            let tensor = Tensor::from_i64s(dtype, &[codes.len()], codes).unwrap();
            let it = CodeBytes::of("w", &tensor, 4).unwrap();
            (it.raw, it.entropy)
        };
        assert_eq!(of(DType::Int4, &[-8, 7, 0]), (2, 3f64.log2()));
        assert_eq!(of(DType::Uint2, &[0, 1, 2, 3, 0, 1, 2, 3]), (2, 2.0));
        assert_eq!(of(DType::Int8, &[5; 100]), (100, 0.0));
        assert_eq!(of(DType::Int16, &[-300, 300]), (4, 1.0));
        assert!(CodeBytes::of("w", &Tensor::vector(vec![1f32]), 4).is_none());
    }
}
