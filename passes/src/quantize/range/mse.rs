//! The range with the least squared error.
//!
//! Within the range rounding costs a twelfth of a step's square; what lies outside is moved to the bound. Low and high bound
//! are narrowed in turns, each as long as the sum of both costs falls.

use super::Range;
use crate::evidence::Histogram;

/// Bounds that are tried, evenly between nothing and the widest.
const TRIED: u32 = 256;
/// Turns of low and high bound: each is chosen for the other, and nothing is gained after a few.
const TURNS: usize = 4;

/// Sums over the bins beyond a bound: how many elements, their sum and their squares, so that the cost of a bound is one look.
struct Tail {
    /// By bin, the outermost first: of that bin and all further out.
    sums: Vec<[f64; 3]>,
    width: f64,
}

impl Tail {
    /// Of magnitudes, nearest to zero first.
    fn of(counts: impl DoubleEndedIterator<Item = u64> + ExactSizeIterator, width: f64) -> Self {
        let mut sums = vec![[0.0; 3]; counts.len() + 1];
        for (bin, count) in counts.enumerate().rev() {
            let (middle, count) = ((bin as f64 + 0.5) * width, count as f64);
            let [n, sum, squares] = sums[bin + 1];
            sums[bin] = [n + count, sum + count * middle, squares + count * middle * middle];
        }
        Self { sums, width }
    }

    /// How many lie beyond a bound, and what it costs to move them there.
    fn beyond(&self, bound: f64) -> (f64, f64) {
        let bin = ((bound / self.width).ceil() as usize).min(self.sums.len() - 1);
        let [count, sum, squares] = self.sums[bin];
        (count, (squares - 2.0 * bound * sum + count * bound * bound).max(0.0))
    }
}

/// The range within `widest` that loses least with so many steps.
pub(super) fn range(histogram: &Histogram, widest: Range, steps: u32) -> Range {
    let (counts, width) = (histogram.counts(), histogram.width());
    let (below, above) = counts.split_at(counts.len() / 2);
    let (below, above) = (Tail::of(below.iter().rev().copied(), width), Tail::of(above.iter().copied(), width));
    let total = histogram.total() as f64;
    let cost = |low: f64, high: f64| {
        let ((few, clipped_low), (many, clipped_high)) = (below.beyond(-low), above.beyond(high));
        let step = (high - low) / f64::from(steps);
        (total - few - many) * step * step / 12.0 + clipped_low + clipped_high
    };
    let (mut low, mut high) = (widest.low, widest.high);
    let least = |bound: f64, cost: &dyn Fn(f64) -> f64| {
        let mut best = (cost(bound), bound);
        for tried in 1..TRIED {
            let candidate = bound * f64::from(TRIED - tried) / f64::from(TRIED);
            let lost = cost(candidate);
            if lost < best.0 {
                best = (lost, candidate);
            }
        }
        best.1
    };
    for _ in 0..TURNS {
        let before = (low, high);
        high = least(widest.high, &|bound| cost(low, bound));
        low = least(widest.low, &|bound| cost(bound, high));
        if (low, high) == before {
            break;
        }
    }
    Range { low, high }
}
