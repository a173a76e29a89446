//! Values that are no tensors, as arrays by name, and back.

use onnxpress_ir::{DType, SparseTensor, Tensor, Type};
use onnxpress_ops::evaluate::Value;

use super::Arrays;

/// The arrays that stand for a value.
pub(super) fn flatten(name: String, value: &Value) -> Vec<(String, Tensor)> {
    match value {
        Value::Tensor(tensor) => vec![(name, tensor.clone())],
        Value::Sparse(sparse) => {
            let SparseTensor { values, indices, dims, .. } = sparse;
            let dims: Vec<i64> = dims.iter().map(|&dim| i64::try_from(dim).unwrap_or(i64::MAX)).collect();
            vec![
                (format!("{name}.values"), values.clone()),
                (format!("{name}.indices"), indices.clone()),
                (format!("{name}.dims"), Tensor::vector(dims)),
            ]
        }
        Value::Optional(None) => Vec::new(),
        Value::Optional(Some(value)) => flatten(name, value),
        Value::Sequence(values) => {
            values.iter().enumerate().flat_map(|(index, one)| flatten(format!("{name}[{index}]"), one)).collect()
        }
        Value::Map(keys, values) => {
            let values = values.iter().enumerate();
            let values = values.flat_map(|(index, one)| flatten(format!("{name}.values[{index}]"), one));
            std::iter::once((format!("{name}.keys"), keys.clone())).chain(values).collect()
        }
    }
}

/// The value of type `ty` that the arrays under `name` stand for, taken out of `arrays`; `None` where there is none.
///
/// A tensor keeps the element type of its array, but where `ty` has one that numpy has not: then it is converted.
pub(crate) fn take_value(arrays: &mut Arrays, name: &str, ty: &Type) -> Option<Value> {
    match ty {
        Type::Sequence(element) => Some(Value::Sequence(take_elements(arrays, name, element))),
        Type::Optional(element) => {
            // An empty sequence looks like none at all; an optional one is then taken for absent.
            let value = if is_there(arrays, name) { Some(take_value(arrays, name, element)?) } else { None };
            Some(Value::Optional(value.map(Box::new)))
        }
        Type::Map(_, element) => {
            let keys = arrays.shift_remove(&format!("{name}.keys"))?;
            let values = take_elements(arrays, &format!("{name}.values"), element);
            Some(Value::Map(keys, values))
        }
        Type::SparseTensor(_) => {
            let values = arrays.shift_remove(&format!("{name}.values"))?;
            let indices = arrays.shift_remove(&format!("{name}.indices"))?;
            let dims = arrays.shift_remove(&format!("{name}.dims"))?.to_i64s().ok()?;
            let dims = dims.into_iter().map(|dim| usize::try_from(dim).ok()).collect::<Option<_>>()?;
            let carried = onnxpress_ir::Carried::none();
            Some(Value::Sparse(SparseTensor { values, indices, dims, carried }))
        }
        _ => {
            let tensor = arrays.shift_remove(name)?;
            Some(Value::Tensor(match ty.dtype() {
                Some(wanted) => narrowed(tensor, wanted),
                None => tensor,
            }))
        }
    }
}

/// The values `name[0]`, `name[1]`, … as far as there are any.
fn take_elements(arrays: &mut Arrays, name: &str, element: &Type) -> Vec<Value> {
    let mut values = Vec::new();
    loop {
        let name = format!("{name}[{}]", values.len());
        // A sequence in a sequence may be empty, but it must be there.
        if !matches!(element, Type::Tensor(_)) && !is_there(arrays, &name) {
            return values;
        }
        match take_value(arrays, &name, element) {
            Some(value) => values.push(value),
            None => return values,
        }
    }
}

/// Whether any array stands for the value `name` or a part of it.
fn is_there(arrays: &Arrays, name: &str) -> bool {
    arrays.keys().any(|key| key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.'])))
}

/// What was widened for numpy, made narrow again.
fn narrowed(tensor: Tensor, wanted: DType) -> Tensor {
    let dims = tensor.dims().to_vec();
    let narrow = match (tensor.dtype(), wanted) {
        (
            DType::Float,
            DType::Float | DType::Double | DType::Float16 | DType::Complex64 | DType::Complex128 | DType::String,
        ) => None,
        (DType::Float, wanted) if wanted.is_float() => {
            tensor.to_f64s().and_then(|values| Tensor::from_f64s(wanted, &dims, &values)).ok()
        }
        (DType::Int8, DType::Int4 | DType::Int2) | (DType::Uint8, DType::Uint4 | DType::Uint2) => {
            tensor.to_i64s().and_then(|values| Tensor::from_i64s(wanted, &dims, &values)).ok()
        }
        _ => None,
    };
    narrow.unwrap_or(tensor)
}
