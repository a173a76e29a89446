//! Functions of one variable in a normal form, so that all spellings of one function look alike.
//!
//! An expression is a sum of products: a number times powers of atoms, which are the variable or a function of an expression.
//! Products of sums are multiplied out, affine parts are taken out of clippings, `1 / (1 + exp(-e))` is `sigmoid(e)` and
//! `log(1 + exp(e))` is `softplus(e)`. Two expressions are equal if their terms are, up to a small relative difference of the
//! numbers, since exporters write `sqrt(2)` with as few digits as they like.

/// Relative difference of numbers that are taken for equal: exporters give at least five digits.
const DIGITS: f64 = 1e-5;

/// Terms of a sum beyond which an expression is given up: no function that is looked for has as many.
const MOST: usize = 12;

/// A sum of products.
#[derive(Clone, Debug)]
pub(super) struct Expr(Vec<Term>);

#[derive(Clone, Debug)]
pub(super) struct Term {
    pub(super) number: f64,
    factors: Vec<(Atom, i32)>,
}

/// What a product is made of.
#[derive(Clone, Debug)]
pub(super) enum Atom {
    /// The variable.
    X,
    /// A function of an expression.
    Of(Function, Box<Expr>),
    /// `min(max(e, low), high)`.
    Clip(Box<Expr>, f64, f64),
    /// One expression where the variable is below a number, another where it is above; which at the number itself is told by
    /// `at_is_below`.
    Split { at: f64, at_is_below: bool, below: Box<Expr>, above: Box<Expr> },
    /// A sum, with a power of its own.
    Sum(Box<Expr>),
}

/// Functions without parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Exp,
    Log,
    Erf,
    Tanh,
    Sigmoid,
    Softplus,
    Abs,
    Sqrt,
}

/// Whether two numbers are taken for equal.
pub(super) fn near(a: f64, b: f64) -> bool {
    // What is infinite is near to nothing else.
    a == b || (a - b).is_finite() && (a - b).abs() <= DIGITS * a.abs().max(b.abs())
}

/// Whether of a sum of numbers hardly anything is left, although they are large.
fn rounds(a: f64, b: f64) -> bool {
    let larger = a.abs().max(b.abs());
    larger >= 4096.0 && (a + b).abs() < 1e-3 * larger
}

fn same_factors(a: &[(Atom, i32)], b: &[(Atom, i32)]) -> bool {
    a.len() == b.len() && a.iter().all(|(atom, power)| b.iter().any(|(other, times)| power == times && atom.is(other)))
}

impl Atom {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::X, Self::X) => true,
            (Self::Of(f, a), Self::Of(g, b)) => f == g && a.is(b),
            (Self::Clip(a, low, high), Self::Clip(b, least, most)) => {
                near(*low, *least) && near(*high, *most) && a.is(b)
            }
            (Self::Sum(a), Self::Sum(b)) => a.is(b),
            (
                Self::Split { at, at_is_below, below, above },
                Self::Split { at: other, at_is_below: inclusive, below: lower, above: upper },
            ) => near(*at, *other) && at_is_below == inclusive && below.is(lower) && above.is(upper),
            _ => false,
        }
    }
}

impl Expr {
    /// The variable.
    pub(super) fn x() -> Self {
        Self::atom(Atom::X)
    }

    /// A number.
    pub(super) fn number(number: f64) -> Self {
        if number == 0.0 { Self(Vec::new()) } else { Self(vec![Term { number, factors: Vec::new() }]) }
    }

    pub(super) fn atom(atom: Atom) -> Self {
        Self(vec![Term { number: 1.0, factors: vec![(atom, 1)] }])
    }

    /// The terms.
    pub(super) fn terms(&self) -> &[Term] {
        &self.0
    }

    /// Whether both are the same function.
    pub(super) fn is(&self, other: &Self) -> bool {
        let has = |term: &Term| {
            other.0.iter().any(|its| near(term.number, its.number) && same_factors(&term.factors, &its.factors))
        };
        self.0.len() == other.0.len() && self.0.iter().all(has)
    }

    /// The number that it is, if it does not depend on the variable.
    pub(super) fn as_number(&self) -> Option<f64> {
        match &self.0[..] {
            [] => Some(0.0),
            [term] if term.factors.is_empty() => Some(term.number),
            _ => None,
        }
    }

    /// `(a, b)` where it is `a * x + b`.
    pub(super) fn as_affine(&self) -> Option<(f64, f64)> {
        let mut affine = (0.0, 0.0);
        for term in &self.0 {
            match &term.factors[..] {
                [] => affine.1 = term.number,
                [(Atom::X, 1)] => affine.0 = term.number,
                _ => return None,
            }
        }
        Some(affine)
    }

    /// The number and the atom, where it is a number times one atom.
    pub(super) fn as_scaled_atom(&self) -> Option<(f64, &Atom)> {
        match &self.0[..] {
            [term] => match &term.factors[..] {
                [(atom, 1)] => Some((term.number, atom)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The expression of one term.
    pub(super) fn of_term(term: &Term) -> Self {
        Self(vec![term.clone()])
    }

    /// The `a` of the first `sigmoid(a * x)` in a product.
    pub(super) fn swish_factor(&self) -> Option<f64> {
        let [term] = &self.0[..] else { return None };
        term.factors.iter().find_map(|(atom, _)| match atom {
            Atom::Of(Function::Sigmoid, of) => {
                of.as_affine().filter(|&(_, shift)| shift == 0.0).map(|(factor, _)| factor)
            }
            _ => None,
        })
    }

    /// The sum.
    pub(super) fn plus(mut self, other: Self) -> Option<Self> {
        for term in other.0 {
            match self.0.iter_mut().find(|own| same_factors(&own.factors, &term.factors)) {
                // A large number that is added and taken away again rounds on purpose.
                Some(own) if own.factors.is_empty() && rounds(own.number, term.number) => return None,
                Some(own) => own.number += term.number,
                None => self.0.push(term),
            }
        }
        self.0.retain(|term| term.number != 0.0);
        self.checked()
    }

    /// A number times it.
    pub(super) fn scaled(mut self, number: f64) -> Option<Self> {
        self.0.iter_mut().for_each(|term| term.number *= number);
        self.0.retain(|term| term.number != 0.0);
        self.checked()
    }

    /// The product. A power is not cancelled by its inverse: where the atom is zero, or has no bounds, that is no number.
    pub(super) fn times(&self, other: &Self) -> Option<Self> {
        let mut product = Self(Vec::new());
        for a in &self.0 {
            for b in &other.0 {
                let mut factors = a.factors.clone();
                for (atom, power) in &b.factors {
                    match factors.iter_mut().find(|(own, _)| own.is(atom)) {
                        Some((_, own)) if (*own > 0) != (*power > 0) => return None,
                        Some((_, own)) => *own = own.checked_add(*power)?,
                        None => factors.push((atom.clone(), *power)),
                    }
                }
                product = product.plus(Self(vec![Term { number: a.number * b.number, factors }]))?;
            }
        }
        product.checked()
    }

    /// A small whole power.
    pub(super) fn power(&self, exponent: u32) -> Option<Self> {
        (0..exponent).try_fold(Self::number(1.0), |power, _| power.times(self))
    }

    /// `1 / e`.
    pub(super) fn inverse(&self) -> Option<Self> {
        if let [term] = &self.0[..] {
            let factors = term.factors.iter().map(|(atom, power)| (atom.clone(), -power)).collect();
            return Self(vec![Term { number: term.number.recip(), factors }]).checked();
        }
        let constant = self.0.iter().find(|term| term.factors.is_empty())?.number;
        let normal = self.clone().scaled(constant.recip())?;
        let inverse = match normal.one_plus_exp() {
            Some(of) => Self::atom(Atom::Of(Function::Sigmoid, Box::new(of.scaled(-1.0)?))),
            None => Self(vec![Term { number: 1.0, factors: vec![(Atom::Sum(Box::new(normal)), -1)] }]),
        };
        inverse.scaled(constant.recip())
    }

    /// The `e` of `1 + exp(e)`.
    fn one_plus_exp(&self) -> Option<Self> {
        let [a, b] = &self.0[..] else { return None };
        let (one, exp) = if a.factors.is_empty() { (a, b) } else { (b, a) };
        match &exp.factors[..] {
            [(Atom::Of(Function::Exp, of), 1)]
                if one.factors.is_empty() && near(one.number, 1.0) && near(exp.number, 1.0) =>
            {
                Some((**of).clone())
            }
            _ => None,
        }
    }

    /// A function of it.
    pub(super) fn then(self, function: Function) -> Option<Self> {
        if let (Function::Log, Some(of)) = (function, self.one_plus_exp()) {
            return Some(Self::atom(Atom::Of(Function::Softplus, Box::new(of))));
        }
        Some(Self::atom(Atom::Of(function, Box::new(self))))
    }

    /// `min(max(e, low), high)`.
    pub(super) fn clipped(self, low: f64, high: f64) -> Option<Self> {
        // Bounds that leave nothing but an infinity are no bounds that an operator could be left without.
        if low.is_nan() || high.is_nan() || low > high || low == f64::INFINITY || high == f64::NEG_INFINITY {
            return None;
        }
        let constant = self.0.iter().find(|term| term.factors.is_empty()).map_or(0.0, |term| term.number);
        let mut rest = self.plus(Self::number(-constant))?;
        let (low, high) = (low - constant, high - constant);
        let factor = match &rest.0[..] {
            [] => return None,
            [term] => term.number,
            _ => 1.0,
        };
        rest = rest.scaled(factor.recip())?;
        let (mut low, mut high) =
            if factor > 0.0 { (low / factor, high / factor) } else { (high / factor, low / factor) };
        if let Some((_, Atom::Clip(of, least, most))) = rest.as_scaled_atom().filter(|(number, _)| near(*number, 1.0)) {
            (low, high) = (low.clamp(*least, *most), high.clamp(*least, *most));
            rest = (**of).clone();
        }
        Self::atom(Atom::Clip(Box::new(rest), low, high)).scaled(factor)?.plus(Self::number(constant))
    }

    fn checked(self) -> Option<Self> {
        let fine = self.0.len() <= MOST && self.0.iter().all(|term| term.number.is_finite());
        Some(self).filter(|_| fine)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn affine(a: f64, b: f64) -> Expr {
        Expr::x().scaled(a).unwrap().plus(Expr::number(b)).unwrap()
    }

    #[test]
    fn products_of_sums_are_multiplied_out() {
        let square = affine(1.0, 2.0).times(&affine(1.0, -2.0)).unwrap();
        let other = Expr::x().power(2).unwrap().plus(Expr::number(-4.0)).unwrap();
        assert!(square.is(&other));
        assert!(!square.is(&affine(1.0, -4.0)));
    }

    #[test]
    fn affine_parts_are_taken_out_of_a_clipping() {
        // min(max(-2 x + 1, 0), 4) = -2 min(max(x, -3/2), 1/2) + 1
        let clipped = affine(-2.0, 1.0).clipped(0.0, 4.0).unwrap();
        let other = Expr::x().clipped(-1.5, 0.5).unwrap().scaled(-2.0).unwrap().plus(Expr::number(1.0)).unwrap();
        assert!(clipped.is(&other));
        assert!(clipped.clipped(-9.0, 9.0).unwrap().is(&other));
    }

    #[test]
    fn a_sigmoid_is_known_by_its_exponential() {
        let spelled = Expr::x().scaled(-2.0).unwrap().then(Function::Exp).unwrap().plus(Expr::number(1.0)).unwrap();
        let sigmoid = affine(2.0, 0.0).then(Function::Sigmoid).unwrap();
        assert!(spelled.inverse().unwrap().is(&sigmoid));
        assert!(spelled.scaled(4.0).unwrap().inverse().unwrap().is(&sigmoid.scaled(0.25).unwrap()));
    }

    #[test]
    fn what_has_no_value_is_given_up() {
        assert!(Expr::number(0.0).inverse().is_none());
        assert!(affine(1.0, 0.0).clipped(1.0, 0.0).is_none());
        assert!(affine(1.0, 0.0).clipped(f64::NEG_INFINITY, f64::NEG_INFINITY).is_none(), "all is infinite");
        assert!(Expr::x().times(&Expr::x().inverse().unwrap()).is_none(), "0 / 0 is no number");
        assert!(affine(1e200, 0.0).times(&affine(1e200, 0.0)).is_none());
    }
}
