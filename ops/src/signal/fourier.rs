//! The discrete Fourier transform of one signal, by its definition: slow, and right to the last places.

use std::f64::consts::TAU;

use num_complex::Complex;

/// The roots of unity that a transform of one length multiplies with.
pub(super) struct Fourier {
    roots: Vec<Complex<f64>>,
}

impl Fourier {
    /// Transforms of this length.
    pub(super) fn of_length(length: usize) -> Self {
        let angle = |at: usize| TAU * at as f64 / length as f64;
        Self { roots: (0..length).map(|at| Complex::from_polar(1.0, -angle(at))).collect() }
    }

    fn root(&self, k: usize, t: usize) -> Complex<f64> {
        self.roots[((k as u128 * t as u128) % self.roots.len() as u128) as usize]
    }

    /// The first `bins` frequencies of a signal, which is cut or filled with zeros to the length.
    pub(super) fn forward(&self, signal: &[Complex<f64>], bins: usize) -> Vec<Complex<f64>> {
        let length = self.roots.len();
        (0..bins).map(|k| signal.iter().take(length).enumerate().map(|(t, x)| x * self.root(k, t)).sum()).collect()
    }

    /// The signal of these frequencies.
    pub(super) fn inverse(&self, frequencies: &[Complex<f64>]) -> Vec<Complex<f64>> {
        let length = self.roots.len();
        let sum = |t| -> Complex<f64> {
            frequencies.iter().take(length).enumerate().map(|(k, x)| x * self.root(k, t).conj()).sum()
        };
        (0..length).map(|t| sum(t) / length as f64).collect()
    }

    /// The real signal of which these are the frequencies from zero to one half.
    pub(super) fn inverse_real(&self, half: &[Complex<f64>]) -> Vec<Complex<f64>> {
        let length = self.roots.len();
        let mut all = vec![Complex::default(); length];
        for (k, &x) in half.iter().take(length / 2 + 1).enumerate() {
            if k == 0 || 2 * k == length {
                // Its own mirror image, so it is real.
                all[k] = x.re.into();
            } else {
                all[k] = x;
                all[length - k] = x.conj();
            }
        }
        self.inverse(&all).into_iter().map(|x| x.re.into()).collect()
    }
}
