//! `Softmax`, `LogSoftmax`, `Hardmax`: scores along an axis made into probabilities, into their logarithms, into a one at the
//! first largest and zeros.
//!
//! One operand `[s.., c, t..]`; output of the same type and shape. From opset 13 on lanes run along the one axis `axis`
//! (default -1); before, along it and all axes after it taken as one (default 1).
//!
//! Source: ONNX operator specification, the operators of these names, opsets 1 to 13.

use onnxpress_ir::Tensor;

use crate::axes::Axes;
use crate::elementwise::{Kernel, pointwise};
use crate::evaluate::lanes::Lanes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::node::NodeCx;
use crate::operator::{Infer, Operator, Quantize};

const fn sheet(name: &'static str, quantize: Quantize, gradient: Gradient, kernel: Kernel) -> Operator {
    Operator { infer: Infer::With(infer), axes: Axes::With(axes), ..pointwise(name, quantize, gradient, kernel) }
}

pub(crate) static SOFTMAX: Operator = sheet(
    "Softmax",
    Quantize::KeepsFloat("exponentials need the range of floats"),
    Gradient::With(super::gradient::softmax),
    |cx| evaluate(cx, Scale::Shares),
);
pub(crate) static LOG_SOFTMAX: Operator = sheet(
    "LogSoftmax",
    Quantize::KeepsFloat("logarithms need the range of floats"),
    Gradient::With(super::gradient::log_softmax),
    |cx| evaluate(cx, Scale::Logarithms),
);
pub(crate) static HARDMAX: Operator = sheet(
    "Hardmax",
    Quantize::KeepsFloat("its results are 0 and 1"),
    Gradient::Zero("its results are 0 and 1"),
    evaluate_hardmax,
);

/// Probabilities in place of scores, which are shifted by the largest so that nothing overflows.
pub(crate) fn softmax(lane: &mut [f64]) {
    let largest = largest(lane);
    lane.iter_mut().for_each(|x| *x = (*x - largest).exp());
    let sum: f64 = lane.iter().sum();
    lane.iter_mut().for_each(|x| *x /= sum);
}

/// Logarithms of probabilities in place of scores.
pub(crate) fn log_softmax(lane: &mut [f64]) {
    let largest = largest(lane);
    let log_sum = lane.iter().map(|x| (x - largest).exp()).sum::<f64>().ln();
    lane.iter_mut().for_each(|x| *x = *x - largest - log_sum);
}

fn hardmax(lane: &mut [f64]) {
    let largest = largest(lane);
    let first = lane.iter().position(|&x| x == largest);
    lane.iter_mut().enumerate().for_each(|(index, x)| *x = f64::from(u8::from(Some(index) == first)));
}

fn largest(lane: &[f64]) -> f64 {
    lane.iter().copied().fold(f64::NEG_INFINITY, |a, b| if b > a || b.is_nan() { b } else { a })
}

/// The first axis of the lanes, and whether they take in all axes after it.
fn lane_axes(version: i64, axis: Option<i64>) -> (i64, bool) {
    if version >= 13 { (axis.unwrap_or(-1), false) } else { (axis.unwrap_or(1), true) }
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::same_as_first(cx)?;
    if let Some(rank) = cx.rank(0) {
        cx.axis(lane_axes(cx.version, cx.attrs().int("axis")?).0, rank)?;
    }
    Ok(())
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let (axis, to_the_end) = lane_axes(cx.version, cx.attrs().int("axis").map_err(|_| "`axis` is not known")?);
    let Some(rank) = cx.rank(0) else {
        return match (axis, to_the_end) {
            (-1, _) => Ok("s.. c -> s.. c; normalized c".to_owned()),
            _ => Err("the rank is not known".to_owned()),
        };
    };
    let first = onnxpress_ir::shape::normalize_axis(axis, rank).ok_or("`axis` is none of the operand's")?;
    let last = if to_the_end { rank } else { first + 1 };
    let letters: Vec<_> = (0..rank).map(|axis| format!("a{axis}")).collect();
    let all = letters.join(" ");
    Ok(format!("{all} -> {all}; normalized {}", letters[first..last].join(" ")))
}

/// The scores and the lanes they lie in.
fn scores(cx: &EvalCx<'_>) -> Result<(Vec<f64>, Lanes), EvalError> {
    let x = cx.tensor(0)?;
    if !x.dtype().is_float() {
        return Err(EvalError::invalid(format!("an operand of {}", x.dtype())));
    }
    let (axis, to_the_end) = lane_axes(cx.version, cx.attrs().int("axis")?);
    let first = cx.axis(axis, x.rank())?;
    let last = if to_the_end { x.rank() } else { first + 1 };
    Ok((x.to_f64s()?, Lanes::along(x.dims(), first, last)))
}

/// What probabilities are told as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Shares,
    Logarithms,
}

/// Step by step, each rounded to the operand's type, as is the function that the standard defines the operators by.
fn evaluate(cx: &EvalCx<'_>, scale: Scale) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let rounded = |values: &[f64]| Tensor::from_f64s(x.dtype(), &[values.len()], values)?.to_f64s();
    let (mut values, lanes) = scores(cx)?;
    if values.is_empty() {
        return Ok(vec![x.clone().into()]);
    }
    lanes.rewrite(&mut values, |lane| {
        let largest = largest(lane);
        lane.iter_mut().for_each(|x| *x -= largest);
    });
    let shifted = rounded(&values)?;
    let powers = rounded(&shifted.iter().map(|x| x.exp()).collect::<Vec<_>>())?;
    let sums = rounded(&lanes.fold(&powers, |lane| lane.iter().sum()))?;
    let (mut values, sums) = match scale {
        Scale::Shares => (powers, sums),
        Scale::Logarithms => (shifted, rounded(&sums.iter().map(|sum| sum.ln()).collect::<Vec<_>>())?),
    };
    let mut sums = sums.into_iter();
    lanes.rewrite(&mut values, |lane| {
        let sum = sums.next().unwrap_or(f64::NAN);
        lane.iter_mut().for_each(|x| match scale {
            Scale::Shares => *x /= sum,
            Scale::Logarithms => *x -= sum,
        });
    });
    Ok(vec![Tensor::from_f64s(x.dtype(), x.dims(), &values)?.into()])
}

fn evaluate_hardmax(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let (mut values, lanes) = scores(cx)?;
    lanes.rewrite(&mut values, hardmax);
    Ok(vec![Tensor::from_f64s(x.dtype(), x.dims(), &values)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn from_opset_13_on_lanes_run_along_one_axis() {
        let scores = [f32::NEG_INFINITY, 0.0, 1.0, 0.0];
        assert_eq!(op("Softmax").int("axis", 0).floats(&[2, 2], &scores).f32s(), [0.0, 0.5, 1.0, 0.5]);
        let old = op("Softmax").version(12).int("axis", 0).floats(&[2, 2], &[0.0; 4]);
        assert_eq!(old.f32s(), [0.25; 4], "all axes from `axis` on are one");
        assert_eq!(op("Softmax").input("float[N,C,8]").axes(), "a0 a1 a2 -> a0 a1 a2; normalized a2");
        assert_eq!(op("Softmax").version(12).input("float[N,C,8]").axes(), "a0 a1 a2 -> a0 a1 a2; normalized a1 a2");
        assert_eq!(op("Softmax").input("float").axes(), "s.. c -> s.. c; normalized c");
    }

    #[test]
    fn large_scores_do_not_overflow() {
        assert_eq!(op("Softmax").floats(&[2], &[1e30, 1e30]).f32s(), [0.5, 0.5]);
        assert_eq!(op("LogSoftmax").floats(&[2], &[1e4, 0.0]).f32s(), [0.0, -1e4]);
    }

    #[test]
    fn the_first_largest_is_the_one() {
        assert_eq!(
            op("Hardmax").floats(&[2, 3], &[1.0, 3.0, 3.0, 2.0, 1.0, 0.0]).f32s(),
            [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]
        );
    }

    #[test]
    fn an_axis_the_operand_does_not_have() {
        assert_eq!(op("Softmax").int("axis", 2).input("float[N,3]").infer(), "invalid: axis 2 of a tensor of rank 2");
        assert_eq!(op("Softmax").int("axis", i64::MIN).input("float").infer(), "float");
    }
}
