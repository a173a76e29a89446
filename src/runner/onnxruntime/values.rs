//! Values to onnxruntime's and back: bytes as they are, since both lay tensors out alike.

use ::ort::memory::Allocator;
use ::ort::value::{DynTensor, DynValue, Sequence, Tensor as OrtTensor, TensorElementType, ValueType};
use onnxpress_ir::{DType, Tensor};
use onnxpress_ops::evaluate::Value;
use onnxpress_proto::Bytes;

const TYPES: &[(DType, TensorElementType)] = &[
    (DType::Float, TensorElementType::Float32),
    (DType::Uint8, TensorElementType::Uint8),
    (DType::Int8, TensorElementType::Int8),
    (DType::Uint16, TensorElementType::Uint16),
    (DType::Int16, TensorElementType::Int16),
    (DType::Int32, TensorElementType::Int32),
    (DType::Int64, TensorElementType::Int64),
    (DType::String, TensorElementType::String),
    (DType::Bool, TensorElementType::Bool),
    (DType::Float16, TensorElementType::Float16),
    (DType::Double, TensorElementType::Float64),
    (DType::Uint32, TensorElementType::Uint32),
    (DType::Uint64, TensorElementType::Uint64),
    (DType::Complex64, TensorElementType::Complex64),
    (DType::Complex128, TensorElementType::Complex128),
    (DType::Bfloat16, TensorElementType::Bfloat16),
    (DType::Float8e4m3fn, TensorElementType::Float8E4M3FN),
    (DType::Float8e4m3fnuz, TensorElementType::Float8E4M3FNUZ),
    (DType::Float8e5m2, TensorElementType::Float8E5M2),
    (DType::Float8e5m2fnuz, TensorElementType::Float8E5M2FNUZ),
    (DType::Uint4, TensorElementType::Uint4),
    (DType::Int4, TensorElementType::Int4),
    (DType::Float4e2m1, TensorElementType::Float4E2M1),
    (DType::Float8e8m0, TensorElementType::Float8E8M0),
    (DType::Uint2, TensorElementType::Uint2),
    (DType::Int2, TensorElementType::Int2),
];

/// A value that onnxruntime can be given; why not, where it has none like it.
pub(super) fn to_ort(value: &Value) -> Result<DynValue, String> {
    match value {
        Value::Tensor(tensor) => Ok(tensor_to_ort(tensor)?.into_dyn()),
        Value::Optional(Some(value)) => to_ort(value),
        Value::Sequence(values) => {
            let tensors = values.iter().map(|value| match value {
                Value::Tensor(tensor) => tensor_to_ort(tensor),
                other => Err(format!("a sequence of {}s", other.kind())),
            });
            let sequence = Sequence::new(tensors.collect::<Result<Vec<_>, _>>()?).map_err(|error| error.to_string())?;
            Ok(sequence.into_dyn())
        }
        other => Err(format!("{} cannot be handed over", other.kind())),
    }
}

fn tensor_to_ort(tensor: &Tensor) -> Result<DynTensor, String> {
    let dims: Vec<i64> = tensor.dims().iter().map(|&dim| i64::try_from(dim).unwrap_or(i64::MAX)).collect();
    if let Some(strings) = tensor.strings() {
        let texts: Result<Vec<_>, _> = strings.iter().map(|text| String::from_utf8(text.to_vec())).collect();
        let texts = texts.map_err(|_| "a string that is no UTF-8".to_owned())?;
        let strings = OrtTensor::from_string_array((dims, &*texts)).map_err(|error| error.to_string())?;
        return Ok(strings.upcast());
    }
    let known = TYPES.iter().find(|(dtype, _)| *dtype == tensor.dtype());
    let (Some(&(_, ty)), Some(bytes)) = (known, tensor.bytes()) else {
        return Err(format!("elements of {}", tensor.dtype()));
    };
    let mut theirs = DynTensor::new(&Allocator::default(), ty, dims).map_err(|error| error.to_string())?;
    if !bytes.is_empty() {
        // SAFETY: the default allocator's memory is the processor's, and onnxruntime gave the tensor room for as many
        // elements of this type as `bytes` has: the packed length of a tensor is that of its type and extents. Nothing else
        // knows of the memory yet.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), theirs.data_ptr_mut().cast(), bytes.len()) };
    }
    Ok(theirs)
}

/// The value that onnxruntime computed.
pub(super) fn from_ort(value: DynValue) -> Result<Value, String> {
    match value.dtype().clone() {
        ValueType::Tensor { ty, shape, .. } => tensor_from_ort(value, ty, &shape),
        ValueType::Sequence(_) => {
            let view = value.downcast::<::ort::value::DynSequenceValueType>().map_err(|error| error.to_string())?;
            let elements = view.try_extract_sequence::<::ort::value::DynValueTypeMarker>();
            let elements = elements.map_err(|error| error.to_string())?;
            Ok(Value::Sequence(elements.into_iter().map(from_ort).collect::<Result<_, _>>()?))
        }
        ValueType::Map { key, .. } => map_from_ort(value, key),
        ValueType::Optional(_) => Ok(Value::Optional(None)),
    }
}

fn tensor_from_ort(value: DynValue, ty: TensorElementType, shape: &[i64]) -> Result<Value, String> {
    let view = value.downcast::<::ort::value::DynTensorValueType>().map_err(|error| error.to_string())?;
    let dims: Option<Vec<usize>> = shape.iter().map(|&dim| usize::try_from(dim).ok()).collect();
    let dims = dims.ok_or("an output of negative extent")?;
    if ty == TensorElementType::String {
        let (_, texts) = view.try_extract_strings().map_err(|error| error.to_string())?;
        let tensor = Tensor::from_strings(&dims, texts.into_iter().map(Bytes::from).collect());
        return Ok(Value::Tensor(tensor.map_err(|error| error.to_string())?));
    }
    let (dtype, _) = TYPES.iter().find(|(_, theirs)| *theirs == ty).ok_or_else(|| format!("an output of {ty}"))?;
    let count = onnxpress_ir::tensor::element_count(&dims).and_then(|count| dtype.packed_len(count));
    let length = count.ok_or("an output beyond memory")?;
    if length > 0 && !view.memory_info().is_cpu_accessible() {
        return Err("an output outside of the processor's memory".to_owned());
    }
    let mut bytes = vec![0u8; length];
    if length > 0 {
        // SAFETY: the tensor lies in the processor's memory, lives as long as `view`, and has that many bytes: the packed
        // length of its type and extents.
        unsafe { std::ptr::copy_nonoverlapping(view.data_ptr().cast(), bytes.as_mut_ptr(), length) };
    }
    let tensor = Tensor::from_bytes(*dtype, &dims, Bytes::from(bytes)).map_err(|error| error.to_string())?;
    Ok(Value::Tensor(tensor))
}

/// Maps as `ZipMap` makes them: from numbers or strings to scores.
fn map_from_ort(value: DynValue, key: TensorElementType) -> Result<Value, String> {
    let map = value.downcast::<::ort::value::DynMapValueType>().map_err(|error| error.to_string())?;
    let scalars = |values: Vec<f32>| values.into_iter().map(|value| Value::Tensor(Tensor::scalar(value))).collect();
    if key == TensorElementType::String {
        let entries = map.try_extract_key_values::<String, f32>().map_err(|error| error.to_string())?;
        let (keys, values): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
        let keys = Tensor::from_strings(&[keys.len()], keys.into_iter().map(Bytes::from).collect());
        return Ok(Value::Map(keys.map_err(|error| error.to_string())?, scalars(values)));
    }
    let entries = map.try_extract_key_values::<i64, f32>().map_err(|error| error.to_string())?;
    let (keys, values): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
    Ok(Value::Map(Tensor::vector(keys), scalars(values)))
}
