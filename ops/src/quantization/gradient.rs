//! Gradients through quantization, by the straight-through estimator: rounding counts as doing nothing, clipping as clipping.
//!
//! Y. Bengio, N. Léonard, A. Courville, "Estimating or Propagating Gradients Through Stochastic Neurons for Conditional
//! Computation" (2013). The gradient of what `QuantizeLinear` gives is that of the number it stands for, in levels; so a pair of
//! it and `DequantizeLinear` passes on what lies inside of the range, and both scales together get the gradient of learned step
//! sizes (S. Esser et al., "Learned Step Size Quantization", 2020).

use onnxpress_ir::tensor::range;
use onnxpress_ir::{Attr, DType, Dim, Node, ValueId};

use crate::gradient::{Expression, GradientCx, GradientError, choose, function, of};
use crate::parameters::axis_of;

type Done = Result<(), GradientError>;

/// A scale or zero point, as broadcasting wants it.
fn placed(cx: &mut GradientCx<'_, '_>, parameter: ValueId) -> Result<ValueId, GradientError> {
    let x = cx.operand(0)?;
    let shape = cx.shape(parameter)?;
    if cx.node().attrs().int_or("block_size", 0)? != 0 {
        return Err(GradientError::not_possible("scales of blocks"));
    }
    if shape.is_empty() || shape.iter().all(|extent| *extent == Dim::from(1)) {
        return if shape.is_empty() { Ok(parameter) } else { cx.reshape(parameter, &[]) };
    }
    let rank = cx.rank(x)?;
    let axis = axis_of(cx.node().attrs().int_or("axis", 1)?, rank)?;
    let behind = std::iter::repeat_n(1, rank - 1 - axis);
    cx.reshape(parameter, &std::iter::once(-1).chain(behind).collect::<Vec<_>>())
}

/// A number of levels, in the element type of the scale.
fn in_float(cx: &mut GradientCx<'_, '_>, value: ValueId) -> Result<ValueId, GradientError> {
    let dtype = cx.dtype()?;
    cx.add(Node::new("Cast", 1).with(Attr::int("to", dtype.code())), &[value])
}

/// The zero point in float; 0 where there is none.
fn zero_point(cx: &mut GradientCx<'_, '_>) -> Result<Expression, GradientError> {
    match cx.optional(2) {
        None => Ok(Expression::Number(0.0)),
        Some(zero) => {
            let zero = placed(cx, zero)?;
            Ok(of(in_float(cx, zero)?))
        }
    }
}

/// Sums up the gradient of a scale, which has an extent an index of its axis.
fn give_scale(cx: &mut GradientCx<'_, '_>, gradient: Expression) -> Done {
    if !cx.wants(1) {
        return Ok(());
    }
    let scale = cx.operand(1)?;
    let placed = placed(cx, scale)?;
    let gradient = cx.write(&gradient)?;
    let summed = cx.sum_to(gradient, placed)?;
    let summed = cx.shaped_like(summed, scale)?;
    cx.give(1, summed)
}

/// The levels that a type has.
fn levels(dtype: Option<DType>) -> Result<(f64, f64), GradientError> {
    match dtype {
        Some(dtype) if dtype.is_integer() => {
            let (low, high) = range(dtype);
            Ok((low as f64, high as f64))
        }
        _ => Err(GradientError::not_possible("levels that are no whole numbers")),
    }
}

pub(super) fn quantize(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, g) = (of(cx.operand(0)?), of(cx.result()?));
    let output = cx.output(0);
    let (low, high) = levels(cx.node().graph.ty(output).dtype())?;
    let scale = cx.operand(1)?;
    let scale = of(placed(cx, scale)?);
    let zero = zero_point(cx)?;
    let level = function("Round", x.clone() / scale.clone()) + zero;
    // What is rounded to the last level is inside.
    let inside = function("Not", level.clone().below(low)).and(function("Not", level.above(high)));
    let passed = of(cx.write(&choose(inside, g / scale.clone(), 0.0))?);
    cx.give_by(0, || passed.clone())?;
    give_scale(cx, -(passed * x / scale))
}

pub(super) fn dequantize(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, scale, g) = (cx.operand(0)?, cx.operand(1)?, of(cx.result()?));
    let scale = of(placed(cx, scale)?);
    cx.give_by(0, || g.clone() * scale)?;
    if cx.wants(1) {
        let (level, zero) = (of(in_float(cx, x)?), zero_point(cx)?);
        give_scale(cx, g * (level - zero))?;
    }
    Ok(())
}
