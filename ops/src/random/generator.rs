//! Where random numbers come from.
//!
//! The standard names distributions, not a generator, so any will do. This one is a function of the node alone: a run can be
//! repeated to the bit, with or without a seed in the file.
//!
//! Source: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (SplitMix64).

use onnxpress_ir::AttrValue;

use crate::evaluate::{EvalCx, EvalError};

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Generator {
    state: u64,
}

impl Generator {
    /// The stream of a node: by its attribute `seed`, else by its name and those of its outputs, so that nodes differ.
    pub(crate) fn of(cx: &EvalCx<'_>) -> Result<Self, EvalError> {
        match cx.node.attr("seed") {
            Some(AttrValue::Int(seed)) => Ok(Self::new(*seed as u64)),
            Some(AttrValue::Float(seed)) => Ok(Self::new(u64::from(seed.to_bits()))),
            Some(other) => Err(EvalError::invalid(format!("attribute `seed` is of kind {}", other.kind()))),
            None => {
                let names = cx.node.name.iter().chain(cx.node.ports().iter().filter_map(|port| port.name.as_ref()));
                Ok(Self::new(hash(names.flat_map(|name| name.as_bytes().iter().copied()))))
            }
        }
    }

    fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 * 2f64.powi(-53)
    }

    /// Normal, of mean 0 and variance 1. Source: G. Box, M. Muller, Annals of Mathematical Statistics 29 (1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Source of the constants: G. Fowler, L. Noll, P. Vo, the 64-bit FNV-1a hash.
fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut generator = Generator::new(7);
        let count = 20_000;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / f64::from(count);
        let uniform: Vec<f64> = (0..count).map(|_| generator.uniform()).collect();
        assert!((mean(&uniform) - 0.5).abs() < 0.01 && uniform.iter().all(|x| (0.0..1.0).contains(x)));
        let normal: Vec<f64> = (0..count).map(|_| generator.normal()).collect();
        let squares: Vec<f64> = normal.iter().map(|x| x * x).collect();
        assert!(mean(&normal).abs() < 0.03 && (mean(&squares) - 1.0).abs() < 0.05);
    }
}
