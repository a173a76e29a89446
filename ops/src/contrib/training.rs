//! `BroadcastGradientArgs`, `ConcatTraining`, `YieldOp`: what onnxruntime's training graphs need besides gradients.
//!
//! - `BroadcastGradientArgs` (two shapes): the axes along which each was broadcast, the last first.
//! - `ConcatTraining`: a concatenation that also gives the extent of each operand along the axis.
//! - `YieldOp`: hands outputs to whoever trains and takes their gradients.
//!
//! Source: onnxruntime, the operators of these names, version 1.

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use super::DOMAIN;
use crate::axes::Axes;
use crate::evaluate::pieces::concat;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::movement::concat_shape;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static BROADCAST_GRADIENT_ARGS: Operator = sheet(
    "BroadcastGradientArgs",
    infer_arguments,
    "its operands are shapes",
    Evaluate::With(arguments),
    Quantize::KeepsFloat("its operands are shapes"),
);
pub(crate) static CONCAT_TRAINING: Operator = sheet(
    "ConcatTraining",
    infer_concat,
    "training graphs are not pruned",
    Evaluate::With(evaluate_concat),
    Quantize::Moves,
);
pub(crate) static YIELD_OP: Operator = Operator {
    // What comes back is not a function of what is handed out.
    effects: Effects::Random,
    ..sheet(
        "YieldOp",
        infer_yield,
        "its outputs come from outside of the graph",
        Evaluate::NotPossible("its outputs come from outside of the graph"),
        Quantize::KeepsFloat("its outputs come from outside of the graph"),
    )
};

const fn sheet(
    name: &'static str,
    infer: fn(&mut InferCx<'_>) -> Result<(), Undecided>,
    no_axes: &'static str,
    evaluate: Evaluate,
    quantize: Quantize,
) -> Operator {
    Operator {
        domain: DOMAIN,
        name,
        infer: Infer::With(infer),
        axes: Axes::Opaque(no_axes),
        evaluate,
        linear: Linear::None("moves data"),
        quantize,
        cost: Cost::None("moves data"),
        effects: Effects::Pure,
        gradient: Gradient::NotPossible("it belongs to a training step itself"),
    }
}

fn infer_arguments(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    for port in [0, 1] {
        cx.set_tensor(port, DType::Int64, Shape::from(vec![Dim::unknown()]));
    }
    if let (Some(a), Some(b)) = (cx.ints(0), cx.ints(1))
        && let Some(axes) = broadcast_axes(&a, &b)
    {
        for (port, axes) in axes.into_iter().enumerate() {
            cx.set_tensor(port, DType::Int64, Shape::from(vec![Dim::from_extent(axes.len())]));
            cx.set_elements(port, axes.into_iter().map(Dim::from).collect::<Vec<_>>());
        }
    }
    Ok(())
}

/// Along which axes of the result each shape was broadcast; `None` where they do not fit.
fn broadcast_axes(a: &[i64], b: &[i64]) -> Option<[Vec<i64>; 2]> {
    let rank = a.len().max(b.len());
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    for axis in (0..rank).rev() {
        let at = |shape: &[i64]| (axis + shape.len()).checked_sub(rank).map(|axis| shape[axis]);
        let number = i64::try_from(axis).ok()?;
        match (at(a), at(b)) {
            (Some(a), Some(b)) if a == b => {}
            (None, _) => of_a.push(number),
            (_, None) => of_b.push(number),
            (Some(1), _) => of_a.push(number),
            (_, Some(1)) => of_b.push(number),
            _ => return None,
        }
    }
    Some([of_a, of_b])
}

fn arguments(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (a, b) = (cx.ints(0)?.unwrap_or_default(), cx.ints(1)?.unwrap_or_default());
    let axes = broadcast_axes(&a, &b);
    let axes = axes.ok_or_else(|| EvalError::invalid(format!("{a:?} and {b:?} cannot be broadcast together")))?;
    Ok(axes.map(|axes| Tensor::vector(axes).into()).into())
}

fn infer_concat(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let count = cx.operand_count();
    let dtype = (0..count).find_map(|index| cx.dtype(index));
    cx.set_tensor(0, dtype, None);
    cx.set_tensor(1, DType::Int64, Shape::from(vec![Dim::from_extent(count)]));
    let shapes: Option<Vec<&Shape>> = (0..count).map(|index| cx.shape(index)).collect();
    let Some(shapes) = shapes else { return Ok(()) };
    let shape = concat_shape(&cx.attrs(), &shapes.iter().copied().map(Some).collect::<Vec<_>>())?;
    let axis = cx.attrs().int("axis")?.ok_or_else(|| Undecided::invalid("no attribute `axis`"))?;
    let axis = cx.axis(axis, shape.len())?;
    let extents: Vec<Dim> = shapes.iter().map(|shape| shape[axis].clone()).collect();
    cx.set_tensor(0, dtype, shape);
    if extents.len() <= crate::infer::MAX_ELEMENTS {
        cx.set_elements(1, extents);
    }
    Ok(())
}

fn evaluate_concat(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let tensors = (0..cx.inputs.len()).map(|index| cx.tensor(index).cloned()).collect::<Result<Vec<_>, _>>()?;
    let axis = cx.attrs().int("axis")?.ok_or_else(|| EvalError::invalid("no attribute `axis`"))?;
    let axis = cx.axis(axis, tensors.first().map_or(0, Tensor::rank))?;
    let joined = concat(cx, axis, &tensors)?;
    let extents: Vec<i64> = tensors.iter().map(|tensor| tensor.dims()[axis] as i64).collect();
    Ok(vec![joined.into(), Tensor::vector(extents).into()])
}

fn infer_yield(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let whole = cx.attrs().ints("full_shape_outputs")?.unwrap_or_default();
    let silent = cx.attrs().ints("non_differentiable_outputs")?.unwrap_or_default();
    let differentiable = (0..cx.operand_count()).filter(|&index| !silent.contains(&(index as i64)));
    for (port, index) in differentiable.enumerate() {
        // Of other gradients the caller may give a scalar, which stands for all elements.
        let shape = cx.shape(index).filter(|_| whole.contains(&(index as i64))).cloned();
        cx.set_tensor(port, cx.dtype(index), shape);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn an_axis_that_was_repeated_is_to_be_summed() {
        let node = op("BroadcastGradientArgs").domain("com.microsoft").outputs(2).int64s(&[3], &[2, 1, 3]);
        assert_eq!(node.int64s(&[2], &[4, 3]).infer(), "int64[1] = {1}, int64[1] = {0}");
    }

    #[test]
    fn extents_are_given_out() {
        let node = op("ConcatTraining").domain("com.microsoft").outputs(2).int("axis", 0);
        assert_eq!(node.input("float[N,3]").input("float[2,3]").infer(), "float[N + 2,3], int64[2] = {N, 2}");
    }
}
