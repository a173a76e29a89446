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
mod bind;
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
use std::cmp::Ordering;
use std::sync::Arc;

use polynomial::{Atom, Polynomial};
pub use symbol::Symbol;
pub use text::ParseDimError;

/// A size, or an integer computed from sizes: a constant, a polynomial in normal form, or unknown.
///
/// `==` compares normal forms: equal dims have equal sizes (the unknown excepted, which equals itself here), but
/// different dims need not differ in size. To ask about sizes use [`Dim::equals`] and [`Dim::compare`], which know when
/// they cannot tell.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
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
        self.polynomial().is_some_and(|polynomial| polynomial.depth() == 0)
    }

    /// A total order of normal forms, for sorted collections: constants first, the unknown last. It says nothing of
    /// sizes, which is why dims have no `<`.
    pub fn structural_cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
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
}
