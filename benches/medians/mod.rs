//! What stands for several runs of the same.

/// How often each command runs.
pub(crate) const RUNS: usize = 5;

/// The figure in the middle.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
