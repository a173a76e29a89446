//! The range of most elements: as many are left out below as above.

use super::Range;
use crate::evidence::Histogram;

/// The range that holds `percent` of the elements.
pub(super) fn range(histogram: &Histogram, percent: f64) -> Range {
    let outside = (1.0 - percent / 100.0) / 2.0;
    Range::new(histogram.quantile(outside), histogram.quantile(1.0 - outside))
}
