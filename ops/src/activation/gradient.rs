//! Gradients of activation functions that have attributes, or that look at more than one element.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use crate::gradient::{Expression, GradientCx, GradientError, choose, function, of};

type Done = Result<(), GradientError>;

/// An attribute of the node that is a number.
fn number(cx: &GradientCx<'_, '_>, name: &str, otherwise: f32) -> Result<f64, GradientError> {
    Ok(f64::from(cx.node().attrs().float_or(name, otherwise)?))
}

pub(super) fn leaky_relu(cx: &mut GradientCx<'_, '_>) -> Done {
    let alpha = number(cx, "alpha", 0.01)?;
    cx.pointwise(|x, _, g| choose(x.below(0.0), alpha * g.clone(), g))
}

pub(super) fn thresholded_relu(cx: &mut GradientCx<'_, '_>) -> Done {
    let alpha = number(cx, "alpha", 1.0)?;
    cx.pointwise(|x, _, g| choose(x.above(alpha), g, 0.0))
}

pub(super) fn elu(cx: &mut GradientCx<'_, '_>) -> Done {
    let alpha = number(cx, "alpha", 1.0)?;
    cx.pointwise(|x, y, g| choose(x.below(0.0), g.clone() * (y + alpha), g))
}

pub(super) fn celu(cx: &mut GradientCx<'_, '_>) -> Done {
    let alpha = number(cx, "alpha", 1.0)?;
    cx.pointwise(|x, _, g| choose(x.clone().below(0.0), g.clone() * function("Exp", x / alpha), g))
}

pub(super) fn selu(cx: &mut GradientCx<'_, '_>) -> Done {
    let (alpha, gamma) = (number(cx, "alpha", 1.673_263_2)?, number(cx, "gamma", 1.050_701)?);
    cx.pointwise(|x, y, g| choose(x.below(0.0), g.clone() * (y + alpha * gamma), g * gamma))
}

pub(super) fn shrink(cx: &mut GradientCx<'_, '_>) -> Done {
    let lambda = number(cx, "lambd", 0.5)?;
    cx.pointwise(|x, _, g| choose(function("Abs", x).above(lambda), g, 0.0))
}

pub(super) fn hard_sigmoid(cx: &mut GradientCx<'_, '_>) -> Done {
    let alpha = number(cx, "alpha", 0.2)?;
    cx.pointwise(|_, y, g| choose(y.clone().above(0.0).and(y.below(1.0)), g * alpha, 0.0))
}

/// `x / 3 + 1/2` between -3 and 3; flat before, straight after.
pub(super) fn hard_swish(cx: &mut GradientCx<'_, '_>) -> Done {
    cx.pointwise(|x, _, g| {
        let between = g.clone() * (x.clone() / 3.0 + 0.5);
        choose(x.clone().below(-3.0), 0.0, choose(x.above(3.0), g, between))
    })
}

/// The slope of `x * sigmoid(alpha * x)`.
fn swish_slope(x: Expression, alpha: f64) -> Expression {
    let gate = function("Sigmoid", x.clone() * alpha);
    gate.clone() * (1.0 + alpha * x * (1.0 - gate))
}

pub(super) fn swish(cx: &mut GradientCx<'_, '_>) -> Done {
    let alpha = number(cx, "alpha", 1.0)?;
    cx.pointwise(|x, _, g| g * swish_slope(x, alpha))
}

pub(super) fn swiglu(cx: &mut GradientCx<'_, '_>) -> Done {
    let alpha = number(cx, "alpha", 1.0)?;
    let (gate, value, g) = (of(cx.operand(0)?), of(cx.operand(1)?), of(cx.result()?));
    cx.give_by(0, || g.clone() * value * swish_slope(gate.clone(), alpha))?;
    cx.give_by(1, || g * gate.clone() * function("Sigmoid", gate * alpha))
}

pub(super) fn mish(cx: &mut GradientCx<'_, '_>) -> Done {
    cx.pointwise(|x, _, g| {
        let tanh = function("Tanh", function("Softplus", x.clone()));
        g * (tanh.clone() + x.clone() * (1.0 - tanh.squared()) * function("Sigmoid", x))
    })
}

/// `Phi(x) + x * phi(x)`.
pub(crate) fn gelu_slope(x: Expression) -> Expression {
    let cumulated = 0.5 * (1.0 + function("Erf", x.clone() * FRAC_1_SQRT_2));
    let density = function("Exp", x.clone().squared() * -0.5) * (0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
    cumulated + x * density
}

/// The same of the approximation by a hyperbolic tangent.
pub(crate) fn gelu_by_tanh_slope(x: Expression) -> Expression {
    let factor = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
    let square = x.clone().squared();
    let tanh = function("Tanh", factor * x.clone() * (1.0 + 0.044_715 * square.clone()));
    let inner = factor * (1.0 + 3.0 * 0.044_715 * square);
    0.5 * (1.0 + tanh.clone()) + 0.5 * x * (1.0 - tanh.squared()) * inner
}

pub(super) fn gelu(cx: &mut GradientCx<'_, '_>) -> Done {
    let by_tanh = cx.node().attrs().string_or("approximate", "none".into())? == "tanh";
    cx.pointwise(|x, _, g| g * if by_tanh { gelu_by_tanh_slope(x) } else { gelu_slope(x) })
}

/// Nothing passes where the input was cut off.
pub(super) fn clip(cx: &mut GradientCx<'_, '_>) -> Done {
    let (low, high) = (cx.optional(1), cx.optional(2));
    cx.pointwise(|x, _, g| {
        let above = low.map(|low| x.clone().above(low));
        let below = high.map(|high| x.below(high));
        match (above, below) {
            (Some(above), Some(below)) => choose(above.and(below), g, 0.0),
            (Some(inside), None) | (None, Some(inside)) => choose(inside, g, 0.0),
            (None, None) => g,
        }
    })
}

pub(super) fn dropout(cx: &mut GradientCx<'_, '_>) -> Done {
    let trains = match cx.optional(2) {
        None => false,
        Some(_) => cx.node().ints(2).is_none_or(|mode| mode != [0]),
    };
    if trains {
        return Err(GradientError::not_possible("it draws random numbers, which no other node sees"));
    }
    cx.pointwise(|_, _, g| g)
}

pub(super) fn prelu(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, slope, g) = (of(cx.operand(0)?), of(cx.operand(1)?), of(cx.result()?));
    cx.give_by(0, || choose(x.clone().below(0.0), g.clone() * slope, g.clone()))?;
    cx.give_by(1, || choose(x.clone().below(0.0), g * x, 0.0))
}

/// The sum of a value along the node's axis, which stays with extent 1.
fn sum_along_axis(cx: &mut GradientCx<'_, '_>, value: Expression) -> Result<Expression, GradientError> {
    let axis = cx.node().attrs().int_or("axis", -1)?;
    let value = cx.write(&value)?;
    Ok(of(cx.sum(value, vec![axis], true)?))
}

/// `y * (g - sum(g * y))`.
pub(super) fn softmax(cx: &mut GradientCx<'_, '_>) -> Done {
    let (y, g) = (of(cx.output(0)), of(cx.result()?));
    let shared = sum_along_axis(cx, g.clone() * y.clone())?;
    cx.give_by(0, || y * (g - shared))
}

/// `g - exp(y) * sum(g)`.
pub(super) fn log_softmax(cx: &mut GradientCx<'_, '_>) -> Done {
    let (y, g) = (of(cx.output(0)), of(cx.result()?));
    let total = sum_along_axis(cx, g.clone())?;
    cx.give_by(0, || g - function("Exp", y) * total)
}
