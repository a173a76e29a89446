//! Weights by recipe, so that a test can say `float[64,3,3,3] w = normal(seed=1, std=0.1)`.
//!
//! The same recipe makes the same bits on every machine: nothing but additions and multiplications follows on the bits of
//! [`SplitMix64`]. For the same reason `normal` is the [sum of twelve](SplitMix64::nearly_normal) uniform numbers rather than
//! anything that needs a logarithm.

use bytes::Bytes;

use super::error::Fault;
use crate::dtype::DType;
use crate::random::SplitMix64;
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
        let mut random = SplitMix64::new(match self {
            Self::Iota { .. } => 0,
            Self::Uniform { seed, .. } | Self::Normal { seed, .. } => seed,
        });
        (0u64..).map(move |index| match self {
            Self::Iota { start, step } => start + index as f64 * step,
            Self::Uniform { low, high, .. } => low + (high - low) * random.unit(),
            Self::Normal { mean, std, .. } => mean + std * random.nearly_normal(),
        })
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
    fn random_numbers_are_those_of_the_distribution() {
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
