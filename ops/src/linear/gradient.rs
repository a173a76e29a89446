//! Gradients of products of matrices.

use onnxpress_ir::{Attr, Dim, Node, ValueId};

use super::equation::Equation;
use crate::gradient::{GradientCx, GradientError, of};

type Done = Result<(), GradientError>;

/// The value with one axis of extent 1 more.
fn with_axis(cx: &mut GradientCx<'_, '_>, value: ValueId, axis: i64) -> Result<ValueId, GradientError> {
    let axis = cx.ints([axis]);
    cx.apply("Unsqueeze", &[value, axis])
}

/// The value without an axis of extent 1.
fn without_axis(cx: &mut GradientCx<'_, '_>, value: ValueId, axis: i64) -> Result<ValueId, GradientError> {
    let axis = cx.ints([axis]);
    cx.apply("Squeeze", &[value, axis])
}

/// `G Bᵀ` and `Aᵀ G`; a vector is a matrix of one row or column.
pub(super) fn mat_mul(cx: &mut GradientCx<'_, '_>) -> Done {
    let (mut a, mut b, mut g) = (cx.operand(0)?, cx.operand(1)?, cx.result()?);
    let (row, column) = (cx.rank(a)? == 1, cx.rank(b)? == 1);
    if row {
        a = with_axis(cx, a, 0)?;
        // The row of the result is its last axis, or the one before where the column is missing too.
        g = with_axis(cx, g, if column { 0 } else { -2 })?;
    }
    if column {
        b = with_axis(cx, b, 1)?;
        g = with_axis(cx, g, -1)?;
    }
    if cx.wants(0) {
        let turned = cx.transposed(b)?;
        let mut da = cx.apply("MatMul", &[g, turned])?;
        if row {
            da = without_axis(cx, da, -2)?;
        }
        cx.give(0, da)?;
    }
    if cx.wants(1) {
        let mut db = weight_gradient(cx, a, b, g)?;
        if column {
            db = without_axis(cx, db, -1)?;
        }
        cx.give(1, db)?;
    }
    Ok(())
}

/// `Aᵀ G`. Where one matrix is multiplied with a stack of others, the stack becomes one matrix first: the sum over it is then
/// part of the product.
fn weight_gradient(cx: &mut GradientCx<'_, '_>, a: ValueId, b: ValueId, g: ValueId) -> Result<ValueId, GradientError> {
    let weight: Option<Vec<i64>> = cx.shape(b)?.iter().map(Dim::as_const).collect();
    if let Some(&[rows, columns]) = weight.as_deref()
        && cx.rank(a)? > 2
    {
        let (a, g) = (cx.reshape(a, &[-1, rows])?, cx.reshape(g, &[-1, columns])?);
        let turned = cx.transposed(a)?;
        return cx.apply("MatMul", &[turned, g]);
    }
    let turned = cx.transposed(a)?;
    cx.apply("MatMul", &[turned, g])
}

/// `y = alpha A' B' + beta C`, where `'` transposes as the attributes say.
pub(super) fn gemm(cx: &mut GradientCx<'_, '_>) -> Done {
    let (a, b, g) = (cx.operand(0)?, cx.operand(1)?, cx.result()?);
    let attrs = cx.node().attrs();
    let (alpha, beta) = (attrs.float_or("alpha", 1.0)?, attrs.float_or("beta", 1.0)?);
    let (trans_a, trans_b) = (attrs.flag("transA")?, attrs.flag("transB")?);
    let product = |trans_a: bool, trans_b: bool| {
        Node::new("Gemm", 1)
            .with(Attr::float("alpha", alpha))
            .with(Attr::int("transA", i64::from(trans_a)))
            .with(Attr::int("transB", i64::from(trans_b)))
    };
    if cx.wants(0) {
        let da =
            if trans_a { cx.add(product(trans_b, true), &[b, g])? } else { cx.add(product(false, !trans_b), &[g, b])? };
        cx.give(0, da)?;
    }
    if cx.wants(1) {
        let db =
            if trans_b { cx.add(product(true, trans_a), &[g, a])? } else { cx.add(product(!trans_a, false), &[a, g])? };
        cx.give(1, db)?;
    }
    cx.give_by(2, || of(g) * f64::from(beta))
}

/// The gradient's term joins the other operands', and the operand's becomes the output.
pub(super) fn einsum(cx: &mut GradientCx<'_, '_>) -> Done {
    let g = cx.result()?;
    let operands = cx.operands_from(0);
    let text =
        cx.node().attrs().string("equation")?.ok_or_else(|| GradientError::not_possible("no equation"))?.into_owned();
    let equation = Equation::parse(&text, operands.len())?;
    for &(index, operand) in &operands {
        if !cx.wants(index) {
            continue;
        }
        let turned = equation.turned(index).map_err(GradientError::not_possible)?;
        let others = operands.iter().filter(|&&(other, _)| other != index).map(|&(_, value)| value);
        let factors: Vec<ValueId> = std::iter::once(g).chain(others).collect();
        let mut gradient =
            cx.add(Node::new("Einsum", 1).with(Attr::new("equation", text_value(turned.text))), &factors)?;
        if !turned.summed_alone.is_empty() {
            // Axes that only this operand has are summed up, so each index along them has the same gradient.
            let axes = cx.ints(turned.summed_alone);
            gradient = cx.apply("Unsqueeze", &[gradient, axes])?;
            gradient = cx.spread_like(gradient, operand)?;
        }
        cx.give(index, gradient)?;
    }
    Ok(())
}

fn text_value(text: String) -> onnxpress_ir::AttrValue {
    onnxpress_ir::AttrValue::String(text.into())
}
