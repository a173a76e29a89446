//! Which operator of the standard computes an expression.

use onnxpress_ir::{Attr, Node};

use super::expression::{Atom, Expr, Function, near};

/// An operator with attributes, and numbers for the operands behind the first.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) node: Node,
    pub(super) numbers: Vec<Option<f64>>,
}

impl Call {
    fn new(op_type: &'static str) -> Self {
        Self { node: Node::new(op_type, 1), numbers: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: f64) -> Self {
        self.node = self.node.with(Attr::float(name, value as f32));
        self
    }
}

/// The operators that compute the expression, the best first. Which of them the model's version has is not asked here.
pub(super) fn calls(expr: &Expr, version: i64) -> Vec<Call> {
    let known: [fn(&Expr, i64) -> Option<Call>; 11] =
        [arithmetic, clip, sigmoid, softplus, softsign, hard_sigmoid, hard_swish, swish, mish, gelu, split];
    known.iter().filter_map(|known| known(expr, version)).collect()
}

/// `a * x` or `x + b`.
fn arithmetic(expr: &Expr, _: i64) -> Option<Call> {
    let (op_type, number) = match expr.as_affine()? {
        (1.0, b) => ("Add", b),
        (a, 0.0) => ("Mul", a),
        _ => return None,
    };
    Some(Call { numbers: vec![Some(number)], ..Call::new(op_type) })
}

fn clip(expr: &Expr, version: i64) -> Option<Call> {
    let (1.0, Atom::Clip(of, low, high)) = expr.as_scaled_atom()? else { return None };
    if !of.is(&Expr::x()) {
        return None;
    }
    if (*low, *high) == (0.0, f64::INFINITY) {
        return Some(Call::new("Relu"));
    }
    let bound = |bound: f64| Some(bound).filter(|bound| bound.is_finite());
    if version >= 11 {
        return Some(Call { numbers: vec![bound(*low), bound(*high)], ..Call::new("Clip") });
    }
    let mut call = Call::new("Clip");
    for (name, bound) in [("min", bound(*low)), ("max", bound(*high))] {
        if let Some(bound) = bound {
            call = call.with(name, bound);
        }
    }
    Some(call)
}

fn sigmoid(expr: &Expr, _: i64) -> Option<Call> {
    expr.is(&of_x(Function::Sigmoid)?).then(|| Call::new("Sigmoid"))
}

fn softplus(expr: &Expr, _: i64) -> Option<Call> {
    expr.is(&of_x(Function::Softplus)?).then(|| Call::new("Softplus"))
}

/// `x / (1 + |x|)`.
fn softsign(expr: &Expr, _: i64) -> Option<Call> {
    let target = Expr::x().times(&of_x(Function::Abs)?.plus(Expr::number(1.0))?.inverse()?)?;
    expr.is(&target).then(|| Call::new("Softsign"))
}

/// `max(0, min(1, alpha * x + beta))`.
fn hard_sigmoid(expr: &Expr, _: i64) -> Option<Call> {
    let unit = expr.clone().clipped(0.0, 1.0)?;
    let (mut alpha, mut bounds) = (0.0, None);
    for term in expr.terms() {
        let term = Expr::of_term(term);
        if let Some((number, Atom::Clip(of, low, high))) = term.as_scaled_atom()
            && of.is(&Expr::x())
        {
            (alpha, bounds) = (number, Some((*low, *high)));
        }
    }
    let (low, high) = bounds?;
    // Not -0.
    let beta = 0.0 - alpha * low;
    let target = Expr::x().scaled(alpha)?.plus(Expr::number(beta))?.clipped(0.0, 1.0)?;
    let fits = alpha > 0.0 && near(alpha * (high - low), 1.0) && expr.is(&target) && unit.is(&target);
    fits.then(|| Call::new("HardSigmoid").with("alpha", alpha).with("beta", beta))
}

/// `x * max(0, min(1, x / 6 + 1 / 2))`.
fn hard_swish(expr: &Expr, _: i64) -> Option<Call> {
    let gate = Expr::x().scaled(1.0 / 6.0)?.plus(Expr::number(0.5))?.clipped(0.0, 1.0)?;
    expr.is(&Expr::x().times(&gate)?).then(|| Call::new("HardSwish"))
}

/// `x * sigmoid(alpha * x)`.
fn swish(expr: &Expr, _: i64) -> Option<Call> {
    let alpha = expr.swish_factor()?;
    let target = Expr::x().times(&Expr::x().scaled(alpha)?.then(Function::Sigmoid)?)?;
    expr.is(&target).then(|| Call::new("Swish").with("alpha", alpha))
}

/// `x * tanh(softplus(x))`.
fn mish(expr: &Expr, _: i64) -> Option<Call> {
    let target = Expr::x().times(&of_x(Function::Softplus)?.then(Function::Tanh)?)?;
    expr.is(&target).then(|| Call::new("Mish"))
}

/// `x / 2 * (1 + erf(x / sqrt(2)))`, and with `tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))` for `erf`.
fn gelu(expr: &Expr, _: i64) -> Option<Call> {
    let of = |gate: Expr| Expr::x().scaled(0.5)?.times(&gate.plus(Expr::number(1.0))?);
    let exact = of(Expr::x().scaled(std::f64::consts::FRAC_1_SQRT_2)?.then(Function::Erf)?)?;
    if expr.is(&exact) {
        return Some(Call::new("Gelu"));
    }
    let inner = Expr::x().plus(Expr::x().power(3)?.scaled(0.044_715)?)?;
    let approximate = of(inner.scaled((2.0 / std::f64::consts::PI).sqrt())?.then(Function::Tanh)?)?;
    expr.is(&approximate).then(|| {
        let call = Call::new("Gelu");
        Call { node: call.node.with(Attr::string("approximate", "tanh")), ..call }
    })
}

/// One function below a number and another above.
fn split(expr: &Expr, _: i64) -> Option<Call> {
    let (number, Atom::Split { at, at_is_below, below, above }) = expr.as_scaled_atom()? else { return None };
    let (below, above) = ((**below).clone().scaled(number)?, (**above).clone().scaled(number)?);
    let zero = Expr::number(0.0);
    if let Some(call) = shrink(*at, *at_is_below, &below, &above) {
        return Some(call);
    }
    if above.is(&Expr::x()) && below.is(&zero) && (*at != 0.0 || *at_is_below) {
        return at_is_below.then(|| Call::new("ThresholdedRelu").with("alpha", *at));
    }
    if *at != 0.0 {
        return None;
    }
    // All of these meet in zero, so it does not matter on which side that is.
    let exponential =
        |gamma: f64, alpha: f64| of_x(Function::Exp)?.plus(Expr::number(-1.0))?.scaled(alpha)?.scaled(gamma);
    let (gamma, 0.0) = above.as_affine()? else { return None };
    let alpha = below.terms().iter().map(|term| term.number.abs()).fold(0.0, f64::max) / gamma;
    if near(gamma, 1.0) {
        if let Some((slope, 0.0)) = below.as_affine() {
            return Some(Call::new("LeakyRelu").with("alpha", slope));
        }
        if below.is(&exponential(1.0, alpha)?) {
            return Some(Call::new("Elu").with("alpha", alpha));
        }
        let slow = Expr::x().scaled(1.0 / alpha)?.then(Function::Exp)?.plus(Expr::number(-1.0))?.scaled(alpha)?;
        if below.is(&slow) {
            return Some(Call::new("Celu").with("alpha", alpha));
        }
    }
    below.is(&exponential(gamma, alpha)?).then(|| Call::new("Selu").with("alpha", alpha).with("gamma", gamma))
}

/// `x + bias` below `-lambd`, `x - bias` above `lambd`, zero between.
fn shrink(at: f64, at_is_below: bool, below: &Expr, above: &Expr) -> Option<Call> {
    let (1.0, Atom::Split { at: upper, at_is_below: upper_is_below, below: between, above }) =
        above.as_scaled_atom()?
    else {
        return None;
    };
    let ((1.0, bias), (1.0, less)) = (below.as_affine()?, above.as_affine()?) else { return None };
    let alike = near(at, -upper) && near(bias, -less) && between.is(&Expr::number(0.0));
    let fits = alike && *upper >= 0.0 && !at_is_below && *upper_is_below;
    fits.then(|| Call::new("Shrink").with("lambd", *upper).with("bias", bias))
}

fn of_x(function: Function) -> Option<Expr> {
    Expr::x().then(function)
}
