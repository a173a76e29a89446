//! `Where`: of each pair of elements one or the other, by a condition, all three broadcast together.
//!
//! Source: ONNX operator specification, `Where`, opsets 9 to 16 (types widened, meaning unchanged).

use std::borrow::Cow;

use onnxpress_ir::{Dim, Shape};

use super::tracked_extents;
use crate::axes::Axes;
use crate::evaluate::elementwise::broadcast_dims;
use crate::evaluate::pick::pick_among;
use crate::evaluate::walk::Walk;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided, broadcast, keep_elements, tracked};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static WHERE: Operator = Operator {
    domain: "",
    name: "Where",
    infer: Infer::With(infer),
    axes: Axes::Spec("s.., s.., s.. -> s.."),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("elementwise"),
    quantize: Quantize::Moves,
    cost: Cost::None("elementwise"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::choice),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = cx.dtype(1).or(cx.dtype(2));
    cx.set_tensor(0, dtype, None);
    let shape = broadcast(cx, 0..3)?.ok_or(Undecided::Unknown)?;
    let elements = elements(cx, &shape);
    cx.set_tensor(0, dtype, shape);
    if let Some(elements) = elements {
        keep_elements(cx, dtype, elements);
    }
    Ok(())
}

/// The elements that are known whatever the others are.
fn elements(cx: &InferCx<'_>, shape: &Shape) -> Option<Vec<Dim>> {
    let dims = tracked_extents(shape)?;
    let lists: Vec<Option<Cow<'_, [Dim]>>> = (0..3).map(|index| tracked(cx, index)).collect();
    let walks = (0..3).map(|index| Some(Walk::broadcast(&tracked_extents(cx.shape(index)?)?, &dims)));
    let mut walks = walks.collect::<Option<Vec<_>>>()?;
    let count = walks.first()?.len();
    let mut next = |index: usize| -> Option<Dim> {
        let place = walks.get_mut(index)?.next()??;
        Some(lists.get(index)?.as_ref().map_or_else(Dim::unknown, |list| list.get(place).cloned().unwrap_or_default()))
    };
    (0..count)
        .map(|_| {
            let (condition, x, y) = (next(0)?, next(1)?, next(2)?);
            Some(match condition.as_const() {
                Some(0) => y,
                Some(_) => x,
                None if x.equals(&y) == Some(true) => x,
                None => Dim::unknown(),
            })
        })
        .collect()
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (condition, x, y) = (cx.tensor(0)?, cx.tensor(1)?, cx.tensor(2)?);
    let dims = broadcast_dims(cx, &broadcast_dims(cx, condition.dims(), x.dims())?, y.dims())?;
    let holds = condition.values::<bool>()?;
    let [conditions, xs, ys] = [condition, x, y].map(|tensor| Walk::broadcast(tensor.dims(), &dims));
    let places = conditions.zip(xs.zip(ys)).map(|(condition, (x, y))| {
        let holds = condition.and_then(|place| holds.get(place)).copied().unwrap_or_default();
        // What is nowhere is outside of any tensor, which picking refuses.
        if holds { (0, x.unwrap_or(usize::MAX)) } else { (1, y.unwrap_or(usize::MAX)) }
    });
    Ok(vec![pick_among(&[x, y], &dims, places)?.into()])
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    #[test]
    fn a_target_shape_is_put_together() {
        // How exporters write `x.expand(-1, 8, -1)`: what is -1 in the request keeps the extent.
        let node = op("Where").constant(Tensor::vector(vec![true, false, true]));
        let node = node.elements("int64[3]", "N s h").int64s(&[3], &[-1, 8, -1]);
        assert_eq!(node.infer(), "int64[3] = {N, 8, h}");
        let open = op("Where").elements("bool[2]", "? ?").elements("int64[2]", "N s").elements("int64[2]", "N t");
        assert_eq!(open.infer(), "int64[2] = {N, ?}", "the same either way");
        assert_eq!(op("Where").input("bool[2]").input("int64[2]").input("int64[2]").infer(), "int64[2]");
    }

    #[test]
    fn all_three_are_broadcast() {
        let node = op("Where").constant(Tensor::vector(vec![true, false]));
        let node = node.int64s(&[2, 1], &[1, 2]).int64s(&[], &[9]);
        assert_eq!(node.i64s(), [1, 9, 2, 9]);
        assert_eq!(op("Where").input("bool[N,1]").input("float[s]").input("float").infer(), "float");
        assert!(op("Where").input("bool[2]").input("float[3]").input("float[1]").infer().starts_with("invalid"));
    }
}
