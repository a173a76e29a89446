//! Elementwise arithmetic.

mod add;
mod div;
mod exponential;
mod gradient;
mod mod_;
mod mul;
mod pow;
mod rounding;
mod sign;
mod sub;
mod trigonometry;
mod variadic;

use crate::operator::Operator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &sign::ABS,
    &trigonometry::ACOS,
    &trigonometry::ACOSH,
    &add::ADD,
    &trigonometry::ASIN,
    &trigonometry::ASINH,
    &trigonometry::ATAN,
    &trigonometry::ATANH,
    &rounding::CEIL,
    &trigonometry::COS,
    &trigonometry::COSH,
    &div::DIV,
    &exponential::ERF,
    &exponential::EXP,
    &rounding::FLOOR,
    &exponential::LOG,
    &variadic::MAX,
    &variadic::MEAN,
    &variadic::MIN,
    &mod_::MOD,
    &mul::MUL,
    &sign::NEG,
    &pow::POW,
    &exponential::RECIPROCAL,
    &rounding::ROUND,
    &sign::SIGN,
    &trigonometry::SIN,
    &trigonometry::SINH,
    &exponential::SQRT,
    &sub::SUB,
    &variadic::SUM,
    &trigonometry::TAN,
    &trigonometry::TANH,
];
