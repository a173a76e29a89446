//! How long steps are, where nobody says.
//!
//! Layers differ in the size of their weights by orders of magnitude, so a length that suits one is nothing to another, or ruins it.
//! With `auto` a step changes each parameter by a share of its own root mean square (N. Shazeer, M. Stern, "Adafactor", 2018), and
//! which share is tried out: a short training from the start with each of a few, of which the one is taken that comes closest to the
//! teacher on the samples held out. A student near its teacher gets short steps that way, and one that is far off long ones.

use std::borrow::Cow;

use crate::options::{BadValue, OptionType};
use crate::pipeline::text::{Spanned, Value};

/// Shares of a parameter's size that are tried, the longest first.
pub(super) const TRIED: [f64; 4] = [0.03, 0.01, 0.003, 0.001];

/// The size of parameters that are smaller, so that a bias of zeros can be learned.
const SMALLEST: f64 = 0.01;

/// The length of the first step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LearningRate {
    /// A share of each parameter's size, which is tried out.
    Auto,
    /// This one, for all parameters.
    Given(f64),
}

impl OptionType for LearningRate {
    fn type_name() -> Cow<'static, str> {
        "`auto` or number".into()
    }

    fn parse(value: &Spanned<Value>) -> Result<Self, BadValue> {
        if value.it.text() == Some("auto") {
            return Ok(Self::Auto);
        }
        f64::parse(value).map(Self::Given).map_err(|_| BadValue::of::<Self>(value))
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Auto => Value::from_text("auto"),
            Self::Given(length) => length.to_value(),
        }
    }
}

/// The root mean square of a parameter, of the elements that are no zeros.
pub(super) fn size(values: &[f32]) -> f64 {
    let squares = values.iter().filter(|&&value| value != 0.0).map(|&value| f64::from(value).powi(2));
    let (count, sum) = squares.fold((0usize, 0.0), |(count, sum), square| (count + 1, sum + square));
    f64::sqrt(sum / count.max(1) as f64).max(SMALLEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_make_a_parameter_no_smaller() {
        assert!((size(&[3.0, 0.0, -4.0, 0.0]) - 12.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(size(&[0.0, 0.0]), SMALLEST);
    }
}
