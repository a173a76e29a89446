//! Two commands in turn: a machine's speed drifts and its disk more so, so a figure is the median of alternating runs and is told
//! as a ratio.

use std::process::Command;

use crate::medians::{RUNS, median};
use crate::process::{Figure, measure};

/// Runs two commands in turn; answers the median seconds of both, and the first one's memory.
pub(crate) fn paired(mut a: impl FnMut() -> Command, mut b: impl FnMut() -> Command) -> (Figure, f64) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        first.push(measure(&mut a()));
        second.push(measure(&mut b()).seconds);
    }
    let anonymous_kb = first.iter().map(|figure| figure.anonymous_kb).max().unwrap();
    let resident_kb = first.iter().map(|figure| figure.resident_kb).max().unwrap();
    (
        Figure { seconds: median(first.iter().map(|figure| figure.seconds).collect()), anonymous_kb, resident_kb },
        median(second),
    )
}
