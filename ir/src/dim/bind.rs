//! Symbols: which there are, and what becomes of a dim when they are given values.

use std::collections::BTreeSet;

use super::polynomial::{Atom, Polynomial};
use super::{Dim, Symbol, divide};

impl Dim {
    /// Every symbol that occurs, at any depth.
    pub fn symbols(&self) -> BTreeSet<Symbol> {
        let mut found = BTreeSet::new();
        if let Some(polynomial) = self.polynomial() {
            polynomial.collect_symbols(&mut found);
        }
        found
    }

    /// The value for given values of the symbols; `None` where one is not given, a divisor is 0, a value does not fit
    /// in 64 bits, or the dim is unknown.
    pub fn eval(&self, bind: impl Fn(&Symbol) -> Option<i64>) -> Option<i64> {
        self.polynomial()?.eval(&bind)
    }

    /// The dim with symbols replaced where `replace` gives something, and simplified again.
    #[must_use]
    pub fn substitute(&self, replace: impl Fn(&Symbol) -> Option<Self>) -> Self {
        match self.polynomial() {
            Some(polynomial) => polynomial.substitute(&replace),
            None => Self::unknown(),
        }
    }
}

impl Polynomial {
    fn collect_symbols(&self, found: &mut BTreeSet<Symbol>) {
        for (atom, _) in self.terms().iter().flat_map(|(monomial, _)| monomial.factors()) {
            if let Atom::Symbol(symbol) = atom {
                found.insert(symbol.clone());
            }
            for operand in atom.operands() {
                operand.collect_symbols(found);
            }
        }
    }

    fn eval(&self, bind: &dyn Fn(&Symbol) -> Option<i64>) -> Option<i64> {
        let mut sum = 0i128;
        for (monomial, coefficient) in self.terms() {
            let mut product = i128::from(*coefficient);
            for (atom, exponent) in monomial.factors() {
                let value = i128::from(atom.eval(bind)?);
                product = product.checked_mul(value.checked_pow(*exponent)?)?;
            }
            sum = sum.checked_add(product)?;
        }
        i64::try_from(sum).ok()
    }

    fn substitute(&self, replace: &dyn Fn(&Symbol) -> Option<Dim>) -> Dim {
        self.rebuilt(&|atom| match atom {
            Atom::Symbol(symbol) => replace(symbol).unwrap_or_else(|| Dim::from(symbol.clone())),
            Atom::FloorDiv(both) => both.0.substitute(replace).floor_div(both.1.substitute(replace)),
            Atom::Min(operands) => Dim::min_of(operands.iter().map(|operand| operand.substitute(replace))),
            Atom::Max(operands) => Dim::max_of(operands.iter().map(|operand| operand.substitute(replace))),
        })
    }

    /// Computes the polynomial anew from what `map` makes of its atoms.
    pub(super) fn rebuilt(&self, map: &dyn Fn(&Atom) -> Dim) -> Dim {
        Dim::sum(self.terms().iter().map(|(monomial, coefficient)| {
            let powers = monomial.factors().iter().map(|(atom, exponent)| {
                let base = map(atom);
                Dim::product(std::iter::repeat_n(&base, *exponent as usize))
            });
            Dim::product(powers) * *coefficient
        }))
    }
}

impl Atom {
    fn eval(&self, bind: &dyn Fn(&Symbol) -> Option<i64>) -> Option<i64> {
        let values: Option<Vec<i64>> = self.operands().into_iter().map(|operand| operand.eval(bind)).collect();
        let values = values?;
        match self {
            Self::Symbol(symbol) => bind(symbol),
            Self::FloorDiv(_) => match values.as_slice() {
                [dividend, divisor] => divide::floor_quotient(*dividend, *divisor),
                _ => None,
            },
            Self::Min(_) => values.into_iter().min(),
            Self::Max(_) => values.into_iter().max(),
        }
    }
}
