//! `Constant`: the tensor that an attribute holds, in one of eight forms.
//!
//! Readers turn most of these nodes into constants of the graph; what is left are the forms that are no tensor yet, and nodes
//! inside functions whose value the caller sets.
//!
//! Source: ONNX operator specification, `Constant`, opsets 1 to 25 (sparse values from 11 on, plain numbers and strings from 12
//! on).

use std::borrow::Cow;

use onnxpress_ir::{AttrValue, Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::pick::densify;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided, wholes_of};
use crate::node::Attrs;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static CONSTANT: Operator = Operator {
    domain: "",
    name: "Constant",
    infer: Infer::With(infer),
    axes: Axes::Opaque("has no operands"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("has no operands"),
    quantize: Quantize::KeepsFloat("is stored, not computed"),
    cost: Cost::None("has no operands"),
    effects: Effects::Pure,
    gradient: Gradient::Zero("it has no operand"),
};

/// The value of the one attribute that is given.
fn value<'a>(attrs: &Attrs<'a>) -> Result<&'a AttrValue, Undecided> {
    const FORMS: [&str; 8] = [
        "value",
        "value_float",
        "value_floats",
        "value_int",
        "value_ints",
        "value_string",
        "value_strings",
        "sparse_value",
    ];
    let mut given = FORMS.into_iter().filter_map(|name| attrs.get(name));
    match (given.next(), given.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(Undecided::invalid("not exactly one attribute holds a value")),
    }
}

/// The tensor of a dense form; `None` for a sparse one.
fn dense(value: &AttrValue) -> Result<Option<Cow<'_, Tensor>>, Undecided> {
    Ok(Some(Cow::Owned(match value {
        AttrValue::Tensor(tensor) => return Ok(Some(Cow::Borrowed(tensor))),
        AttrValue::SparseTensor(_) => return Ok(None),
        AttrValue::Float(value) => Tensor::scalar(*value),
        AttrValue::Floats(values) => Tensor::vector(values.clone()),
        AttrValue::Int(value) => Tensor::scalar(*value),
        AttrValue::Ints(values) => Tensor::vector(values.clone()),
        AttrValue::String(value) => Tensor::from_strings(&[], vec![value.clone()])?,
        AttrValue::Strings(values) => Tensor::from_strings(&[values.len()], values.clone())?,
        AttrValue::Reference { .. } => return Err(Undecided::Unknown),
        other => return Err(Undecided::invalid(format!("a value of kind {}", other.kind()))),
    })))
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let value = value(&cx.attrs())?;
    let Some(tensor) = dense(value)? else {
        if let AttrValue::SparseTensor(sparse) = value {
            cx.set_tensor(0, sparse.dtype(), Shape::from_extents(&sparse.dims));
        }
        return Ok(());
    };
    cx.set_tensor(0, tensor.dtype(), Shape::from_extents(tensor.dims()));
    if let Some(elements) = wholes_of(&tensor) {
        cx.set_elements(0, elements);
    }
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let value = value(&cx.attrs())?;
    if let AttrValue::SparseTensor(sparse) = value {
        return Ok(vec![densify(sparse, cx.limit)?.into()]);
    }
    let tensor = dense(value)?.ok_or_else(|| EvalError::invalid("no value"))?;
    Ok(vec![tensor.into_owned().into()])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::{Attr, AttrValue, Carried, SparseTensor, Tensor};

    use crate::testing::op;

    #[test]
    fn every_form_is_a_tensor() {
        assert_eq!(op("Constant").int("value_int", 3).infer(), "int64[] = {3}");
        assert_eq!(op("Constant").ints("value_ints", &[3, 4]).infer(), "int64[2] = {3, 4}");
        assert_eq!(op("Constant").float("value_float", 0.5).infer(), "float[]");
        assert_eq!(op("Constant").string("value_string", "a").infer(), "string[]");
        assert_eq!(op("Constant").infer(), "invalid: not exactly one attribute holds a value");
        assert_eq!(op("Constant").ints("value_int", &[3]).i64s(), [3], "the kind says what it is");
    }

    #[test]
    fn a_sparse_value_is_filled_with_zeros() {
        let sparse = |dims: Vec<usize>, indices: Tensor| SparseTensor {
            values: Tensor::vector(vec![1.5f32, 2.5]),
            indices,
            dims,
            carried: Carried::none(),
        };
        let node = |sparse| op("Constant").attr(Attr::new("sparse_value", AttrValue::SparseTensor(sparse)));
        let linear = node(sparse(vec![2, 2], Tensor::vector(vec![1i64, 2])));
        assert_eq!(linear.f32s(), [0.0, 1.5, 2.5, 0.0]);
        assert_eq!(linear.infer(), "float[2,2]");
        let coordinates = Tensor::from_values(&[2, 2], vec![0i64, 1, 1, 1]).unwrap();
        assert_eq!(node(sparse(vec![2, 2], coordinates)).f32s(), [0.0, 1.5, 0.0, 2.5]);
        assert!(node(sparse(vec![2, 2], Tensor::vector(vec![1i64, 4]))).evaluate().is_err());
        assert!(node(sparse(vec![usize::MAX, 2], Tensor::vector(vec![1i64, 4]))).evaluate().is_err());
    }
}
