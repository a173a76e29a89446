//! How a training went, epoch by epoch.

use serde::{Deserialize, Deserializer, Serialize};

/// From low to high.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How many bars are shown at most.
const MOST_BARS: usize = 30;

/// What is known after an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Point {
    /// How many epochs there were; 0 before the first.
    pub(super) epoch: usize,
    /// The mean loss over the epoch's steps; of the start, that of the samples held out.
    #[serde(deserialize_with = "number")]
    pub(super) train_loss: f64,
    /// The mean loss over the samples held out.
    #[serde(deserialize_with = "number")]
    pub(super) loss: f64,
    /// The share of these on which student and teacher choose the same class.
    #[serde(deserialize_with = "number")]
    pub(super) agreement: f64,
    /// Whether these are the weights that are kept.
    pub(super) kept: bool,
}

/// A number; what JSON has no word for is none.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Option::deserialize(deserializer).map(|number| number.unwrap_or(f64::NAN))
}

/// The losses as a line of bars, as high as their logarithms: losses fall by factors.
pub(super) fn drawn(curve: &[Point]) -> String {
    let log = |loss: f64| if loss == 0.0 { f64::MIN_POSITIVE.ln() } else { loss.ln() };
    let losses: Vec<f64> = curve.iter().map(|point| log(point.loss)).collect();
    let finite = || losses.iter().copied().filter(|loss| loss.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let step = losses.len().div_ceil(MOST_BARS).max(1);
    let bar = |loss: &f64| {
        let height = if high > low { (loss - low) / (high - low) } else { 0.0 };
        let top = BARS.len() - 1;
        // A loss that is no number stands as high as can be.
        if loss.is_finite() { BARS[((height * top as f64).round() as usize).min(top)] } else { BARS[top] }
    };
    losses.iter().step_by(step).map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_drawn_by_their_logarithms() {
        let point = |loss: f64| Point { epoch: 0, train_loss: loss, loss, agreement: 1.0, kept: false };
        let curve: Vec<Point> = [1.0, 0.1, 0.01, f64::NAN, 0.001].into_iter().map(point).collect();
        assert_eq!(drawn(&curve), "█▆▃█▁");
        assert_eq!(drawn(&curve[..1]), "▁");
        assert_eq!(drawn(&vec![point(1.0); 90]).chars().count(), 30);
    }
}
