//! `Gelu`, `FastGelu`, `BiasGelu` of `com.microsoft`: the standard's `Gelu`, its approximation by `tanh`, and the exact one
//! after a sum.
//!
//! Operands X `[s.., c]`, for `FastGelu` optionally and for `BiasGelu` always a bias `[c]`; output of the type and shape of X.
//!
//! Source: onnxruntime, the operators of these names, version 1.

use super::DOMAIN;
use crate::activation::{gelu, gelu_by_tanh, gelu_by_tanh_slope, gelu_slope};
use crate::axes::Axes;
use crate::elementwise::{CURVED, combining, pointwise};
use crate::evaluate::elementwise::{binary, unary_float};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::{Expression, Gradient, GradientCx, GradientError, of};
use crate::infer::{self, InferCx, Undecided};
use crate::node::NodeCx;
use crate::operator::Operator;

pub(crate) static GELU: Operator = Operator {
    domain: DOMAIN,
    ..pointwise("Gelu", CURVED, Gradient::With(|cx| of_biased(cx, gelu_slope)), |cx| unary_float(cx, gelu))
};
pub(crate) static FAST_GELU: Operator = Operator {
    domain: DOMAIN,
    axes: Axes::With(axes),
    ..combining("FastGelu", infer, CURVED, Gradient::With(|cx| of_biased(cx, gelu_by_tanh_slope)), |cx| {
        biased(cx, gelu_by_tanh)
    })
};
pub(crate) static BIAS_GELU: Operator = Operator {
    domain: DOMAIN,
    axes: Axes::With(axes),
    ..combining("BiasGelu", infer, CURVED, Gradient::With(|cx| of_biased(cx, gelu_slope)), |cx| biased(cx, gelu))
};

/// The slope at the sum with the bias, where there is one; the bias shares it.
fn of_biased(cx: &mut GradientCx<'_, '_>, slope: fn(Expression) -> Expression) -> Result<(), GradientError> {
    let (x, g) = (of(cx.operand(0)?), of(cx.result()?));
    let sum = cx.optional(1).map_or_else(|| x.clone(), |bias| x.clone() + bias);
    let gradient = cx.write(&(g * slope(sum)))?;
    cx.give(0, gradient)?;
    cx.give(1, gradient)
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::same_as_first(cx)?;
    cx.expect_rank(1, 1)?;
    match (cx.shape(0), cx.shape(1)) {
        (Some(x), Some(bias)) if x.broadcast(bias)?.len() != x.len() => {
            Err(Undecided::invalid(format!("a bias {bias} for {x}")))
        }
        _ => Ok(()),
    }
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    Ok(if cx.has(1) { "s.. c, c -> s.. c" } else { "s.. -> s.." }.to_owned())
}

fn biased(cx: &EvalCx<'_>, f: fn(f64) -> f64) -> Result<Vec<Value>, EvalError> {
    let Some(bias) = cx.optional_tensor(1)? else { return unary_float(cx, f) };
    let dims = cx.tensor(0)?.dims();
    if bias.rank() != 1 || dims.is_empty() || bias.len() != 1 && dims.last() != Some(&bias.len()) {
        return Err(EvalError::invalid(format!("a bias {:?} for {dims:?}", bias.dims())));
    }
    binary(cx, |_, _| None, |x, bias| f(x + bias))
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn the_bias_is_added_first() {
        let plain = |name, x: f32| op(name).domain("com.microsoft").floats(&[1, 1], &[x]);
        let exact = plain("Gelu", 1.0).f32s();
        assert_eq!(plain("BiasGelu", 0.75).floats(&[1], &[0.25]).f32s(), exact);
        let fast = plain("FastGelu", 1.0).f32s();
        assert_eq!(plain("FastGelu", 0.75).floats(&[1], &[0.25]).f32s(), fast);
        assert!(fast != exact && (fast[0] - exact[0]).abs() < 1e-3);
    }

    #[test]
    fn the_bias_runs_along_the_last_axis() {
        let open = op("BiasGelu").domain("com.microsoft").input("float[N,s,64]").input("float[64]");
        assert_eq!(open.infer(), "float[N,s,64]");
        assert_eq!(open.axes(), "s.. c, c -> s.. c");
        let wrong = op("FastGelu").domain("com.microsoft").input("float[N,3]").input("float[4]").infer();
        assert_eq!(wrong, "invalid: axis 1 of the result: found extents 3 and 4, expected equal ones or 1");
    }
}
