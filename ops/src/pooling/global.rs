//! `GlobalAveragePool`, `GlobalMaxPool`, `GlobalLpPool`: mean, maximum and p-norm of each channel.
//!
//! Operand X `[n, c, s..]`; output `[n, c, 1..]`.
//!
//! Source: ONNX operator specification, the operators of these names, opsets 1 to 22 (`GlobalLpPool` before 2: p was no whole
//! number).

use onnxpress_ir::{Dim, Shape, Tensor};

use super::lp_pool::exponent;
use crate::axes::Axes;
use crate::elementwise::{Kernel, pointwise};
use crate::evaluate::lanes::Lanes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::node::NodeCx;
use crate::operator::{Cost, Infer, Linear, Operator, Quantize};

const fn sheet(
    name: &'static str,
    quantize: Quantize,
    axes: fn(&NodeCx<'_>) -> Result<String, String>,
    gradient: Gradient,
    kernel: Kernel,
) -> Operator {
    Operator {
        infer: Infer::With(infer),
        axes: Axes::With(axes),
        linear: Linear::None("its weights are fixed"),
        cost: Cost::None("it has no weight"),
        ..pointwise(name, quantize, gradient, kernel)
    }
}

pub(crate) static GLOBAL_AVERAGE_POOL: Operator = sheet(
    "GlobalAveragePool",
    Quantize::Elementwise,
    |cx| axes(cx, "normalized"),
    Gradient::With(super::gradient::global_average_pool),
    |cx| evaluate(cx, |lane| lane.iter().sum::<f64>() / lane.len() as f64),
);
pub(crate) static GLOBAL_MAX_POOL: Operator = sheet(
    "GlobalMaxPool",
    Quantize::Moves,
    |cx| axes(cx, "chosen"),
    Gradient::With(super::gradient::global_max_pool),
    |cx| {
        evaluate(cx, |lane| {
            lane.iter().copied().fold(f64::NEG_INFINITY, |a, b| if b > a || b.is_nan() { b } else { a })
        })
    },
);
pub(crate) static GLOBAL_LP_POOL: Operator = sheet(
    "GlobalLpPool",
    Quantize::KeepsFloat("powers and roots need the range of floats"),
    |cx| axes(cx, "normalized"),
    Gradient::With(super::gradient::global_lp_pool),
    |cx| {
        let p = exponent(cx)?;
        evaluate(cx, |lane| lane.iter().map(|x| x.abs().powf(p)).sum::<f64>().powf(1.0 / p))
    },
);

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let shape = match cx.shape(0) {
        Some(x) if x.len() < 2 => return Err(Undecided::invalid(format!("X{x} has no channels"))),
        Some(x) => {
            let mut shape = Shape::from(&x[..2]);
            shape.extend((2..x.len()).map(|_| Dim::from(1)));
            Some(shape)
        }
        None => None,
    };
    cx.set_tensor(0, cx.dtype(0), shape);
    Ok(())
}

fn axes(cx: &NodeCx<'_>, role: &str) -> Result<String, String> {
    let ones = cx.rank(0).map_or_else(|| " _".to_owned(), |rank| " 1".repeat(rank.saturating_sub(2)));
    Ok(format!("n c s.. -> n c{ones}; {role} s"))
}

fn evaluate(cx: &EvalCx<'_>, of_channel: impl FnMut(&[f64]) -> f64) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    if x.rank() < 2 {
        return Err(EvalError::invalid(format!("X{:?} has no channels", x.dims())));
    }
    let mut dims = x.dims().to_vec();
    dims[2..].fill(1);
    cx.room_for(&dims)?;
    let y = Lanes::along(x.dims(), 2, x.rank()).fold(&x.to_f64s()?, of_channel);
    Ok(vec![Tensor::from_f64s(x.dtype(), &dims, &y)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn one_number_a_channel() {
        let x = [1.0, 3.0, -4.0, 0.0];
        let pooled = |name: &'static str| op(name).floats(&[1, 2, 2], &x).f32s();
        assert_eq!(pooled("GlobalAveragePool"), [2.0, -2.0]);
        assert_eq!(pooled("GlobalMaxPool"), [3.0, 0.0]);
        assert_eq!(pooled("GlobalLpPool"), [10f32.sqrt(), 4.0]);
    }

    #[test]
    fn spatial_extents_become_one() {
        let pool = op("GlobalAveragePool").input("float[N,c,h,w]");
        assert_eq!(pool.infer(), "float[N,c,1,1]");
        assert_eq!(pool.axes(), "n c s.. -> n c 1 1; normalized s");
        assert_eq!(op("GlobalMaxPool").input("float").axes(), "n c s.. -> n c _; chosen s");
        assert_eq!(op("GlobalMaxPool").input("float[N]").infer(), "invalid: X[N] has no channels");
    }
}
