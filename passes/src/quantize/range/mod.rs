//! Which range of a value's elements the codes are to cover, from what was measured of it.
//!
//! The extremes of what was seen ([`Calibration::Minmax`]) lose nothing to clipping, and spend codes on elements that hardly
//! ever come; the other ways give some of them up for finer steps. A file each.

mod entropy;
mod minmax;
mod mse;
mod percentile;

use crate::evidence::Statistics;

crate::option_enum! {
    /// How the range of a value is found.
    pub enum Calibration {
        /// The smallest and the largest element seen.
        Minmax,
        /// Without the outermost elements, the share of which `percentile` says.
        Percentile,
        /// The threshold that loses least information (Kullback-Leibler divergence, Migacz 2017).
        Entropy,
        /// The range with the least squared error: clipping against rounding.
        Mse,
    }
}

/// A range, zero being in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Range {
    /// From one bound to the other, and to zero.
    pub(crate) fn new(low: f64, high: f64) -> Self {
        Self { low: low.min(0.0), high: high.max(0.0) }
    }
}

/// How a range is to be found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Method {
    pub(crate) calibration: Calibration,
    /// Percent of the elements that `percentile` keeps inside.
    pub(crate) percentile: f64,
    /// Steps between the first and the last code.
    pub(crate) steps: u32,
}

impl Method {
    /// The range of a value of which this is known.
    pub(crate) fn range(&self, statistics: &Statistics) -> Range {
        let widest = minmax::range(statistics);
        let found = match self.calibration {
            Calibration::Minmax => return widest,
            Calibration::Percentile => percentile::range(&statistics.histogram, self.percentile),
            Calibration::Entropy => entropy::range(&statistics.histogram, widest, self.steps),
            Calibration::Mse => mse::range(&statistics.histogram, widest, self.steps),
        };
        // Bins are wider than what was in them.
        Range { low: found.low.max(widest.low), high: found.high.min(widest.high) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many small elements and a few large ones.
    fn tailed() -> Statistics {
        let mut statistics = Statistics::new(None);
        let mut values: Vec<f32> = (0..20_000u16).map(|index| (f32::from(index) * 0.618).fract() * 2.0 - 1.0).collect();
        values.extend([7.0, 8.0, -5.0]);
        statistics.add(&values, &[values.len()]);
        statistics
    }

    fn of(calibration: Calibration) -> Range {
        Method { calibration, percentile: 99.9, steps: 255 }.range(&tailed())
    }

    #[test]
    fn extremes_are_kept_or_given_up() {
        assert_eq!(of(Calibration::Minmax), Range { low: -5.0, high: 8.0 });
        for calibration in [Calibration::Percentile, Calibration::Entropy] {
            let range = of(calibration);
            assert!(range.high < 1.5 && range.low > -1.5, "{calibration}: {range:?}");
        }
        // Three elements among many: to clip them costs more than finer steps bring.
        let squared = of(Calibration::Mse);
        assert!(squared.high > 4.0 && squared.high <= 8.0, "{squared:?}");
    }

    #[test]
    fn what_never_was_seen_has_no_range() {
        for calibration in Calibration::ALL {
            let range = Method { calibration, percentile: 99.9, steps: 255 }.range(&Statistics::new(None));
            assert_eq!(range, Range { low: 0.0, high: 0.0 }, "{calibration}");
        }
    }
}
