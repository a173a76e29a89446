//! The threshold that loses least information.
//!
//! What is beyond a threshold is clipped to it, and what is within falls into as many levels as there are codes. Of all
//! thresholds the one is taken whose levels, spread over the bins again, diverge least from the clipped distribution.
//!
//! Source: Migacz, "8-bit inference with TensorRT", GTC 2017, for magnitudes with 128 levels. Elements on one side of zero only
//! have all levels on that side.

use super::Range;
use crate::evidence::Histogram;

/// Bins of the distribution that is looked at.
const BINS: usize = 2048;
/// The largest share of the elements that is beyond a threshold: behind a hundred layers each tenth of a thousandth counts.
const CLIPPED: f64 = 2e-4;
/// Between two thresholds that are tried, in bins.
const STRIDE: usize = 8;

/// The range within `widest` that keeps most of the information with so many steps.
pub(super) fn range(histogram: &Histogram, widest: Range, steps: u32) -> Range {
    let largest = widest.high.max(-widest.low);
    if largest <= 0.0 {
        return widest;
    }
    let magnitudes = magnitudes(histogram, largest);
    let one_sided = widest.low == 0.0 || widest.high == 0.0;
    let levels = (steps as usize + 1) / if one_sided { 1 } else { 2 };
    let threshold = largest * threshold(&magnitudes, levels.max(2)) as f64 / BINS as f64;
    Range { low: widest.low.max(-threshold), high: widest.high.min(threshold) }
}

/// How many elements have a magnitude in each of so many bins up to the largest. Zeros are left out: they lose nothing.
fn magnitudes(histogram: &Histogram, largest: f64) -> Vec<f64> {
    let mut bins = vec![0.0; BINS];
    let zero = histogram.counts().len() / 2;
    for (bin, &count) in histogram.counts().iter().enumerate().filter(|&(bin, &count)| count > 0 && bin != zero) {
        let place = histogram.middle(bin).abs() / largest * BINS as f64;
        bins[(place as usize).min(BINS - 1)] += count as f64;
    }
    bins
}

/// The number of bins within the best threshold.
fn threshold(bins: &[f64], levels: usize) -> usize {
    let mut best = (f64::INFINITY, BINS);
    // With fewer bins than levels nothing is rounded at all. And whatever information says, elements beyond the threshold are
    // all made one: of a distribution with one high peak more would be taken away than the layers behind it can bear.
    let most: f64 = bins.iter().sum::<f64>() * CLIPPED;
    let mut beyond = 0.0;
    let held = bins.iter().rposition(|count| {
        beyond += count;
        beyond > most
    });
    let first = levels.max(held.map_or(0, |bin| bin + 1)).min(BINS);
    for within in (first..=BINS).rev().step_by(STRIDE) {
        let diverges = divergence(bins, within, levels);
        if diverges < best.0 {
            best = (diverges, within);
        }
    }
    best.1
}

/// Kullback-Leibler divergence of the levels from the clipped distribution.
fn divergence(bins: &[f64], within: usize, levels: usize) -> f64 {
    let clipped: f64 = bins[within..].iter().sum();
    let total: f64 = bins.iter().sum();
    let kept = total - clipped;
    if kept <= 0.0 {
        return f64::INFINITY;
    }
    let mut sum = 0.0;
    for level in 0..levels {
        let (from, to) = (level * within / levels, (level + 1) * within / levels);
        let of_level = &bins[from..to];
        let (held, seen) = (of_level.iter().sum::<f64>(), of_level.iter().filter(|&&count| count > 0.0).count());
        // A level's elements are spread evenly over those of its bins that have any.
        let spread = held / seen.max(1) as f64 / kept;
        for (bin, &count) in (from..to).zip(of_level) {
            let reference = (count + if bin + 1 == within { clipped } else { 0.0 }) / total;
            if reference > 0.0 {
                // An empty bin at the bound has to hold all that was clipped.
                let answer = if count > 0.0 { spread } else { 1e-12 };
                sum += reference * (reference / answer).ln();
            }
        }
    }
    sum
}
