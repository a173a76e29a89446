//! Types: `float[N,3]`, `seq(map(int64, float))`, `opaque(a.b, c)`.

use super::super::cursor::Cursor;
use super::super::error::{Fault, TextError};
use crate::dim::Dim;
use crate::dtype::DType;
use crate::name::Name;
use crate::shape::Shape;
use crate::types::{TensorType, Type};

const A_TYPE: &str = "a type";

/// A type. `unknown`, an extension, is one only where nothing but a type can stand.
pub(super) fn ty(cursor: &mut Cursor<'_>) -> Result<Type, TextError> {
    if cursor.peek() == Some(b'?') {
        return Ok(Type::Tensor(tensor_type(cursor)?));
    }
    let Some(word) = cursor.peek_identifier() else { return Err(cursor.expected(A_TYPE)) };
    if word.parse::<DType>().is_ok() {
        return Ok(Type::Tensor(tensor_type(cursor)?));
    }
    if !matches!(word, "seq" | "optional" | "map" | "sparse_tensor" | "opaque" | "unknown") {
        return Err(cursor.expected(A_TYPE));
    }
    cursor.identifier();
    if word == "unknown" {
        return Ok(Type::Unknown);
    }
    cursor.expect("(")?;
    cursor.enter()?;
    let ty = match word {
        "seq" => Type::Sequence(Box::new(ty(cursor)?)),
        "optional" => Type::Optional(Box::new(ty(cursor)?)),
        "sparse_tensor" => Type::SparseTensor(tensor_type(cursor)?),
        "map" => {
            let key = dtype(cursor)?;
            cursor.expect(",")?;
            Type::Map(key, Box::new(ty(cursor)?))
        }
        _ => opaque(cursor)?,
    };
    cursor.leave();
    cursor.expect(")")?;
    Ok(ty)
}

fn dtype(cursor: &mut Cursor<'_>) -> Result<DType, TextError> {
    let dtype = cursor.peek_identifier().and_then(|word| word.parse().ok());
    let dtype = dtype.ok_or_else(|| cursor.expected("an element type"))?;
    cursor.identifier();
    Ok(dtype)
}

/// `float` is a scalar, `float[]` a tensor of any rank.
fn tensor_type(cursor: &mut Cursor<'_>) -> Result<TensorType, TextError> {
    let dtype = if cursor.take("?") { None } else { Some(dtype(cursor)?) };
    if !cursor.take("[") {
        return Ok(TensorType { dtype, shape: Some(Shape::scalar()) });
    }
    if cursor.take("]") {
        return Ok(TensorType { dtype, shape: None });
    }
    let mut dims = Vec::new();
    loop {
        dims.push(dim(cursor)?);
        if !cursor.take(",") {
            break;
        }
    }
    cursor.expect("]")?;
    Ok(TensorType { dtype, shape: Some(Shape::from(dims)) })
}

/// A number, `?`, a symbol, or (an extension) an expression of these. A negative number, which some exporters write for an
/// extent that is not known, is not known.
fn dim(cursor: &mut Cursor<'_>) -> Result<Dim, TextError> {
    let place = cursor.place();
    let name = if cursor.next_is_string() {
        cursor.name()?
    } else {
        cursor.identifier().map(|word| Name::from(word.to_owned()))
    };
    if let Some(name) = name
        && matches!(cursor.peek(), Some(b',' | b']'))
    {
        return Ok(Dim::named(&name.to_str()));
    }
    cursor.return_to(place);
    let (place, text) = cursor.extent();
    let dim = text.parse::<Dim>().map_err(|error| {
        let read: usize = text.chars().take(error.column.saturating_sub(1)).map(char::len_utf8).sum();
        let expected = if text.is_empty() { "an extent" } else { error.expected };
        if read == text.len() {
            return cursor.expected(expected);
        }
        cursor.error_at(place + read, Fault::Expected { found: error.found, expected: expected.to_owned() })
    })?;
    Ok(if dim.as_const().is_some_and(|extent| extent < 0) { Dim::unknown() } else { dim })
}

/// What stands in the parentheses of `opaque`: nothing, a name, or a domain and a name.
fn opaque(cursor: &mut Cursor<'_>) -> Result<Type, TextError> {
    let (mut domain, mut name) = (Name::empty(), Name::empty());
    if cursor.peek() != Some(b')') {
        name = super::dotted(cursor, "a name or `)`")?;
        if cursor.take(",") {
            domain = std::mem::take(&mut name);
            name = cursor.expect_name("a name")?;
        }
    }
    Ok(Type::Opaque { domain, name })
}
