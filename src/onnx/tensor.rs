//! Tensors: messages to [`Tensor`] and back, in whichever field the data stand.

use onnxpress_ir::{Carried, DType, Element, SparseTensor, Tensor, TensorError};
use onnxpress_proto::schema::tensor_proto::DataLocation;
use onnxpress_proto::schema::{SparseTensorProto, TensorProto};
use onnxpress_proto::{Bytes, ExternalError, ExternalFiles, Promises};

use super::extras::{DataField, TensorExtras};

/// Why a tensor message is no tensor.
#[derive(Debug, thiserror::Error)]
pub enum TensorFault {
    /// A number that stands for no element type.
    #[error("element type {0} is not one of the standard")]
    ElementType(i32),
    /// An extent that is negative or beyond what memory can address.
    #[error("an extent of {0}")]
    Extent(i64),
    /// The data are not what element type and extents take.
    #[error(transparent)]
    Data(#[from] TensorError),
    /// The data are in a field that the element type does not use, or hold numbers that it does not have.
    #[error("{0}")]
    Field(String),
    /// The data are in another file, and cannot be had.
    #[error(transparent)]
    External(#[from] ExternalError),
    /// A sparse tensor lacks its values or indices.
    #[error("a sparse tensor without {0}")]
    Incomplete(&'static str),
}

/// Reads a tensor; its data stay where they are. Takes the data out of the message. One that is `named` (an initializer)
/// is known to the graph by its name; the name of any other is kept aside.
pub(super) fn from_message(
    mut message: TensorProto,
    named: bool,
    external: &mut ExternalFiles,
) -> Result<Tensor, TensorFault> {
    let code = message.data_type.unwrap_or_default();
    let dtype = DType::from_code(code.into()).ok_or(TensorFault::ElementType(code))?;
    let dims = extents(&message.dims)?;
    let is_external = message.data_location == Some(DataLocation::External as i32);
    let (tensor, field) = if is_external {
        let data = external.read(&message)?.unwrap_or_default();
        let expected = onnxpress_ir::tensor::element_count(&dims).and_then(|count| dtype.packed_len(count));
        let data = match expected {
            // Without a stated length the rest of the file was given.
            Some(length) if length < data.len() && !message.external_data.iter().any(is_length) => data.slice(..length),
            _ => data,
        };
        (Tensor::from_bytes(dtype, &dims, data)?, DataField::External)
    } else if let Some(raw) = message.raw_data.take() {
        (Tensor::from_bytes(dtype, &dims, raw)?, DataField::Raw)
    } else {
        (typed(dtype, &dims, &mut message)?, DataField::Typed)
    };
    let plain = TensorProto {
        dims: message.dims.clone(),
        data_type: message.data_type,
        name: message.name.clone().filter(|_| named),
        ..TensorProto::default()
    };
    if field == DataField::Raw && message == plain {
        return Ok(tensor);
    }
    Ok(tensor.with_carried(Carried::new(TensorExtras { message, field })))
}

fn is_length(entry: &onnxpress_proto::schema::StringStringEntryProto) -> bool {
    entry.key.as_deref() == Some(b"length")
}

fn extents(dims: &[i64]) -> Result<Vec<usize>, TensorFault> {
    dims.iter().map(|&dim| usize::try_from(dim).map_err(|_| TensorFault::Extent(dim))).collect()
}

/// Reads the field that the standard has for the element type, and empties it.
fn typed(dtype: DType, dims: &[usize], message: &mut TensorProto) -> Result<Tensor, TensorFault> {
    let bytes = match dtype {
        DType::String => return Ok(Tensor::from_strings(dims, std::mem::take(&mut message.string_data))?),
        DType::Float | DType::Complex64 => f32::encode(std::mem::take(&mut message.float_data)),
        DType::Double | DType::Complex128 => f64::encode(std::mem::take(&mut message.double_data)),
        DType::Int64 => i64::encode(std::mem::take(&mut message.int64_data)),
        DType::Uint64 => u64::encode(std::mem::take(&mut message.uint64_data)),
        DType::Uint32 => narrow(std::mem::take(&mut message.uint64_data), dtype, |x| u32::try_from(x).ok())?,
        DType::Int32 => i32::encode(std::mem::take(&mut message.int32_data)),
        DType::Int16 => narrow(std::mem::take(&mut message.int32_data), dtype, |x| i16::try_from(x).ok())?,
        DType::Uint16 | DType::Float16 | DType::Bfloat16 => {
            narrow(std::mem::take(&mut message.int32_data), dtype, |x| u16::try_from(x).ok())?
        }
        DType::Int8 => narrow(std::mem::take(&mut message.int32_data), dtype, |x| i8::try_from(x).ok())?,
        DType::Float6e2m3 | DType::Float6e3m2 => {
            let codes: Option<Vec<u8>> =
                std::mem::take(&mut message.int32_data).into_iter().map(|x| u8::try_from(x).ok()).collect();
            let codes = codes.ok_or_else(|| out_of_range(dtype))?;
            return Ok(Tensor::from_codes(dtype, dims, &codes)?);
        }
        _ => narrow(std::mem::take(&mut message.int32_data), dtype, |x| {
            u8::try_from(x).ok().or_else(|| i8::try_from(x).ok().map(|x| x as u8))
        })?,
    };
    Ok(Tensor::from_bytes(dtype, dims, bytes)?)
}

fn out_of_range(dtype: DType) -> TensorFault {
    TensorFault::Field(format!("a number that is no {dtype}"))
}

fn narrow<W, N: Element>(wide: Vec<W>, dtype: DType, f: impl Fn(W) -> Option<N>) -> Result<Bytes, TensorFault> {
    let narrow: Option<Vec<N>> = wide.into_iter().map(f).collect();
    narrow.map(N::encode).ok_or_else(|| out_of_range(dtype))
}

/// Bytes from which on data that are still to be made are promised rather than made at once.
const PROMISED: usize = 1 << 20;

/// The message of a tensor, as [`to_message`]; data that are still to be made, and many, are promised.
pub(super) fn to_promise(tensor: &Tensor, name: &onnxpress_ir::Name, promises: &mut Promises) -> TensorProto {
    let is_typed = field(tensor) == DataField::Typed;
    let unmade = tensor.unmade().filter(|unmade| !is_typed && unmade.byte_len() >= PROMISED);
    let stand_in = unmade.and_then(|unmade| promises.promise(unmade.byte_len(), move || unmade.make()));
    match stand_in {
        Some(bytes) => TensorProto { raw_data: Some(bytes), ..header(tensor, Some(name)) },
        None => to_message(tensor, Some(name)),
    }
}

/// The field for a tensor's data.
fn field(tensor: &Tensor) -> DataField {
    tensor.carried().get::<TensorExtras>().map_or(DataField::Raw, |extras| extras.field)
}

/// The message of a tensor without its data.
fn header(tensor: &Tensor, name: Option<&onnxpress_ir::Name>) -> TensorProto {
    let extras = tensor.carried().get::<TensorExtras>();
    let mut message = extras.map(|extras| extras.message.clone()).unwrap_or_default();
    message.dims = tensor.dims().iter().map(|&dim| dim as i64).collect();
    message.data_type = Some(tensor.dtype().code() as i32);
    if let Some(name) = name {
        message.name = Some(name.to_bytes());
    }
    message
}

/// The message of a tensor, data in the field where the reader found them. One that was external is marked so and has its
/// data at hand, for whoever places them.
pub(super) fn to_message(tensor: &Tensor, name: Option<&onnxpress_ir::Name>) -> TensorProto {
    let mut message = header(tensor, name);
    match (field(tensor), tensor.bytes()) {
        (DataField::Typed, Some(bytes)) => put_typed(&mut message, tensor, bytes),
        (_, Some(bytes)) => message.raw_data = Some(bytes.clone()),
        (_, None) => message.string_data = tensor.strings().unwrap_or_default().to_vec(),
    }
    message
}

fn put_typed(message: &mut TensorProto, tensor: &Tensor, bytes: &[u8]) {
    fn wide<N: Element, W: From<N>>(bytes: &[u8]) -> Vec<W> {
        N::decode(bytes).iter().map(|&x| W::from(x)).collect()
    }
    match tensor.dtype() {
        DType::Float | DType::Complex64 => message.float_data = f32::decode(bytes).into_owned(),
        DType::Double | DType::Complex128 => message.double_data = f64::decode(bytes).into_owned(),
        DType::Int64 => message.int64_data = i64::decode(bytes).into_owned(),
        DType::Uint64 => message.uint64_data = u64::decode(bytes).into_owned(),
        DType::Uint32 => message.uint64_data = wide::<u32, _>(bytes),
        DType::Int32 => message.int32_data = i32::decode(bytes).into_owned(),
        DType::Int16 => message.int32_data = wide::<i16, _>(bytes),
        DType::Uint16 | DType::Float16 | DType::Bfloat16 => message.int32_data = wide::<u16, _>(bytes),
        DType::Int8 => message.int32_data = wide::<i8, _>(bytes),
        DType::Float6e2m3 | DType::Float6e3m2 => {
            message.int32_data = tensor.to_codes().unwrap_or_default().into_iter().map(i32::from).collect();
        }
        _ => message.int32_data = wide::<u8, _>(bytes),
    }
}

/// Reads a sparse tensor.
pub(super) fn sparse_from_message(
    message: SparseTensorProto,
    named: bool,
    external: &mut ExternalFiles,
) -> Result<SparseTensor, TensorFault> {
    let dims = extents(&message.dims)?;
    let values = from_message(message.values.ok_or(TensorFault::Incomplete("values"))?, named, external)?;
    let indices = from_message(message.indices.ok_or(TensorFault::Incomplete("indices"))?, false, external)?;
    if values.rank() != 1 || indices.dtype() != DType::Int64 || indices.dims().first() != values.dims().first() {
        return Err(TensorFault::Field(format!("values {values:?} and indices {indices:?} make no sparse tensor")));
    }
    Ok(SparseTensor { values, indices, dims, carried: Carried::none() })
}

/// The message of a sparse tensor; its name is that of its values.
pub(super) fn sparse_to_message(tensor: &SparseTensor, name: Option<&onnxpress_ir::Name>) -> SparseTensorProto {
    SparseTensorProto {
        values: Some(to_message(&tensor.values, name)),
        indices: Some(to_message(&tensor.indices, None)),
        dims: tensor.dims.iter().map(|&dim| dim as i64).collect(),
    }
}
