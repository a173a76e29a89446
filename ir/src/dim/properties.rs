//! Random expressions: what a dim says of itself must agree with plain integers.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::{Dim, Symbol, divide};

const NAMES: [&str; 3] = ["N", "h", "w"];

/// An expression before any simplification.
#[derive(Clone, Debug)]
enum Tree {
    Constant(i64),
    Symbol(usize),
    Binary(Operation, Box<(Tree, Tree)>),
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Add,
    Sub,
    Mul,
    FloorDiv,
    CeilDiv,
    Modulo,
    Min,
    Max,
}

impl Operation {
    const ALL: [Self; 8] =
        [Self::Add, Self::Sub, Self::Mul, Self::FloorDiv, Self::CeilDiv, Self::Modulo, Self::Min, Self::Max];

    fn on_dims(self, l: &Dim, r: &Dim) -> Dim {
        match self {
            Self::Add => l + r,
            Self::Sub => l - r,
            Self::Mul => l * r,
            Self::FloorDiv => l.floor_div(r),
            Self::CeilDiv => l.ceil_div(r),
            Self::Modulo => l.modulo(r),
            Self::Min => l.min(r),
            Self::Max => l.max(r),
        }
    }

    fn on_integers(self, l: i64, r: i64) -> Option<i64> {
        match self {
            Self::Add => l.checked_add(r),
            Self::Sub => l.checked_sub(r),
            Self::Mul => l.checked_mul(r),
            Self::FloorDiv => divide::floor_quotient(l, r),
            Self::CeilDiv => divide::floor_quotient(l.checked_neg()?, r)?.checked_neg(),
            Self::Modulo => l.checked_sub(r.checked_mul(divide::floor_quotient(l, r)?)?),
            Self::Min => Some(l.min(r)),
            Self::Max => Some(l.max(r)),
        }
    }
}

impl Tree {
    fn dim(&self) -> Dim {
        match self {
            Self::Constant(value) => Dim::from(*value),
            Self::Symbol(index) => Dim::named(NAMES[*index]),
            Self::Binary(operation, both) => operation.on_dims(&both.0.dim(), &both.1.dim()),
        }
    }

    /// `None` where a divisor is 0 or a value leaves 64 bits.
    fn eval(&self, sizes: &[i64; 3]) -> Option<i64> {
        match self {
            Self::Constant(value) => Some(*value),
            Self::Symbol(index) => Some(sizes[*index]),
            Self::Binary(operation, both) => operation.on_integers(both.0.eval(sizes)?, both.1.eval(sizes)?),
        }
    }

    /// The same value with the operands of every commutative operation swapped.
    fn mirrored(&self) -> Self {
        let Self::Binary(operation, both) = self else {
            return self.clone();
        };
        let (l, r) = (both.0.mirrored(), both.1.mirrored());
        let commutes = matches!(operation, Operation::Add | Operation::Mul | Operation::Min | Operation::Max);
        Self::Binary(*operation, Box::new(if commutes { (r, l) } else { (l, r) }))
    }
}

fn small_constant() -> impl Strategy<Value = i64> {
    -6..=12i64
}

fn any_tree() -> impl Strategy<Value = Tree> {
    any_tree_of(prop_oneof![8 => small_constant(), 1 => Just(64), 1 => any::<i64>()])
}

fn any_tree_of(constant: impl Strategy<Value = i64> + 'static) -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![constant.prop_map(Tree::Constant), (0..3usize).prop_map(Tree::Symbol)];
    leaf.prop_recursive(5, 24, 2, |inner| {
        let operation = prop::sample::select(Operation::ALL.to_vec());
        (operation, inner.clone(), inner).prop_map(|(operation, l, r)| Tree::Binary(operation, Box::new((l, r))))
    })
}

/// Mostly small, where rounding and order matter.
fn any_sizes() -> impl Strategy<Value = [i64; 3]> {
    let size = prop_oneof![9 => 0..12i64, 1 => 0..=i64::MAX];
    [size.clone(), size.clone(), size]
}

fn eval(dim: &Dim, sizes: &[i64; 3]) -> Option<i64> {
    dim.eval(|symbol| NAMES.iter().position(|name| *symbol == Symbol::named(name)).map(|index| sizes[index]))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Where the expression has a value, the dim has the same, unless it is unknown or overflows on the way there.
    #[test]
    fn arithmetic_agrees_with_integers(tree in any_tree(), sizes in any_sizes()) {
        if let (Some(expected), Some(value)) = (tree.eval(&sizes), eval(&tree.dim(), &sizes)) {
            prop_assert_eq!(value, expected, "{}", tree.dim());
        }
    }

    /// Where nothing is large, a dim that is known has the value of the expression, and does not overflow on the way.
    #[test]
    fn small_expressions_have_values(tree in any_tree_of(small_constant()), sizes in [0..12i64, 0..12i64, 0..12i64]) {
        let dim = tree.dim();
        if let Some(expected) = tree.eval(&sizes).filter(|_| !dim.is_unknown()) {
            prop_assert_eq!(eval(&dim, &sizes), Some(expected), "{}", dim);
        }
    }

    /// Bounds and orders hold for every choice of sizes.
    #[test]
    fn answers_hold(left in any_tree(), right in any_tree(), sizes in any_sizes()) {
        let (l, r) = (left.dim(), right.dim());
        let (Some(l_value), Some(r_value)) = (left.eval(&sizes), right.eval(&sizes)) else { return Ok(()) };
        prop_assert!(l.lower_bound().is_none_or(|bound| bound <= l_value), "{} = {l_value} >= {:?}", l, l.lower_bound());
        prop_assert!(l.upper_bound().is_none_or(|bound| bound >= l_value), "{} = {l_value} <= {:?}", l, l.upper_bound());
        prop_assert!(l.is_positive().is_none_or(|answer| answer == (l_value > 0)), "{}", l);
        prop_assert!(l.is_non_negative().is_none_or(|answer| answer == (l_value >= 0)), "{}", l);
        prop_assert!(l.equals(&r).is_none_or(|answer| answer == (l_value == r_value)), "{} == {}", l, r);
        prop_assert!(l.compare(&r).is_none_or(|order| order == l_value.cmp(&r_value)), "{} <=> {}", l, r);
        for divisor in [2, -3, 8] {
            prop_assert!(l.divisible_by(divisor).is_none_or(|answer| answer == (l_value % divisor == 0)), "{} % {divisor}", l);
        }
        if let (Some(value), Some(quotient)) = (eval(&l.trunc_div(&r), &sizes), l_value.checked_div(r_value)) {
            prop_assert_eq!(value, quotient, "{} / {}", l, r);
        }
    }

    /// The order of operands does not show in the result.
    #[test]
    fn the_normal_form_forgets_the_order(tree in any_tree()) {
        let (dim, mirrored) = (tree.dim(), tree.mirrored().dim());
        if !dim.is_unknown() && !mirrored.is_unknown() {
            prop_assert_eq!(dim, mirrored);
        }
    }

    /// Ring laws, over dims that hold every kind of atom.
    #[test]
    fn sums_and_products_have_one_form(a in any_tree(), b in any_tree(), c in any_tree()) {
        let (a, b, c) = (a.dim(), b.dim(), c.dim());
        let pairs = [
            ((&a + &b) + &c, &a + (&c + &b)),
            ((&a * &b) * &c, &a * (&c * &b)),
            (&a * (&b + &c), &a * &b + &a * &c),
            (&a - &b, -(&b - &a)),
            (&a + &b - &b, a.clone()),
        ];
        for (left, right) in pairs.into_iter().filter(|(left, right)| !left.is_unknown() && !right.is_unknown()) {
            prop_assert_eq!(left, right);
        }
    }

    /// Lattice laws. Which operand an extremum drops depends on what bounds can decide, and that is everything only for
    /// polynomials; for the rest, no contradiction.
    #[test]
    fn extrema_have_one_form(a in any_tree(), b in any_tree(), c in any_tree()) {
        let (a, b, c) = (a.dim(), b.dim(), c.dim());
        let pairs = [
            (a.max(&b).max(&c), a.max(c.max(&b))),
            (a.min(&b).min(&c), a.min(c.min(&b))),
            (a.max(&b) + &c, (&a + &c).max(&b + &c)),
            (a.min(&b) + &c, (&a + &c).min(&b + &c)),
            (a.min(&b), -(-&a).max(-&b)),
        ];
        let has_one_form = a.is_polynomial() && b.is_polynomial() && c.is_polynomial();
        for (index, (left, right)) in pairs.into_iter().enumerate() {
            if left.is_unknown() || right.is_unknown() {
                continue;
            }
            prop_assert_ne!(left.equals(&right), Some(false), "{} and {}", left, right);
            if has_one_form {
                prop_assert_eq!(left.equals(&right), Some(true), "{} and {}", left, right);
                // A minimum stays one, though it is a maximum of opposites too.
                prop_assert!(index == 4 || left == right, "{} and {}", left, right);
            }
        }
    }

    /// Printing parses back, and a normal form built anew from its parts is the same.
    #[test]
    fn the_normal_form_is_stable(tree in any_tree()) {
        let dim = tree.dim();
        prop_assert_eq!(dim.to_string().parse::<Dim>(), Ok(dim.clone()), "{}", dim);
        prop_assert_eq!(dim.substitute(|_| None), dim);
    }

    /// Replacing symbols first or evaluating first makes no difference.
    #[test]
    fn substitution_agrees_with_integers(tree in any_tree(), by in any_tree(), sizes in any_sizes()) {
        let Some(value) = by.eval(&sizes).filter(|value| *value >= 0) else { return Ok(()) };
        let replaced = tree.dim().substitute(|symbol| (*symbol == Symbol::named("N")).then(|| by.dim()));
        let expected = tree.eval(&[value, sizes[1], sizes[2]]);
        if let (Some(value), Some(expected)) = (eval(&replaced, &sizes), expected) {
            prop_assert_eq!(value, expected, "{} with {}", tree.dim(), by.dim());
        }
    }

    /// What is solved satisfies the equation, and no smaller size does.
    #[test]
    fn solutions_are_the_smallest(a in -5..9i64, b in -9..9i64, q in 1..6i64, c in -3..4i64, value in -20..20i64) {
        let dim = (Dim::named("N") * a + b).floor_div(q) * c + 1;
        let smallest = (0..400).find(|size| eval(&dim, &[*size, 0, 0]) == Some(value));
        prop_assert_eq!(dim.solve_for(&Symbol::named("N"), value), smallest, "{} = {}", dim, value);
    }

    /// Any text is read or refused, and what is read prints back.
    #[test]
    fn any_text_is_read_or_refused(text in "[-+*/^(),?\" 0-9NhwflormincexodA]{0,40}") {
        if let Ok(dim) = text.parse::<Dim>() {
            prop_assert_eq!(dim.to_string().parse::<Dim>(), Ok(dim));
        }
    }

    /// Names are taken as they are.
    #[test]
    fn any_name_prints_and_parses(name in any::<String>()) {
        let dim = Dim::named(&name);
        prop_assert_eq!(dim.to_string().parse::<Dim>(), Ok(dim));
    }

    /// The structural order is total and agrees with equality.
    #[test]
    fn the_order_is_total(a in any_tree(), b in any_tree(), c in any_tree()) {
        let (a, b, c) = (a.dim(), b.dim(), c.dim());
        prop_assert_eq!(a.structural_cmp(&b), b.structural_cmp(&a).reverse());
        prop_assert_eq!(a.structural_cmp(&b).is_eq(), a == b);
        if a.structural_cmp(&b).is_le() && b.structural_cmp(&c).is_le() {
            prop_assert!(a.structural_cmp(&c).is_le());
        }
    }
}
