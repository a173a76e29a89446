//! Tensors as ONNX's parser reads them, and shortened for people.

use super::super::recipe::uniform_element;
use super::super::word::push_string;
use super::Form;
use crate::dtype::{DType, Kind};
use crate::graph::ConstantValue;
use crate::tensor::{SparseTensor, Tensor};

/// The elements of a tensor: a list in braces, or what stands after `=`.
pub(super) enum Data {
    List(String),
    Recipe(String),
}

/// Where a value stands: after the name of an initializer, or by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'n> {
    /// `float[2] name = {1, 2}`
    Named(&'n [u8]),
    /// `float[2] {1, 2}`
    Alone,
}

/// Type, name and elements.
pub(super) fn push_value(out: &mut String, value: &ConstantValue, place: Place<'_>, form: &Form<'_>) {
    match value {
        ConstantValue::Dense(tensor) => push_tensor(out, tensor, place, form),
        ConstantValue::Sparse(tensor) => push_sparse(out, tensor, place, form),
    }
}

pub(super) fn push_tensor(out: &mut String, tensor: &Tensor, place: Place<'_>, form: &Form<'_>) {
    push_tensor_type(out, tensor.dtype(), tensor.dims());
    push_data(out, tensor, place, form);
}

/// The elements of a tensor, and the name before them.
pub(super) fn push_data(out: &mut String, tensor: &Tensor, place: Place<'_>, form: &Form<'_>) {
    if let Place::Named(name) = place {
        out.push(' ');
        super::super::word::push_name(out, name);
    }
    let (list, data) = match data(tensor, form) {
        Data::List(text) => (true, text),
        Data::Recipe(text) => (false, text),
    };
    out.push_str(if list && place == Place::Alone { " " } else { " = " });
    out.push_str(&data);
}

pub(super) fn push_tensor_type(out: &mut String, dtype: DType, dims: &[usize]) {
    out.push_str(dtype.name());
    for (axis, dim) in dims.iter().enumerate() {
        out.push_str(&format!("{}{dim}", if axis == 0 { '[' } else { ',' }));
    }
    if !dims.is_empty() {
        out.push(']');
    }
}

/// An extension: the elements stored and their indices, each as a dense tensor.
pub(super) fn push_sparse(out: &mut String, tensor: &SparseTensor, place: Place<'_>, form: &Form<'_>) {
    out.push_str("sparse_tensor(");
    push_tensor_type(out, tensor.dtype(), &tensor.dims);
    out.push(')');
    if let Place::Named(name) = place {
        out.push(' ');
        super::super::word::push_name(out, name);
    }
    out.push_str(" = ");
    push_tensor(out, &tensor.values, Place::Alone, form);
    out.push_str(" at ");
    push_tensor(out, &tensor.indices, Place::Alone, form);
}

fn data(tensor: &Tensor, form: &Form<'_>) -> Data {
    if form.max_elements.is_some_and(|max| tensor.len() > max) {
        return Data::Recipe(elided(tensor));
    }
    let one_by_one = if form.values { values(tensor) } else { codes(tensor) };
    match one_by_one {
        Some(elements) => Data::List(format!("{{{}}}", elements.join(", "))),
        None => {
            let bytes = tensor.bytes().map_or(&[][..], |bytes| bytes.as_ref());
            Data::Recipe(format!("hex(\"{}\")", hex(bytes)))
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What stands for elements that are too many: their common value, or the digest of the tensor.
fn elided(tensor: &Tensor) -> String {
    let one = uniform_element(tensor).and_then(|one| values(&one)).filter(|_| tensor.dtype().kind() != Kind::Complex);
    match one.as_deref() {
        Some([value]) => format!("splat({value})"),
        _ => format!("elided(\"sha256:{}\")", hex(&tensor.digest()[..8])),
    }
}

/// A float as the shortest text that reads back to it.
pub(super) fn float_text(value: impl Into<f64>, shortest: String, point: bool) -> String {
    let value: f64 = value.into();
    if value.is_nan() {
        return if value.is_sign_negative() { "-nan" } else { "nan" }.to_owned();
    }
    match shortest.strip_suffix(".0") {
        Some(whole) if !point => whole.to_owned(),
        _ => shortest,
    }
}

/// A 32-bit float; with `point` so that it cannot be taken for a whole number.
pub(super) fn f32_text(value: f32, point: bool) -> String {
    float_text(value, format!("{value:?}"), point)
}

fn f64_text(value: f64) -> String {
    float_text(value, format!("{value:?}"), false)
}

/// The elements as ONNX's parser takes them; `None` where it could not tell them apart.
fn codes(tensor: &Tensor) -> Option<Vec<String>> {
    let dtype = tensor.dtype();
    let bytes = || Some(tensor.bytes()?.iter().map(u8::to_string).collect());
    match dtype {
        DType::Float | DType::Double | DType::Complex64 | DType::Complex128 => {
            plain_nans(tensor).then(|| values(tensor))?
        }
        // The numbers of the bit patterns.
        DType::Float16 | DType::Bfloat16 => Some(
            tensor.bytes()?.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]).to_string()).collect(),
        ),
        // The packed bytes.
        _ if matches!(dtype.bits(), 2 | 4) => bytes(),
        DType::Bool => bytes(),
        _ if dtype.is_float() => {
            let codes = tensor.to_codes().ok()?;
            // Bits that no element has are kept too.
            let same = Tensor::from_codes(dtype, tensor.dims(), &codes).is_ok_and(|again| again.same_as(tensor));
            same.then(|| codes.iter().map(u8::to_string).collect())
        }
        _ => values(tensor),
    }
}

/// Whether every NaN is one of the two that are read back.
fn plain_nans(tensor: &Tensor) -> bool {
    let Some(bytes) = tensor.bytes() else { return true };
    if matches!(tensor.dtype(), DType::Float | DType::Complex64) {
        let plain = |bits: u32| !f32::from_bits(bits).is_nan() || bits & 0x7fff_ffff == f32::NAN.to_bits();
        bytes.chunks_exact(4).all(|b| plain(u32::from_le_bytes([b[0], b[1], b[2], b[3]])))
    } else {
        let plain = |bits: u64| !f64::from_bits(bits).is_nan() || bits & (u64::MAX >> 1) == f64::NAN.to_bits();
        bytes.chunks_exact(8).all(|b| plain(u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])))
    }
}

/// The elements as people read them.
fn values(tensor: &Tensor) -> Option<Vec<String>> {
    let quoted = |string: &bytes::Bytes| {
        let mut out = String::new();
        push_string(&mut out, string);
        out
    };
    let dtype = tensor.dtype();
    Some(match dtype {
        DType::String => tensor.strings()?.iter().map(quoted).collect(),
        DType::Float => tensor.values::<f32>().ok()?.iter().map(|&value| f32_text(value, false)).collect(),
        DType::Double => tensor.values::<f64>().ok()?.iter().map(|&value| f64_text(value)).collect(),
        DType::Complex64 => {
            let values = tensor.values::<num_complex::Complex<f32>>().ok()?;
            values.iter().flat_map(|z| [f32_text(z.re, false), f32_text(z.im, false)]).collect()
        }
        DType::Complex128 => {
            let values = tensor.values::<num_complex::Complex<f64>>().ok()?;
            values.iter().flat_map(|z| [f64_text(z.re), f64_text(z.im)]).collect()
        }
        DType::Uint64 => tensor.values::<u64>().ok()?.iter().map(u64::to_string).collect(),
        _ if dtype.is_float() => tensor.to_f32s().ok()?.into_iter().map(|value| f32_text(value, true)).collect(),
        _ => tensor.to_i64s().ok()?.iter().map(i64::to_string).collect(),
    })
}
