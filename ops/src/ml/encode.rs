//! `LabelEncoder` and `Binarizer`: each element replaced by another.
//!
//! `LabelEncoder` 1 maps words to their places in a list, or back; from 2 on keys and values are lists in attributes, from 4
//! on also tensors.
//!
//! Source: ONNX operator specification, `ai.onnx.ml.LabelEncoder`, versions 1 to 4; `ai.onnx.ml.Binarizer`, version 1.

use std::collections::HashMap;

use bytes::Bytes;
use onnxpress_ir::{DType, Tensor};

use super::sheet;
use crate::axes::Axes;
use crate::evaluate::elementwise::unary;
use crate::evaluate::pick::pick_or;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided, same_as_first};
use crate::node::Attrs;
use crate::operator::Operator;

pub(crate) static BINARIZER: Operator = sheet("Binarizer", Axes::Spec("s.. -> s.."), same_as_first, binarize);
pub(crate) static LABEL_ENCODER: Operator = sheet("LabelEncoder", Axes::Spec("s.. -> s.."), infer, encode);

fn binarize(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let threshold = f64::from(cx.attrs().float_or("threshold", 0.0)?);
    unary(cx, |x| i128::from(x as f64 > threshold), |x| f64::from(u8::from(x > threshold)))
}

/// A list that an attribute holds, of strings, whole numbers, floats, or a tensor.
fn list(attrs: &Attrs<'_>, name: &str) -> Result<Option<Tensor>, Undecided> {
    let nonempty = |tensor: Tensor| Some(tensor).filter(|tensor| !tensor.is_empty());
    if let Some(tensor) = attrs.tensor(&format!("{name}_tensor"))? {
        return Ok(Some(tensor.clone()));
    }
    if let Some(strings) = attrs.strings(&format!("{name}_strings"))?.filter(|strings| !strings.is_empty()) {
        return Ok(nonempty(Tensor::from_strings(&[strings.len()], strings.to_vec())?));
    }
    if let Some(numbers) = attrs.ints(&format!("{name}_int64s"))?.filter(|numbers| !numbers.is_empty()) {
        return Ok(nonempty(Tensor::vector(numbers)));
    }
    Ok(attrs.floats(&format!("{name}_floats"))?.map(Tensor::vector).and_then(nonempty))
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = if cx.version < 2 {
        match cx.dtype(0) {
            Some(DType::String) => Some(DType::Int64),
            Some(DType::Int64) => Some(DType::String),
            _ => None,
        }
    } else {
        list(&cx.attrs(), "values")?.map(|values| values.dtype())
    };
    cx.set_tensor(0, dtype, cx.shape(0).cloned());
    Ok(())
}

/// An element as a key: equal ones have equal keys, all NaNs among them.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Whole(i64),
    Float(u64),
    Word(Bytes),
}

fn keys(tensor: &Tensor) -> Result<Vec<Key>, EvalError> {
    if let Some(words) = tensor.strings() {
        return Ok(words.iter().cloned().map(Key::Word).collect());
    }
    if tensor.dtype().is_float() {
        let canonical = |x: f64| if x.is_nan() { f64::NAN.to_bits() } else { (x + 0.0).to_bits() };
        return Ok(tensor.to_f64s()?.into_iter().map(|x| Key::Float(canonical(x))).collect());
    }
    Ok(tensor.to_i64s()?.into_iter().map(Key::Whole).collect())
}

fn encode(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let attrs = cx.attrs();
    let (known, values) = if cx.version < 2 {
        let words = attrs.strings("classes_strings")?.unwrap_or_default();
        let places = Tensor::vector((0..words.len() as i64).collect::<Vec<_>>());
        let words = Tensor::from_strings(&[words.len()], words.to_vec())?;
        if x.dtype() == DType::String { (words, places) } else { (places, words) }
    } else {
        match (list(&attrs, "keys")?, list(&attrs, "values")?) {
            (Some(keys), Some(values)) => (keys, values),
            _ => return Err(EvalError::invalid("no keys or no values")),
        }
    };
    if known.len() != values.len() {
        return Err(EvalError::invalid(format!("{} keys for {} values", known.len(), values.len())));
    }
    let default = match (attrs.tensor("default_tensor")?, values.dtype()) {
        (Some(tensor), dtype) if tensor.dtype() == dtype && tensor.len() == 1 => tensor.clone(),
        (_, DType::String) => {
            let word = attrs.string_or("default_string", "_Unused".into())?.into_owned();
            Tensor::from_strings(&[], vec![word.into()])?
        }
        (_, dtype) if dtype.is_float() => {
            Tensor::from_f64s(dtype, &[], &[f64::from(attrs.float_or("default_float", -0.0)?)])?
        }
        (_, dtype) => Tensor::from_i64s(dtype, &[], &[attrs.int_or("default_int64", -1)?])?,
    };
    let places: HashMap<Key, usize> = keys(&known)?.into_iter().enumerate().map(|(at, key)| (key, at)).collect();
    let found = keys(x)?.into_iter().map(|key| places.get(&key).copied());
    Ok(vec![pick_or(&values, &default, x.dims(), found)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn what_is_no_key_becomes_the_default() {
        let node = op("LabelEncoder").domain("ai.onnx.ml").int("default_int64", 9);
        let node = node.reals("keys_floats", &[0.5, f32::NAN]).ints("values_int64s", &[5, 7]);
        assert_eq!(node.floats(&[3], &[0.5, 1.0, f32::NAN]).i64s(), [5, 9, 7]);
    }
}
