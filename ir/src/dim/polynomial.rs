//! Polynomials with integer coefficients over atoms: the normal form behind [`Dim`](super::Dim).
//!
//! Terms are kept in descending graded lexicographic order without zero coefficients, so that equal polynomials are
//! equal values. The order is compatible with multiplication, which division relies on.
//! Every operation is partial: `None` says that a coefficient left the 64 bits or that the result is too large to be
//! worth keeping. The limits bound time and memory whatever a file asks for.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::Symbol;

/// Terms of one polynomial. Shapes of real models stay below ten.
const MAX_TERMS: usize = 64;
/// Degree of one term: the product of all extents of a tensor of any sane rank fits.
const MAX_DEGREE: u32 = 32;
/// Nesting of `floor`, `min` and `max`.
const MAX_DEPTH: u32 = 8;
/// Factors and terms of a polynomial together with all that its atoms hold.
const MAX_SIZE: u32 = 512;

/// What a polynomial treats as a variable.
///
/// Operands of the composite atoms are in normal form themselves; `divide` and `extrema` are the only makers.
/// There is no remainder: it is written `p - q * floor(p / q)`, which makes `q * floor(p / q) + p mod q = p` an identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Atom {
    Symbol(Symbol),
    /// The quotient of the first by the second, rounded toward negative infinity.
    FloorDiv(Arc<(Polynomial, Polynomial)>),
    Min(Arc<[Polynomial]>),
    Max(Arc<[Polynomial]>),
}

impl Atom {
    /// What a composite atom is applied to.
    pub(super) fn operands(&self) -> SmallVec<[&Polynomial; 4]> {
        match self {
            Self::Symbol(_) => SmallVec::new(),
            Self::FloorDiv(both) => [&both.0, &both.1].into_iter().collect(),
            Self::Min(all) | Self::Max(all) => all.iter().collect(),
        }
    }

    fn depth(&self) -> u32 {
        let inner = self.operands().into_iter().map(|operand| operand.depth + 1);
        inner.max().unwrap_or(0)
    }

    fn size(&self) -> u32 {
        let inner = self.operands().into_iter().map(Polynomial::size);
        inner.fold(1, u32::saturating_add)
    }
}

/// A product of atoms with positive exponents, by ascending atom; the empty product is 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Monomial(SmallVec<[(Atom, u32); 2]>);

impl Monomial {
    pub(super) fn factors(&self) -> &[(Atom, u32)] {
        &self.0
    }

    pub(super) fn is_one(&self) -> bool {
        self.0.is_empty()
    }

    /// The atom that this monomial is, if it is just that.
    pub(super) fn as_atom(&self) -> Option<&Atom> {
        match self.factors() {
            [(atom, 1)] => Some(atom),
            _ => None,
        }
    }

    fn degree(&self) -> u32 {
        let exponents = self.0.iter().map(|(_, exponent)| *exponent);
        exponents.fold(0, u32::saturating_add)
    }

    /// Walks both factor lists by ascending atom and keeps the atoms whose combined exponent is not 0.
    /// `None` as soon as `combine` gives `None`.
    fn merge(&self, other: &Self, combine: impl Fn(u32, u32) -> Option<u32>) -> Option<Self> {
        let (mut left, mut right) = (self.factors(), other.factors());
        let mut merged = SmallVec::new();
        loop {
            let order = match (left.first(), right.first()) {
                (None, None) => return Some(Self(merged)),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(l), Some(r)) => l.0.cmp(&r.0),
            };
            let mut taken = None;
            let mut exponents = (0, 0);
            if let (true, Some(((atom, exponent), rest))) = (order.is_le(), left.split_first()) {
                (taken, exponents.0, left) = (Some(atom), *exponent, rest);
            }
            if let (true, Some(((atom, exponent), rest))) = (order.is_ge(), right.split_first()) {
                (taken, exponents.1, right) = (Some(atom), *exponent, rest);
            }
            let exponent = combine(exponents.0, exponents.1)?;
            if let (Some(atom), true) = (taken, exponent > 0) {
                merged.push((atom.clone(), exponent));
            }
        }
    }

    pub(super) fn times(&self, other: &Self) -> Option<Self> {
        let product = self.merge(other, u32::checked_add)?;
        (product.degree() <= MAX_DEGREE).then_some(product)
    }

    pub(super) fn divided_by(&self, other: &Self) -> Option<Self> {
        self.merge(other, u32::checked_sub)
    }

    pub(super) fn gcd(&self, other: &Self) -> Self {
        self.merge(other, |l, r| Some(l.min(r))).unwrap_or_default()
    }
}

impl From<Atom> for Monomial {
    fn from(atom: Atom) -> Self {
        Self([(atom, 1)].into_iter().collect())
    }
}

/// Graded lexicographic: first by degree, then by the exponent of the smallest atom where they differ.
impl Ord for Monomial {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_degree = self.degree().cmp(&other.degree());
        let differing = self.0.iter().zip(&other.0).find(|(l, r)| l != r);
        by_degree.then_with(|| match differing {
            // The side that has the smaller atom has the larger exponent of it.
            Some((l, r)) => r.0.cmp(&l.0).then(l.1.cmp(&r.1)),
            None => self.0.len().cmp(&other.0.len()),
        })
    }
}

impl PartialOrd for Monomial {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A monomial and its coefficient.
pub(super) type Term = (Monomial, i64);

/// A sum of terms within the limits; the empty sum is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Polynomial {
    terms: Vec<Term>,
    /// Nesting of the deepest atom, 0 over symbols alone.
    depth: u32,
    /// What [`MAX_SIZE`] limits.
    size: u32,
}

impl Polynomial {
    /// The sum of terms that come in strictly descending order; zero coefficients are dropped.
    pub(super) fn from_sorted(terms: impl IntoIterator<Item = (Monomial, i128)>) -> Option<Self> {
        let mut sum = Self::default();
        for (monomial, coefficient) in terms {
            if coefficient == 0 {
                continue;
            }
            sum.size += 1;
            for (atom, _) in monomial.factors() {
                sum.depth = sum.depth.max(atom.depth());
                sum.size = sum.size.saturating_add(atom.size());
            }
            sum.terms.push((monomial, i64::try_from(coefficient).ok()?));
            if sum.terms.len() > MAX_TERMS || sum.depth > MAX_DEPTH || sum.size > MAX_SIZE {
                return None;
            }
        }
        Some(sum)
    }

    pub(super) fn constant(value: i64) -> Self {
        let terms: Vec<Term> = (value != 0).then(|| (Monomial::default(), value)).into_iter().collect();
        Self { size: u32::from(value != 0), depth: 0, terms }
    }

    pub(super) fn atom(atom: Atom) -> Option<Self> {
        Self::from_sorted([(Monomial::from(atom), 1)])
    }

    pub(super) fn terms(&self) -> &[Term] {
        &self.terms
    }

    pub(super) fn depth(&self) -> u32 {
        self.depth
    }

    pub(super) fn size(&self) -> u32 {
        self.size
    }

    pub(super) fn is_zero(&self) -> bool {
        self.terms.is_empty()
    }

    pub(super) fn as_constant(&self) -> Option<i64> {
        match self.terms.as_slice() {
            [] => Some(0),
            [(monomial, value)] if monomial.is_one() => Some(*value),
            _ => None,
        }
    }

    /// The term without atoms; it is the smallest, hence the last.
    pub(super) fn constant_term(&self) -> i64 {
        match self.terms.last() {
            Some((monomial, value)) if monomial.is_one() => *value,
            _ => 0,
        }
    }

    /// The terms that have atoms.
    pub(super) fn variable_terms(&self) -> &[Term] {
        match self.terms.split_last() {
            Some(((monomial, _), rest)) if monomial.is_one() => rest,
            _ => &self.terms,
        }
    }

    /// `self + factor * other`
    pub(super) fn plus_scaled(&self, factor: i64, other: &Self) -> Option<Self> {
        let (mut left, mut right) = (self.terms.iter().peekable(), other.terms.iter().peekable());
        let merged = std::iter::from_fn(|| {
            let order = match (left.peek(), right.peek()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Greater,
                (None, Some(_)) => Ordering::Less,
                (Some((l, _)), Some((r, _))) => l.cmp(r),
            };
            let l = if order.is_ge() { left.next() } else { None };
            let r = if order.is_le() { right.next() } else { None };
            let (monomial, _) = l.or(r)?;
            // A product of two 64-bit integers and one more fit in 128 bits.
            let of_left = l.map_or(0, |term| i128::from(term.1));
            let of_right = r.map_or(0, |term| i128::from(term.1) * i128::from(factor));
            Some((monomial.clone(), of_left + of_right))
        });
        Self::from_sorted(merged)
    }

    pub(super) fn plus(&self, other: &Self) -> Option<Self> {
        self.plus_scaled(1, other)
    }

    pub(super) fn minus(&self, other: &Self) -> Option<Self> {
        self.plus_scaled(-1, other)
    }

    pub(super) fn scaled(&self, factor: i64) -> Option<Self> {
        Self::default().plus_scaled(factor, self)
    }

    pub(super) fn times(&self, other: &Self) -> Option<Self> {
        if let Some(value) = other.as_constant() {
            return self.scaled(value);
        }
        let mut products: BTreeMap<Monomial, i128> = BTreeMap::new();
        for (l, l_coefficient) in &self.terms {
            for (r, r_coefficient) in &other.terms {
                // At most MAX_TERMS products below 2^126 meet in one sum, and few of them are that large.
                let product = i128::from(*l_coefficient) * i128::from(*r_coefficient);
                let sum = products.entry(l.times(r)?).or_default();
                *sum = sum.checked_add(product)?;
            }
        }
        Self::from_sorted(products.into_iter().rev())
    }

    /// The greatest common divisor of the coefficients; 0 for the polynomial 0.
    pub(super) fn content(&self) -> u64 {
        gcd(self.variable_content(), self.constant_term().unsigned_abs())
    }

    /// The greatest common divisor of the coefficients of terms that have atoms; 0 for a constant.
    pub(super) fn variable_content(&self) -> u64 {
        let coefficients = self.variable_terms().iter().map(|(_, coefficient)| coefficient.unsigned_abs());
        coefficients.fold(0, gcd)
    }

    /// Applies a map that keeps the order of monomials and their coefficients apart from 0.
    pub(super) fn map_terms(&self, map: impl Fn(&Term) -> Option<(Monomial, i64)>) -> Option<Self> {
        let mapped: Option<Vec<_>> = self.terms.iter().map(map).collect();
        Self::from_sorted(mapped?.into_iter().map(|(monomial, coefficient)| (monomial, i128::from(coefficient))))
    }

    /// Divides every coefficient by a divisor of the content.
    pub(super) fn without_factor(&self, divisor: u64) -> Option<Self> {
        let divisor = i64::try_from(divisor).ok()?;
        self.map_terms(|(monomial, coefficient)| Some((monomial.clone(), coefficient.checked_div(divisor)?)))
    }
}

/// The greatest common divisor; `gcd(0, n) = n`.
pub(super) fn gcd(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
