//! `+`, `-`, `*` and unary `-` on dims, for every mix of owned, borrowed and plain integer operands.

use std::borrow::Borrow;
use std::ops::{Add, Mul, Neg, Sub};

use super::polynomial::Polynomial;
use super::{Dim, Repr};

/// Constants take the short way; the rest goes through polynomials. What leaves 64 bits or the limits is unknown.
fn combine(
    left: &Dim,
    right: &Dim,
    constants: fn(i64, i64) -> Option<i64>,
    polynomials: fn(&Polynomial, &Polynomial) -> Option<Polynomial>,
) -> Dim {
    if let (Repr::Constant(l), Repr::Constant(r)) = (&left.0, &right.0) {
        return constants(*l, *r).map(Dim::from).unwrap_or_default();
    }
    match (left.polynomial(), right.polynomial()) {
        (Some(l), Some(r)) => Dim::from_parts(polynomials(&l, &r)),
        _ => Dim::unknown(),
    }
}

macro_rules! binary_operator {
    ($trait:ident, $method:ident, $constants:path, $polynomials:path) => {
        binary_operator!(@impl $trait, $method, $constants, $polynomials,
            [Dim, Dim] [Dim, &Dim] [&Dim, Dim] [&Dim, &Dim] [Dim, i64] [&Dim, i64] [i64, Dim] [i64, &Dim]);
    };
    (@impl $trait:ident, $method:ident, $constants:path, $polynomials:path, $([$left:ty, $right:ty])*) => {$(
        impl $trait<$right> for $left {
            type Output = Dim;
            fn $method(self, right: $right) -> Dim {
                combine(&Dim::from(self), &Dim::from(right), $constants, $polynomials)
            }
        }
    )*};
}

binary_operator!(Add, add, i64::checked_add, Polynomial::plus);
binary_operator!(Sub, sub, i64::checked_sub, Polynomial::minus);
binary_operator!(Mul, mul, i64::checked_mul, Polynomial::times);

impl Neg for &Dim {
    type Output = Dim;
    fn neg(self) -> Dim {
        0 - self
    }
}

impl Neg for Dim {
    type Output = Dim;
    fn neg(self) -> Dim {
        -&self
    }
}

impl Dim {
    /// The sum of all; 0 for none.
    pub fn sum<D: Borrow<Self>>(dims: impl IntoIterator<Item = D>) -> Self {
        dims.into_iter().fold(Self::from(0), |sum, dim| sum + dim.borrow())
    }

    /// The product of all; 1 for none. An unknown factor makes it unknown, even beside a 0.
    pub fn product<D: Borrow<Self>>(dims: impl IntoIterator<Item = D>) -> Self {
        dims.into_iter().fold(Self::from(1), |product, dim| product * dim.borrow())
    }
}
