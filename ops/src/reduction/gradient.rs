//! Gradients of reductions: what became one number gets its gradient back, each by its own part in it.

use onnxpress_ir::{Attr, Node, ValueId};

use crate::gradient::{Expression, GradientCx, GradientError, function, of};

type Done = Result<(), GradientError>;

/// The axes as the node names them: an operand, an attribute, or none.
enum Named {
    Operand(ValueId),
    List(Vec<i64>),
    /// None, and none are meant.
    Nothing,
    /// None, and all are meant.
    All,
}

fn named(cx: &GradientCx<'_, '_>) -> Result<Named, GradientError> {
    let node = cx.node();
    let operand_since = if node.node.is("ReduceSum") { 13 } else { 18 };
    let list = if node.version < operand_since { node.attrs().ints("axes")? } else { node.ints(1) };
    Ok(match (list, cx.optional(1)) {
        (Some(list), _) if !list.is_empty() => Named::List(list),
        (None, Some(operand)) => Named::Operand(operand),
        _ if node.attrs().flag("noop_with_empty_axes")? => Named::Nothing,
        _ => Named::All,
    })
}

/// A value like the result, with the reduced axes back in place, each of extent 1.
fn kept(cx: &mut GradientCx<'_, '_>, value: ValueId) -> Result<ValueId, GradientError> {
    if cx.node().attrs().int_or("keepdims", 1)? != 0 {
        return Ok(value);
    }
    match named(cx)? {
        Named::Nothing => Ok(value),
        Named::Operand(axes) => cx.apply("Unsqueeze", &[value, axes]),
        Named::List(axes) => {
            let axes = cx.ints(axes);
            cx.apply("Unsqueeze", &[value, axes])
        }
        Named::All => {
            let rank = cx.rank(cx.operand(0)?)?;
            cx.reshape(value, &vec![1; rank])
        }
    }
}

/// The sum of a value along the axes of the node, which stay with extent 1.
fn summed(cx: &mut GradientCx<'_, '_>, value: ValueId) -> Result<ValueId, GradientError> {
    let sum = Node::new("ReduceSum", 1).with(Attr::int("keepdims", 1));
    match named(cx)? {
        Named::Nothing => Ok(value),
        Named::Operand(axes) => cx.add(sum, &[value, axes]),
        Named::List(axes) => cx.sum(value, axes, true),
        Named::All => cx.add(sum, &[value]),
    }
}

/// A formula in the operand, the result and the gradient, both with all axes.
fn by(cx: &mut GradientCx<'_, '_>, formula: fn(Expression, Expression, Expression) -> Expression) -> Done {
    let (x, y, g) = (cx.operand(0)?, cx.output(0), cx.result()?);
    let (y, g) = (kept(cx, y)?, kept(cx, g)?);
    cx.give_by(0, || formula(of(x), of(y), of(g)))
}

pub(super) fn sum(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, g) = (cx.operand(0)?, cx.result()?);
    let g = kept(cx, g)?;
    let spread = cx.spread_like(g, x)?;
    cx.give(0, spread)
}

pub(super) fn mean(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, y, g) = (cx.operand(0)?, cx.output(0), cx.result()?);
    let all = |value: ValueId, cx: &mut GradientCx<'_, '_>| {
        let axes: Vec<usize> = (0..cx.rank(value)?).collect();
        Ok::<_, GradientError>(of(cx.count_along(value, &axes)?))
    };
    let (before, after) = (all(x, cx)?, all(y, cx)?);
    let g = kept(cx, g)?;
    let share = cx.write(&(of(g) * (after / before)))?;
    let spread = cx.spread_like(share, x)?;
    cx.give(0, spread)
}

/// Equal extremes share the gradient.
pub(super) fn extremum(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, y, g) = (cx.operand(0)?, cx.output(0), cx.result()?);
    let (y, g) = (kept(cx, y)?, kept(cx, g)?);
    let hits = cx.write(&of(x).equals(y).as_number())?;
    let total = summed(cx, hits)?;
    cx.give_by(0, || of(g) * hits / total)
}

pub(super) fn l1(cx: &mut GradientCx<'_, '_>) -> Done {
    by(cx, |x, _, g| g * function("Sign", x))
}

pub(super) fn l2(cx: &mut GradientCx<'_, '_>) -> Done {
    by(cx, |x, y, g| g * x / y)
}

pub(super) fn sum_square(cx: &mut GradientCx<'_, '_>) -> Done {
    by(cx, |x, _, g| g * 2.0 * x)
}

pub(super) fn log_sum(cx: &mut GradientCx<'_, '_>) -> Done {
    let x = cx.operand(0)?;
    let (y, g) = (cx.output(0), cx.result()?);
    let (y, g) = (kept(cx, y)?, kept(cx, g)?);
    let share = cx.write(&(of(g) / function("Exp", of(y))))?;
    let spread = cx.spread_like(share, x)?;
    cx.give(0, spread)
}

pub(super) fn log_sum_exp(cx: &mut GradientCx<'_, '_>) -> Done {
    by(cx, |x, y, g| g * function("Exp", x - y))
}
