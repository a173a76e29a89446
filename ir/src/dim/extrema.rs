//! Minima and maxima.
//!
//! A maximum is brought to the form `t + g*max(a, b, …)`: maxima among the operands are dissolved into their operands,
//! what all operands share moves out (`t`, the least coefficient of every monomial, and `g`, their common divisor), and
//! an operand that another one provably reaches is dropped. `max(a + t, b + t)` thus gives the same atom for every `t`.
//! Minima likewise.

use std::collections::BTreeMap;

use super::Dim;
use super::bounds::Interval;
use super::polynomial::{Atom, Monomial, Polynomial, gcd};

/// Operands of one atom; beyond it the result is unknown.
const MAX_OPERANDS: usize = 8;
/// Rounds of simplification; each takes something away, so more than a few do not occur.
const MAX_ROUNDS: usize = 8;

impl Dim {
    /// The smaller of two.
    #[must_use]
    pub fn min(&self, other: impl Into<Self>) -> Self {
        Self::min_of([self.clone(), other.into()])
    }

    /// The larger of two.
    #[must_use]
    pub fn max(&self, other: impl Into<Self>) -> Self {
        Self::max_of([self.clone(), other.into()])
    }

    /// The smallest of all; unknown for none.
    pub fn min_of(dims: impl IntoIterator<Item = Self>) -> Self {
        Extremum::Min.of(dims)
    }

    /// The largest of all; unknown for none.
    pub fn max_of(dims: impl IntoIterator<Item = Self>) -> Self {
        Extremum::Max.of(dims)
    }
}

impl Polynomial {
    /// The same with every minimum outside of quotients written as a maximum: `min(a, b) = -max(-a, -b)`.
    pub(super) fn with_maxima_only(&self) -> Dim {
        self.rebuilt(&|atom| match atom {
            Atom::Min(operands) => -Dim::max_of(operands.iter().map(|operand| -operand.with_maxima_only())),
            Atom::Max(operands) => Dim::max_of(operands.iter().map(Self::with_maxima_only)),
            other => Dim::from_parts(Self::atom(other.clone())),
        })
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Extremum {
    Min,
    Max,
}

impl Extremum {
    fn of(self, dims: impl IntoIterator<Item = Dim>) -> Dim {
        let mut operands = Vec::new();
        for dim in dims {
            match dim.polynomial() {
                Some(polynomial) => operands.push(polynomial.into_owned()),
                None => return Dim::unknown(),
            }
        }
        Dim::from_parts(self.simplify(operands))
    }

    fn simplify(self, mut operands: Vec<Polynomial>) -> Option<Polynomial> {
        let mut outside = Polynomial::default();
        let mut factor = 1i64;
        for _ in 0..MAX_ROUNDS {
            operands = self.undominated(self.dissolve(operands)?);
            let shared = shared_part(&operands)?;
            outside = outside.plus_scaled(factor, &shared)?;
            for operand in &mut operands {
                *operand = operand.minus(&shared)?;
            }
            let divisor = operands.iter().map(Polynomial::content).fold(0, gcd);
            if divisor > 1 {
                factor = factor.checked_mul(i64::try_from(divisor).ok()?)?;
                for operand in &mut operands {
                    *operand = operand.without_factor(divisor)?;
                }
            }
            // Descending, so that constants print last.
            operands.sort_by(|left, right| right.cmp(left));
            operands.dedup();
            let before = operands.len();
            operands = self.undominated(operands);
            if let [single] = operands.as_slice() {
                return outside.plus_scaled(factor, single);
            }
            if operands.len() == before && operands.iter().all(|operand| self.inner(operand).is_none()) {
                return outside.plus_scaled(factor, &Polynomial::atom(self.atom(operands))?);
            }
        }
        None
    }

    fn atom(self, operands: Vec<Polynomial>) -> Atom {
        match self {
            Self::Min => Atom::Min(operands.into()),
            Self::Max => Atom::Max(operands.into()),
        }
    }

    /// Replaces `x + k*max(a, b)` by `x + k*a` and `x + k*b`. `None` without operands, and for too many.
    fn dissolve(self, operands: Vec<Polynomial>) -> Option<Vec<Polynomial>> {
        let (mut open, mut flat) = (operands, Vec::new());
        while let Some(operand) = open.pop() {
            match self.inner(&operand) {
                None => flat.push(operand),
                Some((atom, coefficient)) => {
                    let others = operand.plus_scaled(coefficient.checked_neg()?, &Polynomial::atom(atom.clone())?)?;
                    for inner in atom.operands() {
                        open.push(others.plus_scaled(coefficient, inner)?);
                    }
                }
            }
            if open.len() + flat.len() > MAX_OPERANDS {
                return None;
            }
        }
        flat.sort();
        flat.dedup();
        (!flat.is_empty()).then_some(flat)
    }

    /// An extremum that occurs in the operand alone in its term and commutes with this one: of the same kind with a
    /// positive coefficient, of the other kind with a negative one.
    fn inner(self, operand: &Polynomial) -> Option<(&Atom, i64)> {
        operand.terms().iter().find_map(|(monomial, coefficient)| {
            let atom = monomial.as_atom()?;
            let kind = match atom {
                Atom::Min(_) => Self::Min,
                Atom::Max(_) => Self::Max,
                _ => return None,
            };
            ((kind == self) == (*coefficient > 0)).then_some((atom, *coefficient))
        })
    }

    /// Drops every operand that another one provably reaches; of two that reach each other, the later one. One always
    /// remains, even if bounds should decide for a circle of them.
    fn undominated(self, mut operands: Vec<Polynomial>) -> Vec<Polynomial> {
        let reaches = |winner: &Polynomial, loser: &Polynomial| {
            let gap = match self {
                Self::Max => winner.minus(loser),
                Self::Min => loser.minus(winner),
            };
            gap.is_some_and(|gap| Interval::of(&gap).is_non_negative())
        };
        for index in (0..operands.len()).rev() {
            let mut others = operands.iter().enumerate().filter(|(other, _)| *other != index);
            if operands.get(index).is_some_and(|loser| others.any(|(_, winner)| reaches(winner, loser))) {
                operands.remove(index);
            }
        }
        operands
    }
}

/// For every monomial its least coefficient among the operands, where those that lack it count as 0.
fn shared_part(operands: &[Polynomial]) -> Option<Polynomial> {
    let mut least: BTreeMap<&Monomial, (i64, usize)> = BTreeMap::new();
    for (monomial, coefficient) in operands.iter().flat_map(Polynomial::terms) {
        let (value, occurrences) = least.entry(monomial).or_insert((*coefficient, 0));
        *value = (*value).min(*coefficient);
        *occurrences += 1;
    }
    Polynomial::from_sorted(least.into_iter().rev().map(|(monomial, (value, occurrences))| {
        let value = if occurrences < operands.len() { value.min(0) } else { value };
        (monomial.clone(), i128::from(value))
    }))
}
