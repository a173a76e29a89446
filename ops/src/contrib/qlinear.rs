//! Elementwise operators on quantized tensors: computed on the numbers that the codes stand for, then quantized again.
//!
//! Each tensor is followed by its scale and zero point; those of the result come last. `QLinearConv` is the standard's, here
//! also with channels last, which is inferred only.
//!
//! Source: onnxruntime, "Contrib Operators", `com.microsoft.QLinearAdd`, `QLinearMul`, `QLinearLeakyRelu`, `QLinearSigmoid`,
//! `QLinearSoftmax`, `QLinearWhere`, `QLinearConv`, version 1.

use onnxpress_ir::{Shape, Tensor};

use super::DOMAIN;
use crate::activation::{leaky_relu, sigmoid, softmax};
use crate::axes::Axes;
use crate::evaluate::elementwise::{binary_tensors, broadcast_dims};
use crate::evaluate::lanes::Lanes;
use crate::evaluate::pick::zero;
use crate::evaluate::walk::Walk;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided, broadcast};
use crate::linear::{qlinear_conv, requantize};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static QLINEAR_ADD: Operator =
    sheet("QLinearAdd", PAIR, |cx| infer_of(cx, &[0, 3]), |cx| pair(cx, |a, b| a + b));
pub(crate) static QLINEAR_MUL: Operator =
    sheet("QLinearMul", PAIR, |cx| infer_of(cx, &[0, 3]), |cx| pair(cx, |a, b| a * b));
pub(crate) static QLINEAR_LEAKY_RELU: Operator = sheet(
    "QLinearLeakyRelu",
    SINGLE,
    |cx| infer_of(cx, &[0]),
    |cx| {
        let alpha = f64::from(cx.attrs().float_or("alpha", 0.01)?);
        single(cx, |x| leaky_relu(x, alpha))
    },
);
pub(crate) static QLINEAR_SIGMOID: Operator =
    sheet("QLinearSigmoid", SINGLE, |cx| infer_of(cx, &[0]), |cx| single(cx, sigmoid));
pub(crate) static QLINEAR_SOFTMAX: Operator =
    sheet("QLinearSoftmax", Axes::Spec("s.., , , , -> s..; normalized s"), |cx| infer_of(cx, &[0]), evaluate_softmax);
pub(crate) static QLINEAR_WHERE: Operator =
    sheet("QLinearWhere", Axes::Spec("s.., s.., , , s.., , , , -> s.."), |cx| infer_of(cx, &[1, 4, 0]), evaluate_where);
pub(crate) static QLINEAR_CONV: Operator = qlinear_conv::sheet(DOMAIN, infer_conv, evaluate_conv);

const PAIR: Axes = Axes::Spec("s.., , , s.., , , , -> s..");
const SINGLE: Axes = Axes::Spec("s.., , , , -> s..");

const fn sheet(
    name: &'static str,
    axes: Axes,
    infer: fn(&mut InferCx<'_>) -> Result<(), Undecided>,
    evaluate: fn(&EvalCx<'_>) -> Result<Vec<Value>, EvalError>,
) -> Operator {
    Operator {
        domain: DOMAIN,
        name,
        infer: Infer::With(infer),
        axes,
        evaluate: Evaluate::With(evaluate),
        linear: Linear::None("elementwise"),
        quantize: Quantize::Quantized,
        cost: Cost::None("elementwise"),
        effects: Effects::Pure,
        gradient: Gradient::NotPossible("it rounds"),
    }
}

/// The operands broadcast together, in the type of the first.
fn infer_of(cx: &mut InferCx<'_>, operands: &[usize]) -> Result<(), Undecided> {
    let dtype = operands.first().and_then(|&index| cx.dtype(index));
    let shape = broadcast(cx, operands.iter().copied())?;
    cx.set_tensor(0, dtype, shape);
    Ok(())
}

/// The numbers of a tensor, in binary64, by the scale and zero point that follow it.
///
/// # Errors
/// Where there is more than one scale or zero point.
pub(super) fn numbers(cx: &EvalCx<'_>, index: usize) -> Result<Tensor, EvalError> {
    let x = cx.tensor(index)?;
    let scale = one(cx.tensor(index + 1)?)?;
    let zero = cx.optional_tensor(index + 2)?.map(one).transpose()?.unwrap_or(0.0);
    let values: Vec<f64> = x.to_f64s()?.into_iter().map(|code| (code - zero) * scale).collect();
    Ok(Tensor::from_values(x.dims(), values)?)
}

fn one(tensor: &Tensor) -> Result<f64, EvalError> {
    match tensor.to_f64s()?.as_slice() {
        [one] => Ok(*one),
        other => Err(EvalError::invalid(format!("{} scales or zero points, not one", other.len()))),
    }
}

/// The numbers quantized by the scale at `scale` and the zero point after it, which if left out is 0 of operand 0's type.
///
/// # Errors
/// Where there is more than one scale or zero point.
pub(super) fn codes(cx: &EvalCx<'_>, values: &[f64], dims: &[usize], scale: usize) -> Result<Vec<Value>, EvalError> {
    let nothing;
    let zero_point = match cx.optional_tensor(scale + 1)? {
        Some(zero_point) => zero_point,
        None => {
            nothing = zero(cx.tensor(0)?.dtype());
            &nothing
        }
    };
    Ok(vec![requantize(values, dims, cx.tensor(scale)?, zero_point)?.into()])
}

fn pair(cx: &EvalCx<'_>, f: impl Fn(f64, f64) -> f64) -> Result<Vec<Value>, EvalError> {
    let result = binary_tensors(cx, &numbers(cx, 0)?, &numbers(cx, 3)?, |_, _| None, f)?;
    codes(cx, &result.to_f64s()?, result.dims(), 6)
}

fn single(cx: &EvalCx<'_>, f: impl Fn(f64) -> f64) -> Result<Vec<Value>, EvalError> {
    let x = numbers(cx, 0)?;
    let values: Vec<f64> = x.to_f64s()?.into_iter().map(f).collect();
    codes(cx, &values, x.dims(), 3)
}

fn evaluate_softmax(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = numbers(cx, 0)?;
    let axis = cx.axis(cx.attrs().int_or("axis", -1)?, x.rank())?;
    // Before opset 13 of the standard all axes from this one on were one.
    let to = if cx.attrs().int_or("opset", 13)? < 13 { x.rank() } else { axis + 1 };
    let mut values = x.to_f64s()?;
    Lanes::along(x.dims(), axis, to).rewrite(&mut values, softmax);
    codes(cx, &values, x.dims(), 3)
}

fn evaluate_where(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (condition, x, y) = (cx.tensor(0)?, numbers(cx, 1)?, numbers(cx, 4)?);
    let dims = broadcast_dims(cx, condition.dims(), &broadcast_dims(cx, x.dims(), y.dims())?)?;
    let places = |of: &Tensor| Walk::broadcast(of.dims(), &dims);
    let (flags, xs, ys) = (condition.values::<bool>()?, x.to_f64s()?, y.to_f64s()?);
    let chosen = places(condition).zip(places(&x)).zip(places(&y)).map(|((c, x), y)| {
        let (c, x, y) = (c?, x?, y?);
        if *flags.get(c)? { xs.get(x).copied() } else { ys.get(y).copied() }
    });
    let values = chosen.collect::<Option<Vec<f64>>>().ok_or_else(|| EvalError::invalid("an element is missing"))?;
    let zero_point = cx.tensor(8)?;
    Ok(vec![requantize(&values, &dims, cx.tensor(7)?, zero_point)?.into()])
}

fn infer_conv(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    if cx.attrs().flag("channels_last")? {
        let shape = cx.shape(0).map(|x| Shape::of_unknown_extents(x.len()));
        cx.set_tensor(0, cx.dtype(7), shape);
        return Ok(());
    }
    qlinear_conv::infer(cx)
}

fn evaluate_conv(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    if cx.attrs().flag("channels_last")? {
        return Err(EvalError::unsupported("`channels_last`"));
    }
    qlinear_conv::evaluate(cx)
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    #[test]
    fn numbers_are_added_not_codes() {
        let byte = |value: u8| Tensor::scalar(value);
        let bytes = |values: &[u8]| Tensor::vector(values.to_vec());
        let node = op("QLinearAdd").domain("com.microsoft").constant(bytes(&[12, 255])).floats(&[], &[0.5]);
        let node = node.constant(byte(10)).constant(bytes(&[3])).floats(&[], &[2.0]).omitted();
        let node = node.floats(&[], &[1.0]).constant(byte(1));
        // 122.5 + 6 lies between two codes and goes to the even one.
        assert_eq!(node.i64s(), [8, 129]);
        assert_eq!(node.infer(), "uint8[2]");
    }
}
