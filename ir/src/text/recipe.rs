//! Weights by recipe, so that a test can say `float[64,3,3,3] w = normal(seed=1, std=0.1)`.
//!
//! The same recipe makes the same bits on every machine: pseudo-random numbers come from SplitMix64 (Steele, Lea and Flood,
//! "Fast Splittable Pseudorandom Number Generators", 2014), and nothing but additions and multiplications follows. For the
//! same reason `normal` is the sum of twelve uniform numbers, which is within 0.01 of the normal distribution function and
//! never beyond six standard deviations, rather than anything that needs a logarithm.

use bytes::Bytes;

use super::error::Fault;
use crate::dtype::DType;
use crate::tensor::Tensor;

/// How to make elements, in row-major order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Recipe {
    /// `start`, `start + step`, …
    Iota { start: f64, step: f64 },
    /// Independent, uniform in `[low, high)`.
    Uniform { seed: u64, low: f64, high: f64 },
    /// Independent, nearly normal.
    Normal { seed: u64, mean: f64, std: f64 },
}

impl Recipe {
    fn name(self) -> &'static str {
        match self {
            Self::Iota { .. } => "iota",
            Self::Uniform { .. } => "uniform",
            Self::Normal { .. } => "normal",
        }
    }

    fn values(self) -> impl Iterator<Item = f64> {
        let mut random = SplitMix64(match self {
            Self::Iota { .. } => 0,
            Self::Uniform { seed, .. } | Self::Normal { seed, .. } => seed,
        });
        (0u64..).map(move |index| match self {
            Self::Iota { start, step } => start + index as f64 * step,
            Self::Uniform { low, high, .. } => low + (high - low) * random.unit(),
            Self::Normal { mean, std, .. } => mean + std * ((0..12).map(|_| random.unit()).sum::<f64>() - 6.0),
        })
    }
}

struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In `[0, 1)`, a multiple of 2⁻⁵³.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The tensor of a recipe. `count` is the number of elements of `dims`.
pub(super) fn make(recipe: Recipe, dtype: DType, dims: &[usize], count: usize) -> Result<Tensor, Fault> {
    let values = recipe.values().take(count);
    Ok(match dtype {
        DType::Float => Tensor::from_values(dims, values.map(|value| value as f32).collect())?,
        DType::Complex64 | DType::Complex128 | DType::String => {
            return Err(Fault::Recipe { recipe: recipe.name(), dtype });
        }
        _ => Tensor::from_f64s(dtype, dims, &values.collect::<Vec<_>>())?,
    })
}

/// A tensor of `count` times the element of a scalar.
pub(super) fn repeat(one: &Tensor, dims: &[usize], count: usize) -> Result<Tensor, Fault> {
    if let Some(strings) = one.strings() {
        return Ok(Tensor::from_strings(dims, strings.iter().cycle().take(count).cloned().collect())?);
    }
    if (1..8).contains(&one.dtype().bits()) {
        let code = one.to_codes()?.first().copied().unwrap_or_default();
        return Ok(Tensor::from_codes(one.dtype(), dims, &vec![code; count])?);
    }
    let bytes = one.bytes().map_or(&[][..], |bytes| bytes.as_ref()).repeat(count);
    Ok(Tensor::from_bytes(one.dtype(), dims, Bytes::from(bytes))?)
}

/// The only element of a tensor that has no other, by value.
pub(super) fn uniform_element(tensor: &Tensor) -> Option<Tensor> {
    let dtype = tensor.dtype();
    if tensor.is_empty() {
        return None;
    }
    if let Some(strings) = tensor.strings() {
        let first = strings.first()?;
        return if strings.iter().all(|s| s == first) {
            Tensor::from_strings(&[], vec![first.clone()]).ok()
        } else {
            None
        };
    }
    if (1..8).contains(&dtype.bits()) {
        let codes = tensor.to_codes().ok()?;
        let first = *codes.first()?;
        return if codes.iter().all(|&code| code == first) {
            Tensor::from_codes(dtype, &[], &[first]).ok()
        } else {
            None
        };
    }
    let bytes = tensor.bytes()?;
    let width = dtype.bits() / 8;
    let first = bytes.get(..width)?;
    if bytes.chunks_exact(width).all(|element| element == first) {
        Tensor::from_bytes(dtype, &[], bytes.slice(..width)).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn random_numbers_are_those_of_the_paper_and_of_the_distribution() {
        // The first outputs of the reference implementation for seed 1234567.
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);

        let recipe = Recipe::Normal { seed: 1, mean: 2.0, std: 0.5 };
        let values = make(recipe, DType::Double, &[10_000], 10_000).unwrap().to_f64s().unwrap();
        let mean = values.iter().sum::<f64>() / 1e4;
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / 1e4;
        assert!((mean - 2.0).abs() < 0.02 && (variance - 0.25).abs() < 0.01, "{mean} {variance}");
    }

    #[test]
    fn an_element_repeated_is_found_again_at_every_width() {
        for (dtype, value) in
            [(DType::Int4, -3.0), (DType::Float6e2m3, 1.5), (DType::Float16, 2.0), (DType::Uint64, 7.0)]
        {
            let one = Tensor::from_f64s(dtype, &[], &[value]).unwrap();
            let many = repeat(&one, &[2, 3], 6).unwrap();
            assert_eq!(many.to_f64s().unwrap(), [value; 6]);
            assert_eq!(uniform_element(&many), Some(one));
        }
        assert_eq!(uniform_element(&Tensor::vector(vec![1i64, 2])), None);
    }
}
