//! Formulas of single elements, written as formulas: `g * (1.0 - y.clone() * y)`.
//!
//! An expression is a tree until it is written down as nodes; equal parts of one expression become one node. Numbers take the
//! element type of the hand that writes. Everything broadcasts.

use std::ops::{Add, Div, Mul, Neg, Sub};

use onnxpress_ir::{Attr, Node, ValueId};

use super::{GradientCx, GradientError, Hand};

/// A number for each element.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A value of the graph.
    Value(ValueId),
    /// One number for all elements.
    Number(f64),
    /// An operator without attributes, applied elementwise.
    Apply(&'static str, Vec<Self>),
    /// A truth value as the number 1 or 0.
    OneIf(Box<Self>),
}

/// The value as a formula has it.
pub(crate) fn of(value: ValueId) -> Expression {
    Expression::Value(value)
}

/// A function of one number: `function("Exp", x)`.
pub(crate) fn function(op_type: &'static str, x: Expression) -> Expression {
    Expression::Apply(op_type, vec![x])
}

/// One of two numbers, by a truth value.
pub fn choose(condition: Expression, then: impl Into<Expression>, otherwise: impl Into<Expression>) -> Expression {
    Expression::Apply("Where", vec![condition, then.into(), otherwise.into()])
}

impl Expression {
    /// Whether it is above another number: a truth value.
    #[must_use]
    pub fn above(self, other: impl Into<Self>) -> Self {
        Self::Apply("Greater", vec![self, other.into()])
    }

    /// Whether it is below another number: a truth value.
    #[must_use]
    pub fn below(self, other: impl Into<Self>) -> Self {
        Self::Apply("Less", vec![self, other.into()])
    }

    /// Whether it is another number: a truth value.
    #[must_use]
    pub fn equals(self, other: impl Into<Self>) -> Self {
        Self::Apply("Equal", vec![self, other.into()])
    }

    /// Whether both hold, of truth values.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::Apply("And", vec![self, other])
    }

    /// 1 where the truth value holds, else 0.
    #[must_use]
    pub fn as_number(self) -> Self {
        Self::OneIf(Box::new(self))
    }

    /// Its square.
    #[must_use]
    pub fn squared(self) -> Self {
        self.clone() * self
    }
}

impl From<f64> for Expression {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<ValueId> for Expression {
    fn from(value: ValueId) -> Self {
        Self::Value(value)
    }
}

impl Neg for Expression {
    type Output = Self;
    fn neg(self) -> Self {
        Self::Apply("Neg", vec![self])
    }
}

macro_rules! binary {
    ($($trait:ident $method:ident)*) => {$(
        impl<T: Into<Expression>> $trait<T> for Expression {
            type Output = Expression;
            fn $method(self, other: T) -> Expression {
                Expression::Apply(stringify!($trait), vec![self, other.into()])
            }
        }
        impl $trait<Expression> for f64 {
            type Output = Expression;
            fn $method(self, other: Expression) -> Expression {
                Expression::Apply(stringify!($trait), vec![self.into(), other])
            }
        }
    )*};
}

binary! { Add add Sub sub Mul mul Div div }

impl Hand<'_, '_> {
    /// Writes a formula down as nodes; answers its value.
    ///
    /// # Errors
    /// Where a node makes no sense, or the element type is not known.
    pub fn write(&mut self, formula: &Expression) -> Result<ValueId, GradientError> {
        self.write_once(formula, &mut Vec::new())
    }

    /// The same, with what was written of it before.
    fn write_once<'x>(
        &mut self,
        formula: &'x Expression,
        written: &mut Vec<(&'x Expression, ValueId)>,
    ) -> Result<ValueId, GradientError> {
        if let Expression::Value(value) = formula {
            return Ok(*value);
        }
        if let Some(&(_, value)) = written.iter().find(|(other, _)| *other == formula) {
            return Ok(value);
        }
        let value = match formula {
            Expression::Value(value) => *value,
            Expression::Number(number) => {
                let dtype = self.dtype()?;
                self.number(*number, dtype)?
            }
            Expression::Apply(op_type, operands) => {
                let operands =
                    operands.iter().map(|operand| self.write_once(operand, written)).collect::<Result<Vec<_>, _>>()?;
                self.apply(op_type, &operands)?
            }
            Expression::OneIf(condition) => {
                let condition = self.write_once(condition, written)?;
                let dtype = self.dtype()?;
                self.add(Node::new("Cast", 1).with(Attr::int("to", dtype.code())), &[condition])?
            }
        };
        written.push((formula, value));
        Ok(value)
    }
}

impl GradientCx<'_, '_> {
    /// The gradient of a function of single elements: a formula in operand 0, output 0 and the gradient of that.
    ///
    /// # Errors
    /// Where a node makes no sense, or the element type is not known.
    pub fn pointwise(
        &mut self,
        formula: impl FnOnce(Expression, Expression, Expression) -> Expression,
    ) -> Result<(), GradientError> {
        let (x, y, g) = (of(self.operand(0)?), of(self.output(0)), of(self.result()?));
        self.give_by(0, || formula(x, y, g))
    }
}
