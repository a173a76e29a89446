//! What is known of one channel: a constant, a mean, or the whole law, as a function of one normal variable.
//!
//! Batch normalization says how its output is distributed; what elementwise functions make of that is a function of the same
//! variable still. It is held by its values at the points of a grid, so that any function can be followed, and products of a
//! value with its own sigmoid too. The mean is a sum over the grid: the midpoint rule, which is exact to rounding for smooth
//! functions of a normal variable and to about 1e-3 standard deviations where one has a kink between points.

use std::sync::{Arc, LazyLock};

/// Points of the grid.
pub(super) const POINTS: usize = 64;
/// Half of the grid's width, in standard deviations: beyond it lies 2e-9 of the mass.
const REACH: f64 = 6.0;

/// Places on the axis of the normal variable, with their weights, which sum up to 1.
static GRID: LazyLock<Vec<(f64, f64)>> = LazyLock::new(|| {
    let step = 2.0 * REACH / POINTS as f64;
    let place = |index: usize| -REACH + (index as f64 + 0.5) * step;
    let mass = |z: f64| (-z * z / 2.0).exp();
    let whole: f64 = (0..POINTS).map(|index| mass(place(index))).sum();
    (0..POINTS).map(|index| (place(index), mass(place(index)) / whole)).collect()
});

/// What is known of the elements of a channel.
#[derive(Debug, Clone)]
pub(super) enum Law {
    /// Nothing.
    Unknown,
    /// All of them are this number.
    Constant(f64),
    /// Their mean.
    Mean(f64),
    /// Their values, as a function of a normal variable: at each point of the grid.
    Of {
        /// Which variable: those of different numbers are taken to be independent.
        source: u32,
        /// The values.
        at: Arc<[f32]>,
    },
}

impl Law {
    /// A normal variable of its own.
    pub(super) fn normal(source: u32, mean: f64, deviation: f64) -> Self {
        if deviation == 0.0 {
            return Self::Constant(mean);
        }
        Self::Of { source, at: GRID.iter().map(|(z, _)| (mean + deviation * z) as f32).collect() }
    }

    /// What a function gave at the points of the grid.
    pub(super) fn from_points(source: Option<u32>, at: &[f32]) -> Self {
        match source {
            _ if at.iter().any(|value| !value.is_finite()) => Self::Unknown,
            Some(source) if at.iter().any(|value| *value != at[0]) => Self::Of { source, at: at.into() },
            _ => at.first().map_or(Self::Unknown, |&value| Self::Constant(f64::from(value))),
        }
    }

    /// The mean, where it is known.
    pub(super) fn mean(&self) -> Option<f64> {
        match self {
            Self::Unknown => None,
            Self::Constant(mean) | Self::Mean(mean) => Some(*mean),
            Self::Of { at, .. } => Some(mean(at)),
        }
    }

    /// The variance, where the whole law is known.
    pub(super) fn variance(&self) -> Option<f64> {
        match self {
            Self::Unknown | Self::Mean(_) => None,
            Self::Constant(_) => Some(0.0),
            Self::Of { at, .. } => {
                let mean = mean(at);
                Some(at.iter().zip(&*GRID).map(|(&x, (_, weight))| weight * (f64::from(x) - mean).powi(2)).sum())
            }
        }
    }

    /// The values at the points of the grid; those of a mean are the mean.
    pub(super) fn write_points(&self, points: &mut Vec<f32>) {
        match self {
            Self::Of { at, .. } => points.extend_from_slice(at),
            _ => points.extend(std::iter::repeat_n(self.mean().unwrap_or(0.0) as f32, POINTS)),
        }
    }
}

/// The mean of what stands at the points of the grid.
pub(super) fn mean(at: &[f32]) -> f64 {
    at.iter().zip(&*GRID).map(|(&x, (_, weight))| weight * f64::from(x)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_of_functions_of_a_normal_variable() {
        let through = |mean: f64, deviation: f64, f: fn(f32) -> f32| {
            let Law::Of { at, .. } = Law::normal(0, mean, deviation) else { return f64::NAN };
            super::mean(&at.iter().map(|&x| f(x)).collect::<Vec<_>>())
        };
        let close = |found: f64, expected: f64, error: f64| assert!((found - expected).abs() < error, "{found}");
        // What is left of a normal variable above zero: 1 / sqrt(2 pi), and with another mean m F(m) + f(m).
        close(through(0.0, 1.0, |x| x.max(0.0)), 0.398_942, 1e-3);
        close(through(1.0, 1.0, |x| x.max(0.0)), 1.083_315, 1e-3);
        // Smooth ones to the rounding of what they are held in.
        close(through(0.5, 2.0, |x| 1.0 / (1.0 + (-x).exp())), 0.575_243, 1e-5);
        close(through(0.0, 1.0, |x| x * x), 1.0, 1e-6);
        assert!(matches!(Law::normal(0, 3.0, 0.0), Law::Constant(3.0)));
    }
}
