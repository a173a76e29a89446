//! Gradients of arithmetic on several operands.

use crate::gradient::{Expression, GradientCx, GradientError, choose, function, of};

type Done = Result<(), GradientError>;

/// Both operands and the gradient of the result.
fn pair(cx: &GradientCx<'_, '_>) -> Result<[Expression; 3], GradientError> {
    Ok([of(cx.operand(0)?), of(cx.operand(1)?), of(cx.result()?)])
}

pub(super) fn add(cx: &mut GradientCx<'_, '_>) -> Done {
    let g = cx.result()?;
    cx.give(0, g)?;
    cx.give(1, g)
}

pub(super) fn sub(cx: &mut GradientCx<'_, '_>) -> Done {
    let g = cx.result()?;
    cx.give(0, g)?;
    cx.give_by(1, || -of(g))
}

pub(super) fn mul(cx: &mut GradientCx<'_, '_>) -> Done {
    let [a, b, g] = pair(cx)?;
    cx.give_by(0, || g.clone() * b)?;
    cx.give_by(1, || g * a)
}

pub(super) fn div(cx: &mut GradientCx<'_, '_>) -> Done {
    let [_, b, g] = pair(cx)?;
    let y = of(cx.output(0));
    cx.give_by(0, || g.clone() / b.clone())?;
    cx.give_by(1, || -(g * y / b))
}

/// `g * b * a^(b - 1)`, and `g * a^b * ln(a)` where a is positive.
pub(super) fn pow(cx: &mut GradientCx<'_, '_>) -> Done {
    let [a, b, g] = pair(cx)?;
    let y = of(cx.output(0));
    let node = cx.node();
    let b = if node.dtype(0) == node.dtype(1) { b } else { Expression::Apply("CastLike", vec![b, a.clone()]) };
    cx.give_by(0, || g.clone() * b.clone() * Expression::Apply("Pow", vec![a.clone(), b - 1.0]))?;
    cx.give_by(1, || choose(a.clone().above(0.0), g * y * function("Log", a), 0.0))
}

/// The remainder grows with A; it jumps where it is a multiple of B, which no gradient sees.
pub(super) fn remainder(cx: &mut GradientCx<'_, '_>) -> Done {
    let g = cx.result()?;
    cx.give(0, g)
}

pub(super) fn sum(cx: &mut GradientCx<'_, '_>) -> Done {
    let g = cx.result()?;
    cx.operands_from(0).into_iter().try_for_each(|(index, _)| cx.give(index, g))
}

pub(super) fn mean(cx: &mut GradientCx<'_, '_>) -> Done {
    let operands = cx.operands_from(0);
    let share = of(cx.result()?) / operands.len() as f64;
    operands.into_iter().try_for_each(|(index, _)| cx.give_by(index, || share.clone()))
}

/// Of the largest or smallest: equal ones share the gradient.
pub(super) fn extremum(cx: &mut GradientCx<'_, '_>) -> Done {
    let (y, g) = (of(cx.output(0)), of(cx.result()?));
    let operands = cx.operands_from(0);
    let hits: Vec<Expression> = operands.iter().map(|&(_, x)| of(x).equals(y.clone()).as_number()).collect();
    let Some(total) = hits.iter().cloned().reduce(|a, b| a + b) else { return Ok(()) };
    for ((index, _), hit) in operands.into_iter().zip(hits) {
        cx.give_by(index, || g.clone() * hit / total.clone())?;
    }
    Ok(())
}
