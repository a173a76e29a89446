//! Tensors: `float[2] {1, 2.5}`, and by recipe `float[64,3] = normal(seed=1, std=0.1)`.
//!
//! As in ONNX, floats of sixteen bits and fewer are written as the numbers of their bit patterns, and elements of four and
//! two bits as the numbers of the bytes that they are packed in. Two extensions are for people: if any number has a point, an
//! exponent or is no number, such floats are values; and elements of four and two bits may stand one by one.

use bytes::Bytes;
use half::{bf16, f16};
use num_complex::Complex;

use super::super::cursor::{Cursor, Number};
use super::super::error::{Fault, TextError};
use super::super::print::type_text;
use super::super::recipe::{self, Recipe};
use super::types;
use crate::carried::Carried;
use crate::dtype::{DType, Kind};
use crate::graph::ConstantValue;
use crate::tensor::{Element, SparseTensor, Tensor, TensorError, element_count, range};
use crate::types::{TensorType, Type};

/// Element type and extents, if the type says both.
fn concrete(ty: &TensorType) -> Option<(DType, Vec<usize>)> {
    Some((ty.dtype?, ty.shape.as_ref()?.as_consts()?))
}

/// The value of a type that has been read; `at` is where the type began.
pub(super) fn value(cursor: &mut Cursor<'_>, ty: &Type, at: usize, recipes: bool) -> Result<ConstantValue, TextError> {
    let no_tensor = |cursor: &Cursor<'_>| {
        let expected = "a tensor type whose extents are numbers".to_owned();
        cursor.error_at(at, Fault::Expected { found: format!("`{}`", type_text(ty)), expected })
    };
    match ty {
        Type::Tensor(tensor) => {
            let (dtype, dims) = concrete(tensor).ok_or_else(|| no_tensor(cursor))?;
            data(cursor, dtype, &dims, recipes).map(ConstantValue::Dense)
        }
        Type::SparseTensor(tensor) => {
            let (dtype, dims) = concrete(tensor).ok_or_else(|| no_tensor(cursor))?;
            sparse(cursor, dtype, dims).map(ConstantValue::Sparse)
        }
        _ => Err(no_tensor(cursor)),
    }
}

/// `float[2] {1, 2} at int64[2] {0, 5}`: the elements that are stored, and where they stand.
fn sparse(cursor: &mut Cursor<'_>, dtype: DType, dims: Vec<usize>) -> Result<SparseTensor, TextError> {
    let at = cursor.place();
    let values = dense(cursor)?;
    if values.dtype() != dtype {
        return Err(cursor.error_at(at, TensorError::DType { found: values.dtype(), expected: dtype }.into()));
    }
    if cursor.identifier() != Some("at") {
        return Err(cursor.expected("`at` and the indices"));
    }
    let indices = dense(cursor)?;
    Ok(SparseTensor { values, indices, dims, carried: Carried::none() })
}

/// A dense tensor with its type, without a name.
fn dense(cursor: &mut Cursor<'_>) -> Result<Tensor, TextError> {
    let at = cursor.place();
    let ty = types::ty(cursor)?;
    let recipes = cursor.take("=");
    match value(cursor, &ty, at, recipes)? {
        ConstantValue::Dense(tensor) => Ok(tensor),
        ConstantValue::Sparse(_) => {
            let fault =
                Fault::Expected { found: format!("`{}`", type_text(&ty)), expected: "a dense tensor".to_owned() };
            Err(cursor.error_at(at, fault))
        }
    }
}

/// The elements: listed in braces or, after `=`, by recipe.
fn data(cursor: &mut Cursor<'_>, dtype: DType, dims: &[usize], recipes: bool) -> Result<Tensor, TextError> {
    let at = cursor.place();
    if cursor.peek() == Some(b'[') {
        return Err(cursor.error_at(at, Fault::External));
    }
    let tensor = match cursor.peek_identifier() {
        Some("elided") => return Err(cursor.error_at(at, Fault::Elided)),
        Some("hex") if recipes => hex(cursor, dtype, dims),
        Some(_) if recipes => recipe(cursor, dtype, dims),
        _ if cursor.take("{") => literal(cursor, dtype, dims),
        _ => return Err(cursor.expected(if recipes { "`{` or a recipe" } else { "`{`" })),
    };
    tensor.map_err(|fault| match fault {
        Failure::Here(fault) => cursor.error_at(at, fault),
        Failure::There(error) => error,
    })
}

enum Failure {
    /// What is wrong with the tensor as a whole.
    Here(Fault),
    /// What is wrong at a place within.
    There(TextError),
}

impl From<TextError> for Failure {
    fn from(error: TextError) -> Self {
        Self::There(error)
    }
}

impl From<TensorError> for Failure {
    fn from(error: TensorError) -> Self {
        Self::Here(error.into())
    }
}

/// Listed elements, the opening brace taken.
fn literal(cursor: &mut Cursor<'_>, dtype: DType, dims: &[usize]) -> Result<Tensor, Failure> {
    Ok(match dtype {
        DType::Float => tensor(dims, list(cursor, float::<f32>)?)?,
        DType::Double => tensor(dims, list(cursor, float::<f64>)?)?,
        DType::Complex64 => tensor(dims, pairs(list(cursor, float::<f32>)?, dims)?)?,
        DType::Complex128 => tensor(dims, pairs(list(cursor, float::<f64>)?, dims)?)?,
        DType::Int64 => tensor(dims, list(cursor, |cursor| whole::<i64>(cursor, dtype))?)?,
        DType::Uint64 => tensor(dims, list(cursor, |cursor| whole::<u64>(cursor, dtype))?)?,
        DType::Int32 => tensor(dims, list(cursor, |cursor| whole::<i32>(cursor, dtype))?)?,
        DType::Uint32 => tensor(dims, list(cursor, |cursor| whole::<u32>(cursor, dtype))?)?,
        DType::Int16 => tensor(dims, list(cursor, |cursor| whole::<i16>(cursor, dtype))?)?,
        DType::Uint16 => tensor(dims, list(cursor, |cursor| whole::<u16>(cursor, dtype))?)?,
        DType::Int8 => tensor(dims, list(cursor, |cursor| whole::<i8>(cursor, dtype))?)?,
        DType::Uint8 => tensor(dims, list(cursor, |cursor| whole::<u8>(cursor, dtype))?)?,
        DType::Bool => {
            let bytes = list(cursor, |cursor| whole::<u8>(cursor, dtype))?;
            counted(dims, bytes.len())?;
            Tensor::from_bytes(dtype, dims, Bytes::from(bytes))?
        }
        DType::String => {
            let strings = list(cursor, |cursor| cursor.string())?;
            counted(dims, strings.len())?;
            Tensor::from_strings(dims, strings)?
        }
        _ => codes(cursor, dtype, dims)?,
    })
}

fn counted(dims: &[usize], found: usize) -> Result<(), Failure> {
    match element_count(dims) {
        Some(expected) if expected == found => Ok(()),
        Some(expected) => Err(Failure::Here(Fault::ElementCount { found, expected })),
        None => Err(TensorError::TooLarge(dims.to_vec()).into()),
    }
}

fn tensor<T: Element>(dims: &[usize], values: Vec<T>) -> Result<Tensor, Failure> {
    counted(dims, values.len())?;
    Ok(Tensor::from_values(dims, values)?)
}

/// Complex numbers from their real and imaginary parts in turn.
fn pairs<T: Copy>(parts: Vec<T>, dims: &[usize]) -> Result<Vec<Complex<T>>, Failure> {
    if parts.len() % 2 == 1 {
        let expected = element_count(dims).and_then(|count| count.checked_mul(2)).unwrap_or(usize::MAX);
        return Err(Failure::Here(Fault::ElementCount { found: parts.len(), expected }));
    }
    Ok(parts.chunks_exact(2).map(|pair| Complex { re: pair[0], im: pair[1] }).collect())
}

fn list<'t, T>(
    cursor: &mut Cursor<'t>,
    mut read: impl FnMut(&mut Cursor<'t>) -> Result<T, TextError>,
) -> Result<Vec<T>, TextError> {
    let mut values = Vec::new();
    if cursor.take("}") {
        return Ok(values);
    }
    loop {
        values.push(read(cursor)?);
        if !cursor.take(",") {
            cursor.expect("}")?;
            return Ok(values);
        }
    }
}

/// Types that numbers are read as.
pub(super) trait Parsed: std::str::FromStr + Copy {
    /// The element type, for messages.
    const DTYPE: DType;
    /// The value with its sign bit; the sign of a NaN is not read by the standard library.
    fn signed(self, text: &str) -> Self;
    /// Whether a finite number as written became infinite.
    fn overflowed(self, text: &str) -> bool;
}

macro_rules! parsed {
    ($($float:ty => $dtype:ident),*) => {$(
        impl Parsed for $float {
            const DTYPE: DType = DType::$dtype;
            fn signed(self, text: &str) -> Self {
                if self.is_nan() { Self::NAN.copysign(if text.starts_with('-') { -1.0 } else { 1.0 }) } else { self }
            }
            fn overflowed(self, text: &str) -> bool {
                self.is_infinite() && text.bytes().any(|b| b.is_ascii_digit())
            }
        }
    )*};
}

parsed!(f32 => Float, f64 => Double);

pub(super) fn float<T: Parsed>(cursor: &mut Cursor<'_>) -> Result<T, TextError> {
    let number = cursor.number()?;
    float_of(cursor, number)
}

pub(super) fn float_of<T: Parsed>(cursor: &Cursor<'_>, number: Number<'_>) -> Result<T, TextError> {
    let value = number.text.parse::<T>().ok().map(|value| value.signed(number.text));
    value.filter(|value| !value.overflowed(number.text)).ok_or_else(|| not_a(cursor, number, T::DTYPE))
}

pub(super) fn whole<T: std::str::FromStr>(cursor: &mut Cursor<'_>, dtype: DType) -> Result<T, TextError> {
    let number = cursor.number()?;
    number.text.parse().map_err(|_| not_a(cursor, number, dtype))
}

pub(super) fn not_a(cursor: &Cursor<'_>, number: Number<'_>, dtype: DType) -> TextError {
    let number_text = number.text.chars().take(40).collect();
    cursor.error_at(number.at, Fault::Number { number: number_text, dtype })
}

/// Elements of types without literals of their own: bit patterns, packed bytes or values.
fn codes(cursor: &mut Cursor<'_>, dtype: DType, dims: &[usize]) -> Result<Tensor, Failure> {
    let mut are_values = false;
    let (low, high) = match dtype.kind() {
        Kind::Float => (0, (1i64 << dtype.bits()) - 1),
        _ => range(dtype),
    };
    let packs = matches!(dtype.bits(), 2 | 4);
    let (low, high) = if packs { (low, high.max(i64::from(u8::MAX))) } else { (low, high) };
    let numbers = list(cursor, |cursor| {
        let number = cursor.number()?;
        are_values |= !number.whole;
        let value = float_of::<f64>(cursor, number)?;
        let fits = !number.whole || dtype.is_float() && !packs || (low as f64..=high as f64).contains(&value);
        if fits { Ok((value, number)) } else { Err(not_a(cursor, number, dtype)) }
    })?;
    let values = || numbers.iter().map(|&(value, _)| value).collect::<Vec<_>>();
    if are_values {
        if !dtype.is_float() {
            let wrong =
                numbers.iter().find(|(_, number)| !number.whole).map(|&(_, number)| not_a(cursor, number, dtype));
            return Err(wrong.map_or(Failure::Here(Fault::Number { number: String::new(), dtype }), Failure::There));
        }
        counted(dims, numbers.len())?;
        return Ok(Tensor::from_f64s(dtype, dims, &values())?);
    }
    let in_range = |low: i64, high: i64| match numbers.iter().find(|(v, _)| !(low as f64..=high as f64).contains(v)) {
        Some(&(_, number)) => Err(not_a(cursor, number, dtype)),
        None => Ok(numbers.iter().map(|&(value, _)| value as i64).collect::<Vec<_>>()),
    };
    let count = element_count(dims).ok_or_else(|| TensorError::TooLarge(dims.to_vec()))?;
    let packed = dtype.packed_len(count);
    let negative = numbers.iter().any(|&(value, _)| value < 0.0);
    if packs && packed == Some(numbers.len()) && !negative {
        let bytes: Vec<_> = in_range(0, i64::from(u8::MAX))?.into_iter().map(|byte| byte as u8).collect();
        return Ok(Tensor::from_bytes(dtype, dims, Bytes::from(bytes))?);
    }
    counted(dims, numbers.len())?;
    match dtype {
        DType::Float16 | DType::Bfloat16 => {
            let bits: Vec<_> = in_range(0, 0xffff)?.into_iter().map(|bits| bits as u16).collect();
            Ok(if dtype == DType::Float16 {
                Tensor::from_values(dims, bits.into_iter().map(f16::from_bits).collect::<Vec<_>>())?
            } else {
                Tensor::from_values(dims, bits.into_iter().map(bf16::from_bits).collect::<Vec<_>>())?
            })
        }
        _ if dtype.is_float() => {
            let codes: Vec<_> = in_range(0, (1 << dtype.bits()) - 1)?.into_iter().map(|code| code as u8).collect();
            Ok(Tensor::from_codes(dtype, dims, &codes)?)
        }
        _ => {
            let (low, high) = range(dtype);
            Ok(Tensor::from_i64s(dtype, dims, &in_range(low, high)?)?)
        }
    }
}

/// `hex("0000803f")`: the packed bytes.
fn hex(cursor: &mut Cursor<'_>, dtype: DType, dims: &[usize]) -> Result<Tensor, Failure> {
    cursor.identifier();
    cursor.expect("(")?;
    let at = cursor.place();
    let digits = cursor.string()?;
    cursor.expect(")")?;
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let bytes: Option<Vec<_>> =
        digits.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect();
    let Some(bytes) = bytes else {
        let fault = Fault::Expected {
            found: "other characters".to_owned(),
            expected: "two hexadecimal digits a byte".to_owned(),
        };
        return Err(cursor.error_at(at, fault).into());
    };
    Ok(Tensor::from_bytes(dtype, dims, Bytes::from(bytes))?)
}

/// A recipe with its arguments.
fn recipe(cursor: &mut Cursor<'_>, dtype: DType, dims: &[usize]) -> Result<Tensor, Failure> {
    let name = cursor.peek_identifier().unwrap_or_default();
    let keys: &[&str] = match name {
        "iota" => &["start", "step"],
        "uniform" => &["seed", "low", "high"],
        "normal" => &["seed", "mean", "std"],
        "splat" => return splat(cursor, dtype, dims),
        _ => return Err(cursor.expected("`{`, `splat`, `iota`, `uniform`, `normal` or `hex`").into()),
    };
    cursor.identifier();
    let mut given: [Option<Number<'_>>; 3] = [None; 3];
    if cursor.take("(") && !cursor.take(")") {
        loop {
            let at = cursor.place();
            let key = cursor.identifier();
            let Some(index) = keys.iter().position(|&known| Some(known) == key) else {
                cursor.return_to(at);
                return Err(cursor.expected(&format!("`{}`", keys.join("`, `"))).into());
            };
            cursor.expect("=")?;
            if given[index].replace(cursor.number()?).is_some() {
                return Err(cursor.error_at(at, Fault::Twice { what: keys[index].to_owned() }).into());
            }
            if !cursor.take(",") {
                break;
            }
        }
        cursor.expect(")")?;
    }
    let real = |index: usize, default: f64| given[index].map_or(Ok(default), |number| float_of::<f64>(cursor, number));
    let seed = match given[0] {
        Some(number) if name != "iota" => {
            number.text.parse::<u64>().map_err(|_| not_a(cursor, number, DType::Uint64))?
        }
        _ => 0,
    };
    let recipe = match name {
        "iota" => Recipe::Iota { start: real(0, 0.0)?, step: real(1, 1.0)? },
        "uniform" => Recipe::Uniform { seed, low: real(1, 0.0)?, high: real(2, 1.0)? },
        _ => Recipe::Normal { seed, mean: real(1, 0.0)?, std: real(2, 1.0)? },
    };
    let count = budgeted(cursor, dims)?;
    recipe::make(recipe, dtype, dims, count).map_err(Failure::Here)
}

/// The number of elements, taken off the text's budget: a recipe's text does not grow with them.
fn budgeted(cursor: &mut Cursor<'_>, dims: &[usize]) -> Result<usize, Failure> {
    let limit = cursor.element_limit;
    let count = element_count(dims).ok_or(Failure::Here(Fault::TooManyElements { limit }))?;
    cursor.elements = cursor.elements.checked_sub(count).ok_or(Failure::Here(Fault::TooManyElements { limit }))?;
    Ok(count)
}

/// `splat(x)`: every element is the value x.
fn splat(cursor: &mut Cursor<'_>, dtype: DType, dims: &[usize]) -> Result<Tensor, Failure> {
    cursor.identifier();
    cursor.expect("(")?;
    let one = match dtype {
        DType::String => Tensor::from_strings(&[], vec![cursor.string()?])?,
        DType::Float => Tensor::scalar(float::<f32>(cursor)?),
        DType::Int64 => Tensor::scalar(whole::<i64>(cursor, dtype)?),
        DType::Uint64 => Tensor::scalar(whole::<u64>(cursor, dtype)?),
        DType::Complex64 | DType::Complex128 => return Err(Failure::Here(Fault::Recipe { recipe: "splat", dtype })),
        _ if dtype.is_float() => Tensor::from_f64s(dtype, &[], &[float::<f64>(cursor)?])?,
        _ => {
            let number = cursor.number()?;
            let value = number.text.parse::<i64>().ok();
            let (low, high) = if dtype == DType::Bool { (0, 1) } else { range(dtype) };
            let value =
                value.filter(|value| (low..=high).contains(value)).ok_or_else(|| not_a(cursor, number, dtype))?;
            Tensor::from_i64s(dtype, &[], &[value])?
        }
    };
    cursor.expect(")")?;
    let count = budgeted(cursor, dims)?;
    recipe::repeat(&one, dims, count).map_err(Failure::Here)
}
