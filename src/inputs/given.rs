//! Values that the user gives, by name.

use onnxpress_ir::{Model, Type};
use onnxpress_ops::evaluate::Value;

use crate::npz::{Arrays, take_value};

/// Why values do not fit a model's inputs. Each message ends with what the model wants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputsError {
    /// An input has no value.
    #[error("no array for input `{name}`; the model wants {wanted}")]
    Missing {
        /// The input.
        name: String,
        /// All inputs with their types.
        wanted: String,
    },
    /// A value is of another type or shape than the input.
    #[error("array `{name}` is {found}, but input `{name}` is {expected}; the model wants {wanted}")]
    Mismatch {
        /// The input.
        name: String,
        /// What was given.
        found: String,
        /// What the input is declared as.
        expected: String,
        /// All inputs with their types.
        wanted: String,
    },
}

/// Values for a model's inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// One entry an input, in the model's order; `None` for those that have a default and were given no value.
    pub values: Vec<Option<Value>>,
    /// Arrays that are no input of the model.
    pub unused: Vec<String>,
}

/// Finds for every input of the model its array, and checks that it is of the input's type.
///
/// Arrays without names (`arr_0`, … of `numpy.savez`, or the one of an `.npy` file) are taken in the order of the inputs.
///
/// # Errors
/// Where an input without default has no array, or an array does not fit its input.
pub fn bind(model: &Model, mut arrays: Arrays) -> Result<Given, InputsError> {
    let graph = &model.graph;
    let wanted = || super::describe(model);
    let names: Vec<String> = graph.inputs().iter().map(|&id| graph.label(id.port(0))).collect();
    name_in_order(&names, &mut arrays);
    let mut values = Vec::with_capacity(names.len());
    for (&id, name) in graph.inputs().iter().zip(names) {
        let input = graph.input(id);
        let value = take_value(&mut arrays, &name, &input.declared);
        if let Some(value) = &value
            && !fits(value, &input.declared)
        {
            let (found, expected) = (type_of(value).to_string(), input.declared.to_string());
            return Err(InputsError::Mismatch { name, found, expected, wanted: wanted() });
        }
        if value.is_none() && input.default.is_none() {
            return Err(InputsError::Missing { name, wanted: wanted() });
        }
        values.push(value);
    }
    Ok(Given { values, unused: arrays.into_keys().collect() })
}

/// Gives nameless arrays the names of the inputs.
fn name_in_order(names: &[String], arrays: &mut Arrays) {
    let nameless = arrays.len() == 1 || arrays.keys().enumerate().all(|(index, key)| *key == format!("arr_{index}"));
    if nameless && arrays.len() == names.len() && !names.iter().any(|name| arrays.contains_key(name)) {
        *arrays = names.iter().cloned().zip(std::mem::take(arrays).into_values()).collect();
    }
}

/// Whether the value can be what the input is declared as.
fn fits(value: &Value, declared: &Type) -> bool {
    match (value, declared) {
        (Value::Sequence(values), Type::Sequence(element)) => values.iter().all(|value| fits(value, element)),
        (Value::Optional(value), Type::Optional(element)) => value.as_ref().is_none_or(|value| fits(value, element)),
        (Value::Map(keys, values), Type::Map(key, element)) => {
            keys.dtype() == *key && keys.dims() == [values.len()] && values.iter().all(|value| fits(value, element))
        }
        _ => type_of(value).merge(declared).is_ok(),
    }
}

/// The type of a value that is there. Elements of a sequence may differ, so of those only the first is told.
pub fn type_of(value: &Value) -> Type {
    let shape = |dims: &[usize]| Some(onnxpress_ir::Shape::from_extents(dims));
    match value {
        Value::Tensor(tensor) => Type::tensor(tensor.dtype(), shape(tensor.dims())),
        Value::Sparse(sparse) => {
            Type::SparseTensor(onnxpress_ir::TensorType { dtype: Some(sparse.dtype()), shape: shape(&sparse.dims) })
        }
        Value::Sequence(values) => Type::Sequence(Box::new(values.first().map_or(Type::Unknown, type_of))),
        Value::Optional(value) => Type::Optional(Box::new(value.as_deref().map_or(Type::Unknown, type_of))),
        Value::Map(keys, values) => Type::Map(keys.dtype(), Box::new(values.first().map_or(Type::Unknown, type_of))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use onnxpress_ir::{Carried, ConstantValue, DType, Dim, Input, Opsets, Port, Shape, Tensor};

    use super::*;

    fn model() -> Model {
        let mut model = Model::new(10, Opsets::new(vec![("".into(), 20)]));
        let mut add = |name: &'static str, dtype: DType, dims: Vec<Dim>, default: Option<Tensor>| {
            let declared = Type::tensor(dtype, dims.into_iter().collect::<Shape>());
            let port = Port::new(name, declared.clone());
            let default = default.map(ConstantValue::Dense);
            model.graph.add_input(Input { port, default, declared, carried: Carried::none() });
        };
        add("x", DType::Float, vec![Dim::named("N"), Dim::from(2)], None);
        add("k", DType::Int64, vec![], Some(Tensor::scalar(3i64)));
        model.graph.opsets = Arc::new(Opsets::new(vec![("".into(), 20)]));
        model
    }

    fn arrays(list: &[(&str, Tensor)]) -> Arrays {
        list.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())).collect()
    }

    #[test]
    fn arrays_find_their_inputs_and_the_rest_is_told() {
        let x = Tensor::from_values(&[3, 2], vec![0f32; 6]).unwrap();
        let given = bind(&model(), arrays(&[("labels", Tensor::scalar(1u8)), ("x", x.clone())])).unwrap();
        assert_eq!(given.values, [Some(Value::Tensor(x.clone())), None]);
        assert_eq!(given.unused, ["labels"]);
        let in_order = bind(&model(), arrays(&[("arr_0", x), ("arr_1", Tensor::scalar(7i64))])).unwrap();
        assert!(in_order.values.iter().all(Option::is_some));
    }

    #[test]
    fn messages_say_what_the_model_wants() {
        let message = |list: &[(&str, Tensor)]| bind(&model(), arrays(list)).unwrap_err().to_string();
        let wanted = "the model wants x: float[N,2], k: int64[] (optional)";
        assert_eq!(message(&[]), format!("no array for input `x`; {wanted}"));
        let short = Tensor::from_values(&[3, 1], vec![0f32; 3]).unwrap();
        assert_eq!(message(&[("x", short)]), format!("array `x` is float[3,1], but input `x` is float[N,2]; {wanted}"));
        let double = Tensor::from_values(&[3, 2], vec![0f64; 6]).unwrap();
        let found = message(&[("x", double)]);
        assert_eq!(found, format!("array `x` is double[3,2], but input `x` is float[N,2]; {wanted}"));
    }
}
