//! Quotients and remainders.
//!
//! `floor(p / q)` is brought to the form `a + floor(r / q)` where `p = a*q + r` and no term of `r` can be divided
//! further; for a constant `q` this leaves coefficients in `0..q`. Then the fraction is reduced in the ways that shape
//! arithmetic needs, and only what remains becomes an atom. Every step applies to any dividend and divisor, so the
//! result depends on their values alone, and a second application changes nothing.
//!
//! Source of the division: D. Cox, J. Little, D. O'Shea, "Ideals, Varieties, and Algorithms", chapter 2 section 3, with
//! one divisor and Euclidean division of the coefficients.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bounds::Interval;
use super::polynomial::{Atom, Monomial, Polynomial, gcd};
use super::{Dim, Repr};

/// Steps of one polynomial division; past it the quotient is left whole.
const MAX_STEPS: usize = 512;

impl Dim {
    /// The quotient rounded toward negative infinity, as Python's `//`. Unknown for a divisor 0.
    ///
    /// A divisor that is not constant is taken not to be 0.
    #[must_use]
    pub fn floor_div(&self, divisor: impl Into<Self>) -> Self {
        let divisor = divisor.into();
        if let (Repr::Constant(l), Repr::Constant(r)) = (&self.0, &divisor.0) {
            return floor_quotient(*l, *r).map(Self::from).unwrap_or_default();
        }
        match (self.polynomial(), divisor.polynomial()) {
            (Some(dividend), Some(divisor)) => Self::from_parts(divide(&dividend, &divisor)),
            _ => Self::unknown(),
        }
    }

    /// The quotient rounded toward positive infinity. Unknown for a divisor 0.
    #[must_use]
    pub fn ceil_div(&self, divisor: impl Into<Self>) -> Self {
        let divisor = divisor.into();
        if divisor.is_non_negative() == Some(true) {
            (self + &divisor - 1).floor_div(divisor)
        } else {
            -(-self).floor_div(divisor)
        }
    }

    /// What [`floor_div`](Self::floor_div) leaves; it has the sign of the divisor, as Python's `%` and ONNX's `Mod` with
    /// `fmod = 0`. Unknown for a divisor 0.
    #[must_use]
    pub fn modulo(&self, divisor: impl Into<Self>) -> Self {
        let divisor = divisor.into();
        self - self.floor_div(&divisor) * divisor
    }

    /// The quotient rounded toward 0, as ONNX's `Div` on integers. Unknown for a divisor 0, and where the quotient is
    /// neither exact nor of known sign.
    #[must_use]
    pub fn trunc_div(&self, divisor: impl Into<Self>) -> Self {
        let divisor = divisor.into();
        let negated = -&divisor;
        let rounded_down = self.floor_div(&divisor);
        if (&rounded_down * &divisor).equals(self) == Some(true) {
            return rounded_down;
        }
        let is_size = |dim: &Self| dim.is_non_negative() == Some(true);
        match (is_size(self), is_size(&-self), is_size(&divisor), is_size(&negated)) {
            (true, _, true, _) | (_, true, _, true) => rounded_down,
            (true, _, _, true) => -self.floor_div(negated),
            (_, true, true, _) => -(-self).floor_div(divisor),
            _ => Self::unknown(),
        }
    }
}

/// The quotient of integers rounded down; `None` for a divisor 0 and on overflow.
pub(super) fn floor_quotient(dividend: i64, divisor: i64) -> Option<i64> {
    let quotient = dividend.checked_div(divisor)?;
    let exact = dividend.checked_rem(divisor)? == 0;
    Some(if exact || (dividend < 0) == (divisor < 0) { quotient } else { quotient - 1 })
}

/// `floor(dividend / divisor)`; `None` for a divisor 0 and beyond the limits.
fn divide(dividend: &Polynomial, divisor: &Polynomial) -> Option<Polynomial> {
    if Interval::of(divisor).is_zero() {
        return None;
    }
    let (dividend, divisor) = cancel(dividend, divisor)?;
    let (whole, rest) = dividend.divided_by(&divisor).unwrap_or((Polynomial::default(), dividend));
    whole.plus(&proper_fraction(rest, divisor)?)
}

/// `floor(rest / divisor)` for a reduced dividend.
fn proper_fraction(rest: Polynomial, divisor: Polynomial) -> Option<Polynomial> {
    if rest.is_zero() {
        return Some(rest);
    }
    if let Some(value) = decided_by_bounds(&rest, &divisor) {
        return Some(Polynomial::constant(value));
    }
    let reductions = [reduce_by_shared_polynomial, merge_nested_quotient, reduce_by_content];
    for reduction in reductions {
        let reduced = reduction(&rest, &divisor).and_then(|(dividend, divisor)| divide(&dividend, &divisor));
        if let Some(quotient) = reduced {
            return Some(quotient);
        }
    }
    Polynomial::atom(Atom::FloorDiv(Arc::new((rest, divisor))))
}

/// Divides both by their common integer factor and monomial, and makes the leading coefficient of the divisor positive.
fn cancel(dividend: &Polynomial, divisor: &Polynomial) -> Option<(Polynomial, Polynomial)> {
    let sign = if divisor.terms().first()?.1 < 0 { -1 } else { 1 };
    let (dividend, divisor) = (dividend.scaled(sign)?, divisor.scaled(sign)?);
    let factor = gcd(dividend.content(), divisor.content());
    let monomials = || dividend.terms().iter().chain(divisor.terms()).map(|(monomial, _)| monomial);
    let first = monomials().next()?.clone();
    let shared = monomials().fold(first, |shared, monomial| shared.gcd(monomial));
    let reduce = |polynomial: &Polynomial| polynomial.without_factor(factor)?.without_monomial(&shared);
    Some((reduce(&dividend)?, reduce(&divisor)?))
}

/// The quotient where the bounds of the dividend leave only one value.
fn decided_by_bounds(rest: &Polynomial, divisor: &Polynomial) -> Option<i64> {
    let range = Interval::of(rest);
    if let Some(divisor) = divisor.as_constant() {
        let low = floor_quotient(range.low()?, divisor)?;
        return (low == floor_quotient(range.high()?, divisor)?).then_some(low);
    }
    if !Interval::of(divisor).is_non_negative() {
        return None;
    }
    let is_size = |gap: Option<Polynomial>| gap.is_some_and(|gap| Interval::of(&gap).is_non_negative());
    if range.is_non_negative() && is_size(divisor.minus(rest).and_then(|gap| gap.plus(&Polynomial::constant(-1)))) {
        return Some(0);
    }
    // A divisor that is at least 0 is at least 1.
    let is_within_one_divisor = range.low() == Some(-1) || is_size(divisor.plus(rest));
    (range.is_negative() && is_within_one_divisor).then_some(-1)
}

/// `s*a / (s*b) = a / b`, where the shared factor `s` is all of the one or the other but for a monomial.
fn reduce_by_shared_polynomial(rest: &Polynomial, divisor: &Polynomial) -> Option<(Polynomial, Polynomial)> {
    let of_divisor = divisor.primitive_part()?;
    let of_rest = rest.primitive_part()?;
    [of_divisor, of_rest].into_iter().filter(|shared| shared.as_constant().is_none()).find_map(|shared| {
        let (dividend, no_rest) = rest.divided_by(&shared)?;
        let (divisor, none_either) = divisor.divided_by(&shared)?;
        (no_rest.is_zero() && none_either.is_zero()).then_some((dividend, divisor))
    })
}

/// `floor((b + floor(x / a)) / q) = floor((a*b + x) / (a*q))` for `q > 0`, since `floor(floor(y) / q) = floor(y / q)`.
fn merge_nested_quotient(rest: &Polynomial, divisor: &Polynomial) -> Option<(Polynomial, Polynomial)> {
    if !Interval::of(divisor).is_non_negative() {
        return None;
    }
    rest.terms().iter().find_map(|(monomial, coefficient)| {
        let (Some(Atom::FloorDiv(inner)), 1) = (monomial.as_atom(), coefficient) else {
            return None;
        };
        let others = rest.minus(&Polynomial::from_sorted([(monomial.clone(), 1)])?)?;
        let (x, a) = (&inner.0, &inner.1);
        // With a symbolic `a` the product `a*b` would copy atoms, and reductions might not end.
        if !others.is_zero() && a.as_constant().is_none() {
            return None;
        }
        Some((others.times(a)?.plus(x)?, divisor.times(a)?))
    })
}

/// `floor((g*x + c) / (g*q)) = floor((x + floor(c / g)) / q)` for integers `g`, `c`, `q` above 0.
fn reduce_by_content(rest: &Polynomial, divisor: &Polynomial) -> Option<(Polynomial, Polynomial)> {
    let divisor = u64::try_from(divisor.as_constant()?).ok()?;
    let shared = gcd(divisor, rest.variable_content());
    if shared <= 1 {
        return None;
    }
    let shared_divisor = i64::try_from(shared).ok()?;
    let constant = rest.constant_term();
    let variable = rest.minus(&Polynomial::constant(constant))?.without_factor(shared)?;
    let constant = Polynomial::constant(floor_quotient(constant, shared_divisor)?);
    Some((variable.plus(&constant)?, Polynomial::constant(i64::try_from(divisor / shared).ok()?)))
}

impl Polynomial {
    /// Quotient and remainder: `self = quotient * divisor + remainder`, where no term of the remainder is divisible by
    /// the leading monomial of the divisor with a coefficient outside of `0..leading coefficient`.
    ///
    /// `None` if the leading coefficient of the divisor is not positive, and beyond the limits.
    pub(super) fn divided_by(&self, divisor: &Self) -> Option<(Self, Self)> {
        let ((leading, leading_coefficient), lower) = divisor.terms().split_first()?;
        let leading_coefficient = i128::from(*leading_coefficient);
        if leading_coefficient <= 0 {
            return None;
        }
        let mut open: BTreeMap<Monomial, i128> =
            self.terms().iter().map(|(monomial, coefficient)| (monomial.clone(), i128::from(*coefficient))).collect();
        let (mut quotient, mut remainder) = (Vec::new(), Vec::new());
        // Terms come in descending order and each step adds lower ones only, so both results come out sorted.
        for _ in 0..MAX_STEPS {
            let Some((monomial, coefficient)) = open.pop_last() else {
                return Some((Self::from_sorted(quotient)?, Self::from_sorted(remainder)?));
            };
            let Some(ratio) = monomial.divided_by(leading) else {
                remainder.push((monomial, coefficient));
                continue;
            };
            let factor = coefficient.div_euclid(leading_coefficient);
            for (lower_monomial, lower_coefficient) in lower {
                let product = factor.checked_mul(i128::from(*lower_coefficient))?;
                let term = open.entry(ratio.times(lower_monomial)?).or_default();
                *term = term.checked_sub(product)?;
            }
            quotient.push((ratio, factor));
            remainder.push((monomial, coefficient.rem_euclid(leading_coefficient)));
        }
        None
    }

    /// Divides every term by a monomial that divides it.
    fn without_monomial(&self, divisor: &Monomial) -> Option<Self> {
        self.map_terms(|(monomial, coefficient)| Some((monomial.divided_by(divisor)?, *coefficient)))
    }

    /// The polynomial without the integer and the monomial that divide it, with a positive leading coefficient.
    fn primitive_part(&self) -> Option<Self> {
        let (first, leading) = self.terms().first()?;
        let shared = self.terms().iter().fold(first.clone(), |shared, (monomial, _)| shared.gcd(monomial));
        self.scaled(leading.signum())?.without_factor(self.content())?.without_monomial(&shared)
    }
}
