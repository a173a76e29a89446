//! `DictVectorizer` and `FeatureVectorizer`: a row of features from a map, or from several tensors.
//!
//! Source: ONNX operator specification, `ai.onnx.ml.DictVectorizer` and `FeatureVectorizer`, version 1.

use onnxpress_ir::{DType, Dim, Shape, Tensor, Type};

use super::sheet;
use crate::axes::Axes;
use crate::evaluate::lanes::volume;
use crate::evaluate::pick::{pick_among, zero};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided};
use crate::operator::Operator;

pub(crate) static DICT_VECTORIZER: Operator =
    sheet("DictVectorizer", Axes::Opaque("the operand is a map"), infer_dict, dict);
pub(crate) static FEATURE_VECTORIZER: Operator = sheet(
    "FeatureVectorizer",
    Axes::With(|cx| Ok(format!("{} -> n _", vec!["n _"; cx.operand_count().max(1)].join(", ")))),
    infer_features,
    features,
);

fn infer_dict(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let words = cx.attrs().strings("string_vocabulary")?.map_or(0, <[_]>::len);
    let numbers = cx.attrs().ints("int64_vocabulary")?.map_or(0, |numbers| numbers.len());
    let dtype = match cx.ty(0) {
        Type::Map(_, value) => value.dtype(),
        _ => None,
    };
    cx.set_tensor(0, dtype, Shape::from(vec![Dim::from(1), Dim::from_extent(words.max(numbers))]));
    Ok(())
}

fn dict(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let Value::Map(keys, values) = cx.input(0)? else { return Err(EvalError::invalid("a map was expected")) };
    let values = values.iter().map(Value::as_tensor).collect::<Result<Vec<_>, _>>()?;
    let dtype = values.first().map_or(DType::Float, |value| value.dtype());
    let words = cx.attrs().strings("string_vocabulary")?.unwrap_or_default();
    let numbers = cx.attrs().ints("int64_vocabulary")?.unwrap_or_default();
    let places: Vec<Option<usize>> = match keys.strings() {
        Some(keys) => words.iter().map(|word| keys.iter().position(|key| key == word)).collect(),
        None => {
            let keys = keys.to_i64s()?;
            numbers.iter().map(|number| keys.iter().position(|key| key == number)).collect()
        }
    };
    // What the map does not have is 0, the last of the sources.
    let nothing = zero(dtype);
    let sources: Vec<&Tensor> = values.iter().copied().chain([&nothing]).collect();
    let missing = sources.len() - 1;
    let chosen = places.iter().map(|place| (place.unwrap_or(missing), 0));
    Ok(vec![pick_among(&sources, &[1, places.len()], chosen)?.into()])
}

fn infer_features(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let columns = match cx.attrs().ints("inputdimensions")? {
        Some(widths) => Dim::sum(widths.into_iter().map(Dim::from)),
        None => Dim::unknown(),
    };
    let rows = match cx.shape(0).map(|shape| &shape[..]) {
        Some([_]) => Dim::from(1),
        Some([rows, ..]) => rows.clone(),
        _ => Dim::unknown(),
    };
    cx.set_tensor(0, DType::Float, Shape::from(vec![rows, columns]));
    Ok(())
}

fn features(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let operands = (0..cx.inputs.len()).map(|index| cx.tensor(index)).collect::<Result<Vec<_>, _>>()?;
    let own = |tensor: &Tensor| match tensor.dims() {
        [] => 1,
        [width] => *width,
        [_, rest @ ..] => volume(rest),
    };
    let widths: Vec<usize> = match cx.attrs().ints("inputdimensions")? {
        Some(widths) if widths.len() == operands.len() => widths
            .iter()
            .map(|&width| usize::try_from(width).map_err(|_| EvalError::invalid(format!("a width of {width}"))))
            .collect::<Result<_, _>>()?,
        Some(widths) => {
            return Err(EvalError::invalid(format!("{} widths of {} operands", widths.len(), operands.len())));
        }
        None => operands.iter().map(|tensor| own(tensor)).collect(),
    };
    let rows = operands.first().map_or(0, |tensor| if tensor.rank() < 2 { 1 } else { tensor.dims()[0] });
    let total = widths.iter().fold(0usize, |sum, &width| sum.saturating_add(width));
    let mut result = vec![0.0; cx.room_for(&[rows, total])?];
    let mut start = 0;
    for (tensor, &width) in operands.iter().zip(&widths) {
        let (values, own) = (tensor.to_f64s()?, own(tensor));
        for (row, features) in values.chunks_exact(own.max(1)).take(rows).enumerate() {
            // A shorter operand is filled up with zeros, a longer one cut.
            let to = &mut result[row * total + start..][..width];
            to.iter_mut().zip(features).for_each(|(to, &from)| *to = from);
        }
        start = start.saturating_add(width);
    }
    Ok(vec![Tensor::from_f64s(DType::Float, &[rows, total], &result)?.into()])
}
