//! What classifiers and ensembles make of raw scores.

use crate::evaluate::EvalError;

/// A function of the scores of one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Transform {
    None,
    Softmax,
    Logistic,
    SoftmaxZero,
    Probit,
}

impl Transform {
    pub(super) fn of_word(word: &str) -> Result<Self, EvalError> {
        Ok(match word {
            "NONE" => Self::None,
            "SOFTMAX" => Self::Softmax,
            "LOGISTIC" => Self::Logistic,
            "SOFTMAX_ZERO" => Self::SoftmaxZero,
            "PROBIT" => Self::Probit,
            other => return Err(EvalError::invalid(format!("`post_transform` is `{other}`"))),
        })
    }

    pub(super) fn of_number(number: i64) -> Result<Self, EvalError> {
        let all = [Self::None, Self::Softmax, Self::Logistic, Self::SoftmaxZero, Self::Probit];
        let found = usize::try_from(number).ok().and_then(|at| all.get(at).copied());
        found.ok_or_else(|| EvalError::invalid(format!("`post_transform` is {number}")))
    }

    pub(super) fn apply(self, row: &mut [f64]) {
        match self {
            Self::None => {}
            Self::Logistic => row.iter_mut().for_each(|x| *x = logistic(*x)),
            Self::Probit => row.iter_mut().for_each(|x| *x = probit(*x)),
            Self::Softmax => softmax(row, |x, highest| (x - highest).exp()),
            // A score of 0 means that nothing is known of the class, and gets no share of its own.
            Self::SoftmaxZero => {
                softmax(row, |x, highest| if x.abs() > 1e-7 { (x - highest).exp() } else { x * (-highest).exp() });
            }
        }
    }
}

fn softmax(row: &mut [f64], share: impl Fn(f64, f64) -> f64) {
    let highest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.iter_mut().for_each(|x| *x = share(*x, highest));
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|x| *x = if sum == 0.0 { 0.5 } else { *x / sum });
}

fn logistic(x: f64) -> f64 {
    let y = 1.0 / (1.0 + (-x.abs()).exp());
    if x < 0.0 { 1.0 - y } else { y }
}

/// The inverse of the normal distribution, by Winitzki's approximation of the inverse error function, as runtimes have it.
fn probit(x: f64) -> f64 {
    let y = 2.0 * x - 1.0;
    let log = ((1.0 - y) * (1.0 + y)).ln();
    if log == f64::NEG_INFINITY {
        return 0.0;
    }
    let a = 2.0 / (std::f64::consts::PI * 0.147) + 0.5 * log;
    let inverse = (-a + (a * a - log / 0.147).sqrt()).sqrt();
    std::f64::consts::SQRT_2 * if y < 0.0 { -inverse } else { inverse }
}

/// The place of the highest score, the first of equal ones.
pub(super) fn highest(row: &[f64]) -> usize {
    let mut best = 0;
    for (at, score) in row.iter().enumerate() {
        if *score > row[best] {
            best = at;
        }
    }
    best
}
