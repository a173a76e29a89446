//! `FusedMatMul` of `com.microsoft`: `MatMul` with operands transposed and a factor.
//!
//! Operands A, B as for `MatMul` once their axes are put in order: `transBatchA` takes the first axis behind the others but the
//! last, then `transA` exchanges the last two. Output `alpha * A' · B'`. Vectors are not transposed.
//!
//! Source: onnxruntime, `FusedMatMul`, version 1.

use onnxpress_ir::{Dim, Shape, Tensor};

use super::DOMAIN;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::linear::matrix;
use crate::node::{Attrs, NodeCx};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, LinearLayer, Operator, Quantize, Rows};

pub(crate) static FUSED_MAT_MUL: Operator = Operator {
    domain: DOMAIN,
    name: "FusedMatMul",
    infer: Infer::With(infer),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::Layers(layers),
    quantize: Quantize::Computes,
    cost: Cost::Macs(macs),
    effects: Effects::Pure,
    gradient: Gradient::SpelledOut(super::spelling::fused_mat_mul),
};

/// Where the axes of an operand (0: A, 1: B) of this rank stand once in order: entry i is the operand's own axis.
pub(super) fn order(attrs: &Attrs<'_>, operand: usize, rank: usize) -> Result<Vec<usize>, Undecided> {
    let [transposed, batch] = [["transA", "transBatchA"], ["transB", "transBatchB"]][operand];
    let mut order: Vec<usize> = (0..rank).collect();
    if rank > 2 && attrs.flag(batch)? {
        order[..rank - 1].rotate_left(1);
    }
    if rank > 1 && attrs.flag(transposed)? {
        order.swap(rank - 1, rank - 2);
    }
    Ok(order)
}

fn in_order(cx: &NodeCx<'_>, operand: usize) -> Result<Option<Shape>, Undecided> {
    let Some(shape) = cx.shape(operand) else { return Ok(None) };
    let order = order(&cx.attrs(), operand, shape.len())?;
    Ok(Some(order.into_iter().map(|axis| shape[axis].clone()).collect()))
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = cx.dtype(0).or(cx.dtype(1));
    let shape = matrix::product_shape_of(in_order(cx, 0)?.as_ref(), in_order(cx, 1)?.as_ref())?;
    cx.set_tensor(0, dtype, shape);
    Ok(())
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let (Some(a), Some(b)) = (cx.rank(0), cx.rank(1)) else { return Err("the ranks are not known".to_owned()) };
    // Letters of the axes in order: those of the stacks counted from the last, so that they align.
    let letters = |rank: usize, last: [&str; 2]| -> Vec<String> {
        let stack = (0..rank.saturating_sub(2)).rev().map(|axis| format!("b{axis}"));
        let last = if rank == 1 { vec!["k"] } else { last.to_vec() };
        stack.chain(last.into_iter().map(str::to_owned)).collect()
    };
    let own = |operand: usize, in_order: &[String]| -> Result<String, String> {
        let order = order(&cx.attrs(), operand, in_order.len()).map_err(|_| "an attribute is not known")?;
        let mut own = vec![String::new(); in_order.len()];
        order.into_iter().zip(in_order).for_each(|(axis, letter)| own[axis].clone_from(letter));
        Ok(own.join(" "))
    };
    let (left, right) = (letters(a, ["m", "k"]), letters(b, ["k", "n"]));
    let stack = letters(a.max(b).max(2), ["", ""]);
    let mut result: Vec<&str> = stack[..stack.len() - 2].iter().map(String::as_str).collect();
    result.extend((a > 1).then_some("m"));
    result.extend((b > 1).then_some("n"));
    Ok(format!("{}, {} -> {}", own(0, &left)?, own(1, &right)?, result.join(" ")))
}

/// Those of the product of the operands in order, with axes as the operands themselves have them.
fn layers(cx: &NodeCx<'_>) -> Vec<LinearLayer> {
    let mut layers = matrix::layers(cx, 0, 1);
    for layer in &mut layers {
        let order = cx.rank(layer.weight).map(|rank| order(&cx.attrs(), layer.weight, rank));
        let Some(Ok(order)) = order else { return Vec::new() };
        for axes in [&mut layer.output_axes, &mut layer.input_axes, &mut layer.batch_axes] {
            axes.iter_mut().for_each(|axis| *axis = order[*axis]);
        }
        let order = cx.rank(layer.input).map(|rank| self::order(&cx.attrs(), layer.input, rank));
        layer.rows = match (layer.rows, order) {
            (Rows::Along { input, output }, Some(Ok(order))) if in_step(&order, input) => {
                Rows::Along { input: order[input], output }
            }
            _ => Rows::Hidden("the rows do not stand in the order of the output's"),
        };
    }
    layers
}

/// Whether the axes other than `but` stay in their order.
fn in_step(order: &[usize], but: usize) -> bool {
    let mut others = order.iter().enumerate().filter(|(axis, _)| *axis != but).map(|(_, to)| to);
    let Some(mut last) = others.next() else { return true };
    others.all(|next| std::mem::replace(&mut last, next) < next)
}

fn macs(cx: &NodeCx<'_>) -> Dim {
    match (in_order(cx, 0), in_order(cx, 1)) {
        (Ok(a), Ok(b)) => matrix::macs(cx, matrix::summed(a.as_ref(), b.as_ref())),
        _ => Dim::unknown(),
    }
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let in_order = |operand: usize| -> Result<(Vec<f64>, Vec<usize>), EvalError> {
        let tensor = cx.tensor(operand)?;
        let order = order(&cx.attrs(), operand, tensor.rank())?;
        Ok(matrix::reordered(&tensor.to_f64s()?, tensor.dims(), &order))
    };
    let ((a, a_dims), (b, b_dims)) = (in_order(0)?, in_order(1)?);
    let (mut y, dims) = matrix::product(cx, (&a, &a_dims), (&b, &b_dims))?;
    let alpha = f64::from(cx.attrs().float_or("alpha", 1.0)?);
    y.iter_mut().for_each(|y| *y *= alpha);
    Ok(vec![Tensor::from_f64s(cx.tensor(0)?.dtype(), &dims, &y)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::{OneNode, op};

    fn fused() -> OneNode {
        op("FusedMatMul").domain("com.microsoft")
    }

    #[test]
    fn the_batch_goes_behind_and_the_last_two_change_places() {
        let heads = fused().int("transBatchA", 1).int("transB", 1).input("float[s,h,64]").input("float[h,t,64]");
        assert_eq!(heads.infer(), "float[h,s,t]");
        assert_eq!(heads.axes(), "m b0 k, b0 n k -> b0 m n");
        assert_eq!(fused().int("transA", 1).input("float[k]").input("float[k,n]").axes(), "k, k n -> n");
    }

    #[test]
    fn a_transposed_product_with_a_factor() {
        let y = fused().int("transA", 1).float("alpha", 0.5);
        let y = y.floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]).floats(&[2, 1], &[10.0, 100.0]);
        assert_eq!(y.f32s(), [155.0, 210.0]);
    }
}
