//! `Concat`: tensors one after the other along an axis; along all others they agree.
//!
//! Source: ONNX operator specification, `Concat`, opsets 4 to 13 (in opset 1 the axis was optional, and 1 where left out).

use onnxpress_ir::{Dim, Shape, Tensor};

use super::tracked_extents;
use crate::axes::Axes;
use crate::evaluate::pieces::concat;
use crate::evaluate::walk::concat_places;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided, tracked};
use crate::letters::{Letters, relation, sized, with_axis};
use crate::node::{Attrs, NodeCx};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::axis_of;

pub(crate) static CONCAT: Operator = Operator {
    domain: "",
    name: "Concat",
    infer: Infer::With(infer),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("only puts tensors together"),
    quantize: Quantize::Moves,
    cost: Cost::None("only puts tensors together"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::concat),
};

fn axis(attrs: &Attrs<'_>, rank: usize) -> Result<usize, Undecided> {
    axis_of(attrs.int_or("axis", 1)?, rank)
}

/// The extents of the result, as far as those of the operands are known.
pub(crate) fn shape(attrs: &Attrs<'_>, operands: &[Option<&Shape>]) -> Result<Shape, Undecided> {
    let known = || operands.iter().copied().flatten();
    let first = known().next().ok_or(Undecided::Unknown)?;
    let axis = axis(attrs, first.rank())?;
    let mut result = first.clone();
    result[axis] = Dim::unknown();
    for shape in known() {
        let mut others = shape.clone();
        if let Some(extent) = others.get_mut(axis) {
            *extent = Dim::unknown();
        }
        result = result.merge(&others)?;
    }
    if operands.iter().all(Option::is_some) {
        result[axis] = Dim::sum(known().map(|shape| &shape[axis]));
    }
    Ok(result)
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let operands = 0..cx.operand_count();
    let dtype = operands.clone().find_map(|index| cx.dtype(index));
    cx.set_tensor(0, dtype, None);
    let shapes: Vec<_> = operands.map(|index| cx.shape(index)).collect();
    let shape = shape(&cx.attrs(), &shapes)?;
    let elements = elements(cx, &shape);
    cx.set_tensor(0, dtype, shape);
    if let Some(elements) = elements {
        cx.set_elements(0, elements);
    }
    Ok(())
}

/// The elements of the result where those of any operand are tracked; those of the others are so many unknowns.
fn elements(cx: &InferCx<'_>, shape: &Shape) -> Option<Vec<Dim>> {
    tracked_extents(shape)?;
    let operands = 0..cx.operand_count();
    let lists: Vec<_> = operands.clone().map(|index| tracked(cx, index)).collect();
    lists.iter().flatten().next()?;
    let dims = operands.map(|index| tracked_extents(cx.shape(index)?)).collect::<Option<Vec<_>>>()?;
    let element = |(which, at): (usize, usize)| match lists.get(which)? {
        Some(list) => list.get(at).cloned(),
        None => Some(Dim::unknown()),
    };
    let dims: Vec<&[usize]> = dims.iter().map(Vec::as_slice).collect();
    concat_places(&dims, axis(&cx.attrs(), shape.rank()).ok()?).map(element).collect()
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let tensors = (0..cx.inputs.len()).map(|index| cx.tensor(index).cloned()).collect::<Result<Vec<_>, _>>()?;
    let rank = tensors.first().map_or(0, Tensor::rank);
    Ok(vec![concat(cx, axis(&cx.attrs(), rank)?, &tensors)?.into()])
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let shapes: Vec<_> = (0..cx.operand_count()).map(|index| cx.shape(index)).collect();
    let rank = shapes.iter().copied().flatten().next().ok_or("the rank is not known")?.rank();
    let axis = axis(&cx.attrs(), rank).map_err(|_| "the axis is not known")?;
    let mut letters = Letters::default();
    let row = letters.row(rank);
    let (mut operands, mut segments) = (Vec::new(), Vec::new());
    for shape in shapes {
        let letter = letters.fresh();
        let extent = shape.and_then(|shape| shape.get(axis)).cloned().unwrap_or_default();
        segments.push(sized(&letter, &extent));
        operands.push(Some(with_axis(&row, axis, letter)));
    }
    Ok(relation(&operands, &[Some(with_axis(&row, axis, segments.join("+")))], "follows"))
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn extents_along_the_axis_add_up() {
        let two = |a: &str, b: &str| op("Concat").input(a).input(b).int("axis", 1).infer();
        assert_eq!(two("float[N,3,h]", "float[N,c,h]"), "float[N,c + 3,h]");
        assert_eq!(two("float[N,3,?]", "float[2,4,h]"), "float[2,7,h]", "what one knows holds for all");
        assert_eq!(two("float[N,3]", "float"), "float[N,?]");
        assert_eq!(two("float[N,3]", "float[N,3,1]"), "invalid: found rank 3, expected 2");
        assert_eq!(two("float[2,3]", "float[4,3]"), "invalid: axis 0: found extent 4, expected 2");
    }

    #[test]
    fn a_shape_is_put_together() {
        let shape = op("Concat").elements("int64[1]", "N").int64s(&[2], &[-1, 64]).int("axis", 0);
        assert_eq!(shape.infer(), "int64[3] = {N, -1, 64}");
        let open = op("Concat").elements("int64[1]", "N").input("int64[1]").int("axis", 0);
        assert_eq!(open.infer(), "int64[2] = {N, ?}");
    }

    #[test]
    fn rows_are_interleaved_along_an_inner_axis() {
        let node = op("Concat").int64s(&[2, 1], &[1, 4]).int64s(&[2, 2], &[2, 3, 5, 6]).int("axis", -1);
        assert_eq!(node.i64s(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(node.infer(), "int64[2,3] = {1, 2, 3, 4, 5, 6}");
        assert_eq!(op("Concat").int64s(&[], &[1]).int("axis", 0).fault(), "axis 0 of a tensor of rank 0");
    }

    #[test]
    fn the_axis_is_a_sum_of_segments() {
        let node = op("Concat").input("float[N,16,h]").input("float[N,c,h]").int("axis", 1);
        assert_eq!(node.axes(), "a d c, a e c -> a d:16+e c; follows");
    }
}
