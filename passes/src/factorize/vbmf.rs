//! How many singular values of a weight are signal, by variational Bayes.
//!
//! A weight is taken for a matrix of low rank and noise of unknown variance. The empirical variational Bayes solution of that model is
//! known in closed form but for the variance, which one minimization over one number gives; singular values below a
//! threshold that follows from it are noise. Source: Nakajima, Sugiyama, Babacan and Tomioka, "Global analytic solution of
//! fully-observed variational Bayesian matrix factorization" (JMLR 14, 2013).

/// `2.5129 √α` is where the threshold stands for matrices of any shape, but for an error far below that of samples (section 4 there).
const TAU: f64 = 2.5129;
/// Of the interval in which the variance is searched for, what is left is a ten-thousandth.
const STEPS: usize = 100;

/// What a shape says of the threshold.
#[derive(Clone, Copy)]
struct Shape {
    /// The shorter side over the longer.
    alpha: f64,
    longer: f64,
    /// Singular values count where their square over `longer` times the variance is above this.
    limit: f64,
}

impl Shape {
    /// The free energy as a function of the variance, up to what does not depend on it.
    fn energy(&self, squares: &[f64], variance: f64) -> f64 {
        let of = |square: &f64| {
            let x = square / (self.longer * variance);
            if x <= self.limit {
                return x - x.max(f64::MIN_POSITIVE).ln();
            }
            let rest = x - (1.0 + self.alpha);
            let tau = 0.5 * (rest + (rest * rest - 4.0 * self.alpha).max(0.0).sqrt());
            x - tau + ((tau + 1.0) / x).ln() + self.alpha * (tau / self.alpha + 1.0).ln()
        };
        squares.iter().map(of).sum()
    }
}

/// The rank of a matrix with these squares of singular values, the largest first; at least 1.
pub(super) fn rank(squares: &[f64], outputs: usize, columns: usize) -> usize {
    let (shorter, longer) = (outputs.min(columns) as f64, outputs.max(columns) as f64);
    let (alpha, total) = (shorter / longer, squares.iter().sum::<f64>());
    if squares.len() < 2 || total <= 0.0 || !total.is_finite() {
        return 1;
    }
    let tau = TAU * alpha.sqrt();
    let shape = Shape { alpha, longer, limit: (1.0 + tau) * (1.0 + alpha / tau) };
    // Beyond so many there is no signal to be told from noise.
    let most = ((shorter / (1.0 + alpha)).ceil() as usize).saturating_sub(1).clamp(1, squares.len() - 1);
    let noise = &squares[most..];
    let mean = noise.iter().sum::<f64>() / noise.len() as f64;
    let least = (noise[0] / (longer * shape.limit)).max(mean / longer).max(total * 1e-16 / (shorter * longer));
    let variance = minimum(least, total / (shorter * longer), |variance| shape.energy(squares, variance));
    squares.iter().filter(|square| **square > longer * variance * shape.limit).count().max(1)
}

/// Where a function of one number is least between two, by golden sections of the logarithm.
fn minimum(from: f64, to: f64, of: impl Fn(f64) -> f64) -> f64 {
    let section = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (from.ln(), to.max(from).ln());
    for _ in 0..STEPS {
        let (a, b) = (high - section * (high - low), low + section * (high - low));
        if of(a.exp()) <= of(b.exp()) {
            high = b;
        } else {
            low = a;
        }
    }
    (0.5 * (low + high)).exp()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use faer::Mat;
    use onnxpress_ir::random::SplitMix64;

    use super::super::spectrum::Spectrum;
    use super::*;

    #[test]
    fn signal_is_told_from_noise() {
        let mut random = SplitMix64::new(5);
        for (rows, columns, true_rank) in [(40, 60, 6), (80, 30, 3), (50, 50, 1)] {
            let mut drawn = |rows, columns| {
                let numbers: Vec<f64> = (0..rows * columns).map(|_| random.nearly_normal()).collect();
                Mat::from_fn(rows, columns, |i, j| numbers[i * columns + j])
            };
            let (u, v, noise) = (drawn(rows, true_rank), drawn(true_rank, columns), drawn(rows, columns));
            let mut weight = &u * &v;
            (0..rows).for_each(|i| (0..columns).for_each(|j| weight[(i, j)] += 0.3 * noise[(i, j)]));
            let spectrum = Spectrum::of(&weight, None).unwrap();
            assert_eq!(rank(&spectrum.values, rows, columns), true_rank, "{rows} by {columns}");
        }
    }

    #[test]
    fn whatever_comes_there_is_a_rank() {
        assert_eq!(rank(&[], 0, 3), 1);
        assert_eq!(rank(&[4.0], 1, 3), 1);
        assert_eq!(rank(&[0.0; 5], 5, 5), 1);
        assert_eq!(rank(&[f64::NAN; 5], 5, 5), 1);
        assert_eq!(rank(&[9.0, 0.0, 0.0], 3, 4), 1);
    }
}
