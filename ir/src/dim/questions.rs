//! Questions about sizes, answered yes, no, or not at all: `None` always means that it cannot be told.

use std::cmp::Ordering;

use super::Dim;
use super::bounds::Interval;
use super::polynomial::Polynomial;

impl Dim {
    /// Whether both are the same size whatever the symbols stand for (`Some(true)`), or never (`Some(false)`).
    pub fn equals(&self, other: &Self) -> Option<bool> {
        let difference = self - other;
        let polynomial = difference.polynomial()?;
        if polynomial.is_zero() {
            return Some(true);
        }
        let range = Interval::of(&polynomial);
        if range.is_positive() || range.is_negative() || is_never_zero(&polynomial) {
            return Some(false);
        }
        let is_zero = range.is_zero() || polynomial.with_maxima_only().as_const() == Some(0);
        is_zero.then_some(true)
    }

    /// How both sizes compare whatever the symbols stand for.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        if self.equals(other) == Some(true) {
            return Some(Ordering::Equal);
        }
        let difference = self - other;
        let range = Interval::of(&*difference.polynomial()?);
        match (range.is_negative(), range.is_positive()) {
            (true, _) => Some(Ordering::Less),
            (_, true) => Some(Ordering::Greater),
            _ => None,
        }
    }

    /// A value that it is never below. Not always the largest such value.
    pub fn lower_bound(&self) -> Option<i64> {
        Interval::of(&*self.polynomial()?).low()
    }

    /// A value that it is never above. Not always the smallest such value.
    pub fn upper_bound(&self) -> Option<i64> {
        Interval::of(&*self.polynomial()?).high()
    }

    /// Whether it is always above 0 (`Some(true)`), or never (`Some(false)`).
    pub fn is_positive(&self) -> Option<bool> {
        (self - 1).is_non_negative()
    }

    /// Whether it is always at least 0 (`Some(true)`), or never (`Some(false)`).
    pub fn is_non_negative(&self) -> Option<bool> {
        let range = Interval::of(&*self.polynomial()?);
        match (range.is_non_negative(), range.is_negative()) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }

    /// Whether `divisor` always divides it (`Some(true)`), or never (`Some(false)`). `None` for a divisor 0.
    pub fn divisible_by(&self, divisor: i64) -> Option<bool> {
        if divisor == 0 {
            return None;
        }
        self.modulo(divisor.checked_abs()?).equals(&Self::from(0))
    }
}

/// Whether the variable part is a multiple of something that the constant is not.
fn is_never_zero(polynomial: &Polynomial) -> bool {
    let constant = polynomial.constant_term().unsigned_abs();
    constant.checked_rem(polynomial.variable_content()).is_some_and(|rest| rest != 0)
}
