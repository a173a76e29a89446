//! How long steps are, where nobody says.
//!
//! Layers differ in the size of their weights by orders of magnitude, so a length that suits one is nothing to another, or ruins it.
//! With `auto` a step changes each parameter by a share of its own root mean square (N. Shazeer, M. Stern, "Adafactor", 2018), and
//! which share is tried out: trainings from the start, each with its whole schedule, of which those go on to a longer one that come
//! closest to the teacher on the samples held out (K. Jamieson, A. Talwalkar, "Non-stochastic Best Arm Identification", 2016). What
//! wins at once is often too short for long: so the first trainings leave two. A student near its teacher gets short steps that way,
//! and one that is far off long ones.

use std::borrow::Cow;
use std::fmt;

use crate::options::{BadValue, OptionType};
use crate::pass::PassError;
use crate::pipeline::text::{Spanned, Value};

/// Shares of a parameter's size that are tried, the longest first.
const TRIED: [f64; 5] = [0.03, 0.015, 0.006, 0.002, 0.0006];

/// How long trainings are, as a share of the one to come, and how many rates they leave.
const ROUNDS: [(f64, usize); 2] = [(0.08, 2), (0.25, 1)];

/// The fewest steps that say something.
const FEWEST: f64 = 24.0;

/// The size of parameters that are smaller, so that a bias of zeros can be learned.
const SMALLEST: f64 = 0.01;

/// The length of the longest step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LearningRate {
    /// A share of each parameter's size, which is tried out.
    Auto,
    /// So many percent of each parameter's size.
    Percent(f64),
    /// This one, for all parameters.
    Given(f64),
}

impl OptionType for LearningRate {
    fn type_name() -> Cow<'static, str> {
        "`auto`, number or percentage".into()
    }

    fn parse(value: &Spanned<Value>) -> Result<Self, BadValue> {
        let text = value.it.text();
        if text == Some("auto") {
            return Ok(Self::Auto);
        }
        if let Some(percent) = text.and_then(|text| text.strip_suffix('%')) {
            return percent.trim().parse().map(Self::Percent).map_err(|_| BadValue::of::<Self>(value));
        }
        f64::parse(value).map(Self::Given).map_err(|_| BadValue::of::<Self>(value))
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Given(length) => length.to_value(),
            other => Value::from_text(&other.to_string()),
        }
    }
}

impl fmt::Display for LearningRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Given(length) => write!(f, "{length}"),
        }
    }
}

/// What came of trying a rate.
pub(super) enum Trial {
    /// This loss, of samples held out.
    Ended(f64),
    /// Nothing: somebody wants an end.
    Interrupted,
    /// No end: why.
    Diverged(PassError),
}

/// How many steps all trials take together before a training of so many.
pub(super) fn spent(steps: usize) -> usize {
    let rates = [TRIED.len()].into_iter().chain(ROUNDS.iter().map(|&(_, left)| left));
    ROUNDS.iter().zip(rates).map(|(&(share, _), rates)| rates * trial(steps, share)).sum()
}

/// The steps of a trial before a training of so many.
fn trial(steps: usize, share: f64) -> usize {
    ((steps as f64 * share).max(FEWEST) as usize).min(steps)
}

/// Tries rates before a training of so many steps, each for as many as `attempt` is told; answers the one that is best in the end,
/// `None` where somebody wanted an end before.
///
/// # Errors
/// Where all rates make the training diverge, and where a trial cannot be.
pub(super) fn choose(
    steps: usize,
    mut attempt: impl FnMut(f64, usize) -> Result<Trial, PassError>,
) -> Result<Option<f64>, PassError> {
    let mut left = TRIED.to_vec();
    for (share, most) in ROUNDS {
        let mut ended = Vec::new();
        let mut failure = PassError::Request("the training diverged at whatever rate".to_owned());
        for &rate in &left {
            match attempt(rate, trial(steps, share))? {
                Trial::Ended(loss) if loss.is_finite() => ended.push((loss, rate)),
                Trial::Ended(_) => {}
                Trial::Interrupted => return Ok(None),
                Trial::Diverged(reason) => failure = reason,
            }
        }
        if ended.is_empty() {
            return Err(failure);
        }
        ended.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        left = ended.into_iter().map(|(_, rate)| rate).take(most).collect();
    }
    Ok(left.first().copied())
}

/// The root mean square of a parameter, of the elements that are no zeros.
pub(super) fn size(values: &[f32]) -> f64 {
    let squares = values.iter().filter(|&&value| value != 0.0).map(|&value| f64::from(value).powi(2));
    let (count, sum) = squares.fold((0usize, 0.0), |(count, sum), square| (count + 1, sum + square));
    f64::sqrt(sum / count.max(1) as f64).max(SMALLEST)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_best_at_once_need_not_be_in_the_end() {
        let mut lengths = Vec::new();
        let chosen = choose(1000, |rate, steps| {
            lengths.push((rate, steps));
            // Short steps are soon where they can get, long ones later and further.
            let (reach, pace) = (0.1 / rate, steps as f64 * rate);
            Ok(Trial::Ended(reach + (-pace).exp() * if steps < 100 { 100.0 * rate } else { 0.0 }))
        });
        assert_eq!(chosen.unwrap(), Some(0.03));
        assert_eq!(lengths.iter().map(|&(_, steps)| steps).collect::<Vec<_>>(), [80, 80, 80, 80, 80, 250, 250]);
        assert_eq!(lengths.iter().map(|&(_, steps)| steps).sum::<usize>(), spent(1000));
    }

    #[test]
    fn rates_that_diverge_are_out() {
        let diverged = || Trial::Diverged(PassError::Request("a loss of 1e9".to_owned()));
        let chosen = choose(100, |rate, _| Ok(if rate > 0.001 { diverged() } else { Trial::Ended(1.0) }));
        assert_eq!(chosen.unwrap(), Some(0.0006));
        assert_eq!(choose(100, |_, _| Ok(diverged())).unwrap_err().to_string(), "a loss of 1e9");
        assert_eq!(choose(100, |_, _| Ok(Trial::Interrupted)).unwrap(), None);
    }

    #[test]
    fn zeros_make_a_parameter_no_smaller() {
        assert!((size(&[3.0, 0.0, -4.0, 0.0]) - 12.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(size(&[0.0, 0.0]), SMALLEST);
    }
}
