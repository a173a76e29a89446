//! Symbolic dimensions: what is known of a size before the model runs.
//!
//! A [`Dim`] is an integer, a polynomial with integer coefficients over *atoms*, or unknown. Atoms are the [`Symbol`]s
//! of the model and the functions of sizes that shape inference meets and no polynomial can express: rounded
//! quotients, minima and maxima. Polynomials are kept in a normal form, so `2*N*h - N*h == N*h` is decided by
//! comparing values, not guessed.
//!
//! Two assumptions make the questions decidable that matter in practice. A symbol is a size, so it is at least 0. A
//! divisor is not 0, since the quotient would have no meaning: where it turns out to be 0 after all, the model is
//! wrong and nothing that is said about the quotient holds.
//!
//! Nothing here panics or wraps. Overflow of 64 bits, and expressions beyond a fixed size, become
//! [unknown](Dim::unknown), which absorbs everything it meets. Unknown is always a correct answer, only not a useful one.

mod arithmetic;
mod bounds;
mod divide;
#[cfg(test)]
mod examples;
mod extrema;
mod polynomial;
#[cfg(test)]
mod properties;
mod questions;
mod solve;
mod symbol;
mod text;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use polynomial::{Atom, Polynomial};
pub use symbol::Symbol;
pub use text::ParseDimError;

/// A size, or an integer computed from sizes: a constant, a polynomial in normal form, or unknown.
///
/// `==` and the order compare the normal forms, as collections need it: equal values have equal sizes (the unknown
/// excepted, which equals itself here), but different values need not differ in size. To ask about sizes use
/// [`Dim::equals`] and [`Dim::compare`], which know when they cannot tell.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dim(Repr);

#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Repr {
    Constant(i64),
    /// Never a constant.
    Polynomial(Arc<Polynomial>),
    #[default]
    Unknown,
}

impl From<i64> for Dim {
    fn from(value: i64) -> Self {
        Self(Repr::Constant(value))
    }
}

impl From<Symbol> for Dim {
    fn from(symbol: Symbol) -> Self {
        Self::from_atom(Atom::Symbol(symbol))
    }
}

impl From<&Dim> for Dim {
    fn from(dim: &Dim) -> Self {
        dim.clone()
    }
}

impl Dim {
    /// The extent that the file calls `name`.
    pub fn named(name: &str) -> Self {
        Self::from(Symbol::named(name))
    }

    /// The extent of a tensor that is there; unknown where it does not fit in 64 bits with a sign.
    pub fn from_extent(extent: usize) -> Self {
        i64::try_from(extent).map(Self::from).unwrap_or_default()
    }

    /// Nothing is known; also the default.
    pub const fn unknown() -> Self {
        Self(Repr::Unknown)
    }

    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        matches!(self.0, Repr::Unknown)
    }

    /// The value, where it is a constant.
    pub fn as_const(&self) -> Option<i64> {
        match self.0 {
            Repr::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// The symbol, where the dim is one and nothing else.
    pub fn as_symbol(&self) -> Option<&Symbol> {
        let Repr::Polynomial(polynomial) = &self.0 else {
            return None;
        };
        match polynomial.terms() {
            [(monomial, 1)] => match monomial.as_atom() {
                Some(Atom::Symbol(symbol)) => Some(symbol),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it is a polynomial in symbols alone, without quotients, minima or maxima. Constants are.
    pub fn is_polynomial(&self) -> bool {
        !self.is_unknown() && self.depth() == 0
    }

    /// Every symbol that occurs, at any depth.
    pub fn symbols(&self) -> BTreeSet<Symbol> {
        let mut found = BTreeSet::new();
        self.collect_symbols(&mut found);
        found
    }

    fn collect_symbols(&self, found: &mut BTreeSet<Symbol>) {
        for atom in self.atoms() {
            match atom {
                Atom::Symbol(symbol) => {
                    found.insert(symbol.clone());
                }
                composite => composite.operands().into_iter().for_each(|dim| dim.collect_symbols(found)),
            }
        }
    }

    /// The atoms of all terms; none for constants and the unknown. One that occurs in several terms comes several times.
    fn atoms(&self) -> impl Iterator<Item = &Atom> {
        let terms = match &self.0 {
            Repr::Polynomial(polynomial) => polynomial.terms(),
            _ => &[],
        };
        terms.iter().flat_map(|(monomial, _)| monomial.factors()).map(|(atom, _)| atom)
    }

    /// The value for given values of the symbols; `None` where one is not given, a divisor is 0, a value does not fit
    /// in 64 bits, or the dim is unknown.
    pub fn eval(&self, bind: impl Fn(&Symbol) -> Option<i64>) -> Option<i64> {
        self.eval_with(&bind)
    }

    fn eval_with(&self, bind: &dyn Fn(&Symbol) -> Option<i64>) -> Option<i64> {
        let polynomial = self.polynomial()?;
        let mut sum = 0i128;
        for (monomial, coefficient) in polynomial.terms() {
            let mut product = i128::from(*coefficient);
            for (atom, exponent) in monomial.factors() {
                let value = i128::from(atom.eval_with(bind)?);
                product = product.checked_mul(value.checked_pow(*exponent)?)?;
            }
            sum = sum.checked_add(product)?;
        }
        i64::try_from(sum).ok()
    }

    /// The dim with symbols replaced where `replace` gives something, and simplified again.
    #[must_use]
    pub fn substitute(&self, replace: impl Fn(&Symbol) -> Option<Self>) -> Self {
        self.substitute_with(&replace)
    }

    fn substitute_with(&self, replace: &dyn Fn(&Symbol) -> Option<Self>) -> Self {
        self.rebuild(&|atom| {
            let operands = || atom.operands().into_iter().map(|dim| dim.substitute_with(replace));
            match atom {
                Atom::Symbol(symbol) => replace(symbol).unwrap_or_else(|| Self::from(symbol.clone())),
                Atom::FloorDiv(both) => both.0.substitute_with(replace).floor_div(both.1.substitute_with(replace)),
                Atom::Min(_) => Self::min_of(operands()),
                Atom::Max(_) => Self::max_of(operands()),
            }
        })
    }

    /// Computes the polynomial anew from what `map` makes of its atoms.
    fn rebuild(&self, map: &dyn Fn(&Atom) -> Self) -> Self {
        let Repr::Polynomial(polynomial) = &self.0 else {
            return self.clone();
        };
        Self::sum(polynomial.terms().iter().map(|(monomial, coefficient)| {
            let powers = monomial.factors().iter().map(|(atom, exponent)| {
                let base = map(atom);
                Self::product(std::iter::repeat_n(&base, *exponent as usize))
            });
            Self::from(*coefficient) * Self::product(powers)
        }))
    }

    /// The polynomial, constants included; `None` for the unknown.
    fn polynomial(&self) -> Option<Cow<'_, Polynomial>> {
        match &self.0 {
            Repr::Constant(value) => Some(Cow::Owned(Polynomial::constant(*value))),
            Repr::Polynomial(polynomial) => Some(Cow::Borrowed(polynomial)),
            Repr::Unknown => None,
        }
    }

    /// The dim of a polynomial; unknown where the operation that should have made it gave up.
    fn from_parts(polynomial: Option<Polynomial>) -> Self {
        let Some(polynomial) = polynomial else {
            return Self::unknown();
        };
        match polynomial.as_constant() {
            Some(value) => Self::from(value),
            None => Self(Repr::Polynomial(Arc::new(polynomial))),
        }
    }

    fn from_atom(atom: Atom) -> Self {
        Self::from_parts(Polynomial::atom(atom))
    }

    /// Nesting of quotients, minima and maxima.
    fn depth(&self) -> u32 {
        match &self.0 {
            Repr::Polynomial(polynomial) => polynomial.depth(),
            _ => 0,
        }
    }

    /// Terms and factors at every depth.
    fn size(&self) -> u32 {
        match &self.0 {
            Repr::Polynomial(polynomial) => polynomial.size(),
            _ => 1,
        }
    }
}

impl Atom {
    fn eval_with(&self, bind: &dyn Fn(&Symbol) -> Option<i64>) -> Option<i64> {
        let values: Option<Vec<i64>> = self.operands().into_iter().map(|dim| dim.eval_with(bind)).collect();
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
