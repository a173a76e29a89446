//! What values a polynomial can take, given that symbols are at least 0.
//!
//! Interval arithmetic alone loses the ties between terms: it says nothing about `N - 2*floor(N/2)`, which is 0 or 1. So
//! composite atoms are also opened where they stand alone in their terms, and every result is intersected:
//! - a sum with `k*max(a, b)` is the larger (for `k < 0` the smaller) of the sums with `k*a` and with `k*b`;
//! - `q*floor(x / q) = x - m` with `0 <= m <= q - 1` for `q > 0`.
//!
//! Each opened atom costs fuel, which bounds the work; without fuel the plain interval stands.

use super::polynomial::{Atom, Monomial, Polynomial};

/// Atoms opened while one question is answered.
const FUEL: u32 = 16;
/// Finite ends stay within this, so that sums of ends cannot overflow.
const LARGEST: i128 = 1 << 100;
const INFINITY: i128 = i128::MAX;

/// A set of integers between two ends, both included; the extreme values of `i128` stand for the infinities.
///
/// Ends of large magnitude are moved outward, so an interval may be wider than the set it describes, never narrower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    low: i128,
    high: i128,
}

impl Interval {
    const EVERYTHING: Self = Self { low: -INFINITY, high: INFINITY };

    fn new(low: i128, high: i128) -> Self {
        let low = if low < -LARGEST { -INFINITY } else { low.min(LARGEST) };
        let high = if high > LARGEST { INFINITY } else { high.max(-LARGEST) };
        Self { low, high }
    }

    fn exactly(value: i64) -> Self {
        Self::new(value.into(), value.into())
    }

    /// The values of a polynomial.
    pub(super) fn of(polynomial: &Polynomial) -> Self {
        let mut fuel = FUEL;
        opened(polynomial, &mut fuel, true)
    }

    /// The lower end, if there is one within 64 bits.
    pub(super) fn low(self) -> Option<i64> {
        i64::try_from(self.low).ok()
    }

    /// The upper end, if there is one within 64 bits.
    pub(super) fn high(self) -> Option<i64> {
        i64::try_from(self.high).ok()
    }

    pub(super) fn is_non_negative(self) -> bool {
        self.low >= 0
    }

    pub(super) fn is_zero(self) -> bool {
        (self.low, self.high) == (0, 0)
    }

    pub(super) fn is_positive(self) -> bool {
        self.low > 0
    }

    pub(super) fn is_negative(self) -> bool {
        self.high < 0
    }

    fn plus(self, other: Self) -> Self {
        Self::new(self.low.saturating_add(other.low), self.high.saturating_add(other.high))
    }

    fn times(self, other: Self) -> Self {
        let products = [
            self.low.saturating_mul(other.low),
            self.low.saturating_mul(other.high),
            self.high.saturating_mul(other.low),
            self.high.saturating_mul(other.high),
        ];
        let [first, rest @ ..] = products;
        let (low, high) = rest.into_iter().fold((first, first), |(low, high), end| (low.min(end), high.max(end)));
        Self::new(low, high)
    }

    fn power(self, exponent: u32) -> Self {
        let power = (0..exponent).fold(Self::exactly(1), |power, _| power.times(self));
        if exponent.is_multiple_of(2) { Self { low: power.low.max(0), ..power } } else { power }
    }

    /// The values of a quotient rounded down, for a divisor above 0.
    fn floor_div(self, divisor: Self) -> Self {
        let (least, greatest) = (divisor.low.max(1), divisor.high.max(1));
        let quotient = |end: i128, divisor: i128| match divisor {
            _ if !is_finite(end) => end,
            INFINITY => -i128::from(end < 0),
            _ => end.div_euclid(divisor),
        };
        let low = quotient(self.low, if self.low < 0 { least } else { greatest });
        let high = quotient(self.high, if self.high < 0 { greatest } else { least });
        Self::new(low, high)
    }

    /// The values common to both. Both describe the same thing, so they do meet, unless a symbol or a divisor cannot
    /// exist; then any answer will do.
    fn intersection(self, other: Self) -> Self {
        let (low, high) = (self.low.max(other.low), self.high.min(other.high));
        if low <= high { Self { low, high } } else { self }
    }
}

fn is_finite(end: i128) -> bool {
    end.unsigned_abs() <= LARGEST.unsigned_abs()
}

/// The interval of every term by itself, summed.
fn plain(polynomial: &Polynomial) -> Interval {
    let terms = polynomial.terms().iter().map(|(monomial, coefficient)| {
        let powers = monomial.factors().iter().map(|(atom, exponent)| of_atom(atom).power(*exponent));
        powers.fold(Interval::exactly(*coefficient), Interval::times)
    });
    terms.fold(Interval::exactly(0), Interval::plus)
}

fn of_atom(atom: &Atom) -> Interval {
    let operands = atom.operands();
    let mut intervals = operands.into_iter().map(plain);
    match atom {
        Atom::Symbol(_) => Interval { low: 0, high: INFINITY },
        Atom::FloorDiv(_) => match (intervals.next(), intervals.next()) {
            (Some(dividend), Some(divisor)) if divisor.is_non_negative() => dividend.floor_div(divisor),
            _ => Interval::EVERYTHING,
        },
        Atom::Min(_) => intervals.reduce(smaller).unwrap_or(Interval::EVERYTHING),
        Atom::Max(_) => intervals.reduce(larger).unwrap_or(Interval::EVERYTHING),
    }
}

fn smaller(left: Interval, right: Interval) -> Interval {
    Interval { low: left.low.min(right.low), high: left.high.min(right.high) }
}

fn larger(left: Interval, right: Interval) -> Interval {
    Interval { low: left.low.max(right.low), high: left.high.max(right.high) }
}

/// The plain interval, narrowed by what opening composite atoms tells: every one at the `top`, where the order matters (of
/// `min(N, 8) - min(N, 1)` only the first shows that it is at least 0), further down the first one.
fn opened(polynomial: &Polynomial, fuel: &mut u32, top: bool) -> Interval {
    let plain = plain(polynomial);
    // Rounding to integers tells most where the common factor is outside.
    if let Some((factor, reduced)) = reduced(polynomial) {
        let variable = opened(&reduced, fuel, top).times(Interval::exactly(factor));
        return plain.intersection(variable.plus(Interval::exactly(polynomial.constant_term())));
    }
    let mut composites: Vec<&Atom> = Vec::new();
    for (atom, _) in polynomial.terms().iter().flat_map(|(monomial, _)| monomial.factors()) {
        let opens = !matches!(atom, Atom::Symbol(_)) && occurs_once_in_each_term(polynomial, atom);
        if opens && !composites.contains(&atom) {
            composites.push(atom);
        }
    }
    let count = if top { composites.len() } else { 1 };
    composites.into_iter().take(count).fold(plain, |known, atom| {
        let Some(left) = fuel.checked_sub(1) else { return known };
        *fuel = left;
        let narrowed = split(polynomial, atom).and_then(|parts| match atom {
            Atom::FloorDiv(both) => open_quotient(&parts, &both.0, &both.1, fuel),
            _ => open_extremum(&parts, atom, fuel),
        });
        narrowed.map_or(known, |narrowed| known.intersection(narrowed))
    })
}

/// The common factor of the variable terms, if it is above 1, and these terms without it.
fn reduced(polynomial: &Polynomial) -> Option<(i64, Polynomial)> {
    let factor = polynomial.variable_content();
    if factor <= 1 {
        return None;
    }
    let constant = Polynomial::constant(polynomial.constant_term());
    Some((i64::try_from(factor).ok()?, polynomial.minus(&constant)?.without_factor(factor)?))
}

/// A polynomial as `others + cofactor * atom`, with the atom in neither.
struct Parts {
    others: Polynomial,
    cofactor: Polynomial,
}

fn occurs_once_in_each_term(polynomial: &Polynomial, atom: &Atom) -> bool {
    let mut factors = polynomial.terms().iter().flat_map(|(monomial, _)| monomial.factors());
    factors.all(|(other, exponent)| other != atom || *exponent == 1)
}

fn split(polynomial: &Polynomial, atom: &Atom) -> Option<Parts> {
    let single = Monomial::from(atom.clone());
    let (mut others, mut cofactor) = (Vec::new(), Vec::new());
    for (monomial, coefficient) in polynomial.terms() {
        match monomial.divided_by(&single) {
            Some(ratio) => cofactor.push((ratio, i128::from(*coefficient))),
            None => others.push((monomial.clone(), i128::from(*coefficient))),
        }
    }
    // Dividing all by the same monomial keeps their order.
    Some(Parts { others: Polynomial::from_sorted(others)?, cofactor: Polynomial::from_sorted(cofactor)? })
}

fn open_extremum(parts: &Parts, atom: &Atom, fuel: &mut u32) -> Option<Interval> {
    let sign = plain(&parts.cofactor);
    let keeps_order = match (sign.is_non_negative(), sign.high <= 0) {
        (true, _) => true,
        (_, true) => false,
        _ => return None,
    };
    let takes_larger = matches!(atom, Atom::Max(_)) == keeps_order;
    let mut result: Option<Interval> = None;
    for operand in atom.operands() {
        let sum = parts.others.plus(&parts.cofactor.times(operand)?)?;
        let case = opened(&sum, fuel, false);
        result = Some(match result {
            None => case,
            Some(result) if takes_larger => larger(result, case),
            Some(result) => smaller(result, case),
        });
    }
    result
}

/// Bounds `others + cofactor * floor(x / q)` where `q > 0`.
fn open_quotient(parts: &Parts, x: &Polynomial, q: &Polynomial, fuel: &mut u32) -> Option<Interval> {
    if !plain(q).is_non_negative() {
        return None;
    }
    // With `cofactor = k*q` the sum is `others + k*(x - m)`; with a constant cofactor `k`, `q` times the sum is
    // `q*others + k*(x - m)`. Either way `k*m` lies between 0 and `k*(q - 1)`.
    let exact = parts.cofactor.divided_by(q).filter(|(_, rest)| rest.is_zero());
    let exact = exact.and_then(|(ratio, _)| ratio.as_constant());
    let (k, scale) = match exact {
        Some(k) => (k, Polynomial::constant(1)),
        None => (parts.cofactor.as_constant()?, q.clone()),
    };
    let without_remainder = parts.others.times(&scale)?.plus_scaled(k, x)?;
    let largest_remainder = q.plus(&Polynomial::constant(-1))?;
    let with_remainder = without_remainder.plus_scaled(k.checked_neg()?, &largest_remainder)?;
    let (least, greatest) =
        if k > 0 { (with_remainder, without_remainder) } else { (without_remainder, with_remainder) };
    let scaled = Interval { low: opened(&least, fuel, false).low, high: opened(&greatest, fuel, false).high };
    Some(unscaled(scaled, &scale))
}

/// The integers whose product with `scale`, which is above 0, lies in the interval.
fn unscaled(product: Interval, scale: &Polynomial) -> Interval {
    match scale.as_constant().map(i128::from) {
        Some(scale) => Interval {
            low: if is_finite(product.low) { -(-product.low).div_euclid(scale) } else { product.low },
            high: if is_finite(product.high) { product.high.div_euclid(scale) } else { product.high },
        },
        // Of an unknown scale only the sign is left.
        None => Interval {
            low: if product.low >= 0 { i128::from(product.low > 0) } else { -INFINITY },
            high: if product.high <= 0 { -i128::from(product.high < 0) } else { INFINITY },
        },
    }
}
