//! `Max`, `Min`, `Sum`, `Mean`: over any number of operands, elementwise with broadcasting.
//!
//! Operands `[s..]`, at least one, broadcast together; output `[s..]`. A NaN in one operand is NaN in the result.
//!
//! Source: ONNX operator specification, the operators of these names, opsets 1 to 13 (before 8 all shapes had to be equal).

use onnxpress_ir::{Dim, Tensor};

use crate::axes::Axes;
use crate::elementwise::pointwise;
use crate::evaluate::elementwise::{binary_tensors, map_floats};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::node::NodeCx;
use crate::operator::{Infer, Operator, Quantize};

const fn sheet(
    name: &'static str,
    infer: fn(&mut InferCx<'_>) -> Result<(), Undecided>,
    gradient: Gradient,
    kernel: crate::elementwise::Kernel,
) -> Operator {
    Operator {
        infer: Infer::With(infer),
        axes: Axes::With(axes),
        ..pointwise(name, Quantize::Elementwise, gradient, kernel)
    }
}

pub(crate) static MAX: Operator =
    sheet("Max", |cx| infer_with(cx, |a, b| a.max(b)), Gradient::With(super::gradient::extremum), max);
pub(crate) static MIN: Operator =
    sheet("Min", |cx| infer_with(cx, |a, b| a.min(b)), Gradient::With(super::gradient::extremum), min);
pub(crate) static SUM: Operator = sheet(
    "Sum",
    |cx| infer_with(cx, |a, b| a + b),
    Gradient::With(super::gradient::sum),
    |cx| Ok(vec![sum(cx)?.into()]),
);
pub(crate) static MEAN: Operator =
    sheet("Mean", crate::elementwise::of_their_type, Gradient::With(super::gradient::mean), mean);

fn infer_with(cx: &mut InferCx<'_>, f: impl Fn(&Dim, &Dim) -> Dim) -> Result<(), Undecided> {
    let dtype = infer::elementwise(cx, None)?;
    let mut result: Option<Vec<Dim>> = None;
    for index in 0..cx.operand_count() {
        // Elements pair up one by one only where no operand has more axes than one.
        if cx.rank(index).is_none_or(|rank| rank > 1) {
            return Ok(());
        }
        let Some(elements) = infer::tracked(cx, index) else { return Ok(()) };
        result = match result {
            None => Some(elements.into_owned()),
            Some(so_far) => infer::pairwise(&so_far, &elements, &f),
        };
        if result.is_none() {
            return Ok(());
        }
    }
    if let Some(elements) = result {
        infer::keep_elements(cx, dtype, elements);
    }
    Ok(())
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    Ok(format!("{} -> s..", vec!["s.."; cx.operand_count()].join(", ")))
}

fn fold(
    cx: &EvalCx<'_>,
    whole: impl Fn(i128, i128) -> i128,
    float: impl Fn(f64, f64) -> f64,
) -> Result<Tensor, EvalError> {
    let mut result = cx.tensor(0)?.clone();
    for index in 1..cx.inputs.len() {
        result = binary_tensors(cx, &result, cx.tensor(index)?, |a, b| Some(whole(a, b)), &float)?;
    }
    Ok(result)
}

fn max(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    Ok(vec![fold(cx, i128::max, |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) })?.into()])
}

fn min(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    Ok(vec![fold(cx, i128::min, |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) })?.into()])
}

fn sum(cx: &EvalCx<'_>) -> Result<Tensor, EvalError> {
    fold(cx, |a, b| a + b, |a, b| a + b)
}

fn mean(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let count = cx.inputs.len() as f64;
    Ok(vec![map_floats(&sum(cx)?, |total| total / count)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn any_number_of_operands() {
        assert_eq!(op("Max").input("float[N,1]").input("float[4]").input("float[]").infer(), "float[N,4]");
        assert_eq!(op("Sum").input("float[N]").infer(), "float[N]");
        assert_eq!(
            op("Mean").input("float[2]").input("float[3]").infer(),
            "invalid: axis 0 of the result: found extents 2 and 3, expected equal ones or 1"
        );
        assert_eq!(op("Min").input("float").input("float").axes(), "s.., s.. -> s..");
    }

    #[test]
    fn bounds_of_sizes() {
        let bounded = op("Min").elements("int64[2]", "N+4 9").elements("int64[]", "5").elements("int64[1]", "4");
        assert_eq!(bounded.infer(), "int64[2] = {4, 4}");
    }

    #[test]
    fn nan_wins() {
        let operands = |name| op(name).floats(&[2], &[1.0, f32::NAN]).floats(&[], &[2.0]).floats(&[1], &[6.0]).f32s();
        assert_eq!(operands("Max")[0], 6.0);
        assert_eq!(operands("Mean")[0], 3.0);
        assert!(["Max", "Min", "Sum", "Mean"].into_iter().all(|name| operands(name)[1].is_nan()));
    }
}
