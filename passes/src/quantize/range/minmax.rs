//! The extremes of what was seen.

use super::Range;
use crate::evidence::Statistics;

/// From the smallest element to the largest.
pub(super) fn range(statistics: &Statistics) -> Range {
    Range::new(f64::from(statistics.min), f64::from(statistics.max))
}
