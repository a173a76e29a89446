//! `ConstantOfShape`: one value under the extents that the operand asks for.
//!
//! Source: ONNX operator specification, `ConstantOfShape`, opsets 9 to 25 (types widened, meaning unchanged).

use onnxpress_ir::{Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::lanes::volume;
use crate::evaluate::pick::repeat;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided, keep_elements, wholes_of};
use crate::letters::{Letters, relation};
use crate::movement::{extents_of_result, tracked_extents};
use crate::node::{Attrs, NodeCx};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, asked_extents};

pub(crate) static CONSTANT_OF_SHAPE: Operator = Operator {
    domain: "",
    name: "ConstantOfShape",
    infer: Infer::With(infer),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("makes elements out of nothing"),
    quantize: Quantize::KeepsFloat("makes elements out of nothing"),
    cost: Cost::None("makes elements out of nothing"),
    effects: Effects::Pure,
    gradient: Gradient::Zero("reads extents, no elements"),
};

/// All indices along an axis are alike, so any may go that the extents are told of.
fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let rank = cx.output_shape(0).ok_or("the rank is not known")?.len();
    Ok(relation(&[None], &[Some(Letters::default().row(rank))], "extents 0"))
}

/// The value, one element; a 0 of `float` where the node gives none.
fn value(attrs: &Attrs<'_>) -> Result<Tensor, Undecided> {
    match attrs.tensor("value")? {
        None => Ok(Tensor::scalar(0f32)),
        Some(value) if value.len() == 1 => Ok(value.clone()),
        Some(value) => Err(Undecided::invalid(format!("`value` has {} elements, not one", value.len()))),
    }
}

fn shape(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let shape = Shape::from(asked_extents(p, 0)?);
    match shape.iter().find(|extent| extent.is_non_negative() == Some(false)) {
        Some(extent) => Err(Undecided::invalid(format!("a tensor of extent {extent}"))),
        None => Ok(shape),
    }
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let value = value(&cx.attrs())?;
    cx.set_tensor(0, value.dtype(), None);
    let shape = shape(&**cx)?;
    let count = tracked_extents(&shape).map(|dims| volume(&dims));
    cx.set_tensor(0, value.dtype(), shape);
    if let (Some(count), Some([element])) = (count, wholes_of(&value).as_deref()) {
        keep_elements(cx, Some(value.dtype()), vec![element.clone(); count]);
    }
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let dims = extents_of_result(cx, &shape(cx)?)?;
    Ok(vec![repeat(&value(&cx.attrs())?, &dims)?.into()])
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::{Attr, AttrValue, Tensor};

    use crate::testing::op;

    #[test]
    fn elements_become_extents() {
        assert_eq!(op("ConstantOfShape").elements("int64[2]", "N 3").infer(), "float[N,3]");
        assert_eq!(op("ConstantOfShape").input("int64[2]").infer(), "float[?,?]");
        assert_eq!(op("ConstantOfShape").input("int64").infer(), "float");
        assert_eq!(op("ConstantOfShape").int64s(&[0], &[]).infer(), "float[] = {0}");
        assert_eq!(op("ConstantOfShape").int64s(&[1], &[-1]).infer(), "invalid: a tensor of extent -1");
    }

    #[test]
    fn the_value_is_repeated() {
        let ones = AttrValue::Tensor(Tensor::vector(vec![1i64]));
        let node = op("ConstantOfShape").int64s(&[1], &[3]).attr(Attr::new("value", ones));
        assert_eq!(node.infer(), "int64[3] = {1, 1, 1}");
        assert_eq!(node.i64s(), [1, 1, 1]);
        assert!(op("ConstantOfShape").int64s(&[2], &[i64::MAX, 2]).evaluate().is_err());
        assert!(op("ConstantOfShape").int64s(&[2], &[i64::MAX, 0]).evaluate().is_ok());
        let two = AttrValue::Tensor(Tensor::vector(vec![1i64, 2]));
        assert!(op("ConstantOfShape").int64s(&[1], &[3]).attr(Attr::new("value", two)).evaluate().is_err());
    }
}
