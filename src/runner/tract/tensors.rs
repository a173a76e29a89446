//! Tensors to tract's and back.

use half::f16;
use onnxpress_ir::{DType, Element, Tensor, TensorError};
use onnxpress_proto::Bytes;
use tract_onnx::prelude::tract_ndarray::ArrayD;
use tract_onnx::prelude::{Datum, DatumType, TractResult};

use tract_onnx::prelude::Tensor as Theirs;

/// One copy of the data, which tract wants aligned; why not, where tract has no such elements.
pub(super) fn to_tract(tensor: &Tensor) -> Result<Theirs, String> {
    fn plain<T: Element + Datum>(tensor: &Tensor) -> Result<Theirs, String> {
        let values = tensor.values::<T>().map_err(|error| error.to_string())?;
        Theirs::from_shape(tensor.dims(), &values).map_err(|error| error.to_string())
    }
    match tensor.dtype() {
        DType::Float => plain::<f32>(tensor),
        DType::Double => plain::<f64>(tensor),
        DType::Float16 => plain::<f16>(tensor),
        DType::Int8 => plain::<i8>(tensor),
        DType::Int16 => plain::<i16>(tensor),
        DType::Int32 => plain::<i32>(tensor),
        DType::Int64 => plain::<i64>(tensor),
        DType::Uint8 => plain::<u8>(tensor),
        DType::Uint16 => plain::<u16>(tensor),
        DType::Uint32 => plain::<u32>(tensor),
        DType::Uint64 => plain::<u64>(tensor),
        DType::Bool => plain::<bool>(tensor),
        DType::String => {
            let texts = tensor.strings().unwrap_or_default().iter();
            let texts: Result<Vec<String>, _> = texts.map(|text| String::from_utf8(text.to_vec())).collect();
            let texts = texts.map_err(|_| "a string that is no UTF-8".to_owned())?;
            let array = ArrayD::from_shape_vec(tensor.dims(), texts).map_err(|error| error.to_string())?;
            Ok(Theirs::from(array))
        }
        dtype => Err(format!("elements of {dtype}")),
    }
}

/// The tensor that tract computed. Sizes, which tract keeps in a type of its own, become whole numbers of 64 bits.
pub(super) fn from_tract(tensor: &Theirs) -> Result<Tensor, String> {
    fn plain<T: Element + Datum>(tensor: &Theirs) -> TractResult<Result<Tensor, TensorError>> {
        let values = tensor.try_as_plain_ram()?.as_slice::<T>()?.to_vec();
        Ok(Tensor::from_values(tensor.shape(), values))
    }
    let done = match tensor.datum_type().unquantized() {
        DatumType::F32 => plain::<f32>(tensor),
        DatumType::F64 => plain::<f64>(tensor),
        DatumType::F16 => plain::<f16>(tensor),
        DatumType::I8 => plain::<i8>(tensor),
        DatumType::I16 => plain::<i16>(tensor),
        DatumType::I32 => plain::<i32>(tensor),
        DatumType::I64 => plain::<i64>(tensor),
        DatumType::U8 => plain::<u8>(tensor),
        DatumType::U16 => plain::<u16>(tensor),
        DatumType::U32 => plain::<u32>(tensor),
        DatumType::U64 => plain::<u64>(tensor),
        DatumType::Bool => plain::<bool>(tensor),
        DatumType::TDim => tensor.cast_to::<i64>().and_then(|whole| plain::<i64>(&whole)),
        DatumType::String => tensor.try_as_plain_ram().and_then(|view| {
            let texts = view.as_slice::<String>()?.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect();
            Ok(Tensor::from_strings(tensor.shape(), texts))
        }),
        other => return Err(format!("an output of tract's type {other:?}")),
    };
    done.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}
