//! Types: messages to [`Type`] and back.

use onnxpress_ir::{DType, Dim, Name, Shape, Symbol, TensorType, Type};
use onnxpress_proto::Bytes;
use onnxpress_proto::schema::tensor_shape_proto::Dimension;
use onnxpress_proto::schema::tensor_shape_proto::dimension::Value as DimValue;
use onnxpress_proto::schema::type_proto::{self, Value};
use onnxpress_proto::schema::{TensorShapeProto, TypeProto};

/// What a type message says; what is missing from it is not known. Nesting is bounded by the scan before decoding.
pub(super) fn from_message(message: Option<&TypeProto>) -> Type {
    let Some(value) = message.and_then(|message| message.value.as_ref()) else { return Type::Unknown };
    let element = |elem_type: &Option<Box<TypeProto>>| Box::new(from_message(elem_type.as_deref()));
    match value {
        Value::TensorType(tensor) => Type::Tensor(tensor_type(tensor.elem_type, tensor.shape.as_ref())),
        Value::SparseTensorType(tensor) => Type::SparseTensor(tensor_type(tensor.elem_type, tensor.shape.as_ref())),
        Value::SequenceType(sequence) => Type::Sequence(element(&sequence.elem_type)),
        Value::OptionalType(optional) => Type::Optional(element(&optional.elem_type)),
        Value::MapType(map) => match dtype(map.key_type) {
            Some(key) => Type::Map(key, element(&map.value_type)),
            None => Type::Unknown,
        },
        Value::OpaqueType(opaque) => Type::Opaque { domain: name(&opaque.domain), name: name(&opaque.name) },
    }
}

fn name(bytes: &Option<Bytes>) -> Name {
    bytes.clone().map(Name::from_bytes).unwrap_or_default()
}

fn dtype(code: Option<i32>) -> Option<DType> {
    DType::from_code(code?.into())
}

fn tensor_type(elem_type: Option<i32>, shape: Option<&TensorShapeProto>) -> TensorType {
    TensorType { dtype: dtype(elem_type), shape: shape.map(|shape| shape.dim.iter().map(dim).collect::<Shape>()) }
}

/// An extent below -1 that a type message declares: nothing is meant by such.
pub(super) fn negative_extent(message: Option<&TypeProto>) -> Option<i64> {
    let shape = match message?.value.as_ref()? {
        Value::TensorType(tensor) => tensor.shape.as_ref()?,
        Value::SparseTensorType(tensor) => tensor.shape.as_ref()?,
        Value::SequenceType(sequence) => return negative_extent(sequence.elem_type.as_deref()),
        Value::OptionalType(optional) => return negative_extent(optional.elem_type.as_deref()),
        Value::MapType(map) => return negative_extent(map.value_type.as_deref()),
        Value::OpaqueType(_) => return None,
    };
    shape.dim.iter().find_map(|dimension| match dimension.value {
        Some(DimValue::DimValue(extent)) if extent < -1 => Some(extent),
        _ => None,
    })
}

/// A negative extent, which some exporters write for one that is not known, is not known.
fn dim(dimension: &Dimension) -> Dim {
    match &dimension.value {
        Some(DimValue::DimValue(extent)) if *extent >= 0 => Dim::from(*extent),
        Some(DimValue::DimParam(symbol)) if !symbol.is_empty() => Dim::named(&String::from_utf8_lossy(symbol)),
        _ => Dim::unknown(),
    }
}

/// The message of a type; `None` where nothing is known.
pub(super) fn to_message(ty: &Type) -> Option<TypeProto> {
    let boxed = |ty: &Type| to_message(ty).map(Box::new);
    let value = match ty {
        Type::Unknown => return None,
        Type::Tensor(tensor) => {
            let (elem_type, shape) = tensor_parts(tensor);
            Value::TensorType(type_proto::Tensor { elem_type, shape })
        }
        Type::SparseTensor(tensor) => {
            let (elem_type, shape) = tensor_parts(tensor);
            Value::SparseTensorType(type_proto::SparseTensor { elem_type, shape })
        }
        Type::Sequence(element) => Value::SequenceType(Box::new(type_proto::Sequence { elem_type: boxed(element) })),
        Type::Optional(element) => Value::OptionalType(Box::new(type_proto::Optional { elem_type: boxed(element) })),
        Type::Map(key, value) => {
            Value::MapType(Box::new(type_proto::Map { key_type: Some(key.code() as i32), value_type: boxed(value) }))
        }
        Type::Opaque { domain, name } => {
            Value::OpaqueType(type_proto::Opaque { domain: Some(domain.to_bytes()), name: Some(name.to_bytes()) })
        }
    };
    Some(TypeProto { denotation: None, value: Some(value) })
}

fn tensor_parts(tensor: &TensorType) -> (Option<i32>, Option<TensorShapeProto>) {
    let shape = tensor.shape.as_ref().map(|shape| TensorShapeProto { dim: shape.iter().map(dimension).collect() });
    (tensor.dtype.map(|dtype| dtype.code() as i32), shape)
}

/// An extent that involves a number of our own making says nothing to others and is left out.
fn dimension(dim: &Dim) -> Dimension {
    let anonymous = || dim.symbols().iter().any(|symbol| matches!(symbol, Symbol::Anonymous(_)));
    let value = match dim.as_const() {
        Some(extent) => Some(DimValue::DimValue(extent)),
        None if dim.is_unknown() || anonymous() => None,
        None => Some(DimValue::DimParam(Bytes::from(dim.to_string()))),
    };
    Dimension { denotation: None, value }
}
