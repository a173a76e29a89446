//! Types as ONNX's parser reads them.

use super::super::word::{is_identifier, push_string, push_word};
use crate::dim::{Dim, Symbol};
use crate::name::Name;
use crate::shape::Shape;
use crate::types::{TensorType, Type};

/// A type as text.
pub(in crate::text) fn type_text(ty: &Type) -> String {
    let mut text = String::new();
    push_type(&mut text, ty);
    text
}

/// A type; `unknown`, an extension, where nothing is known.
pub(super) fn push_type(out: &mut String, ty: &Type) {
    let mut around = |word: &str, element: &Type| {
        out.push_str(word);
        out.push('(');
        push_type(out, element);
        out.push(')');
    };
    match ty {
        Type::Unknown => out.push_str("unknown"),
        Type::Tensor(tensor) => push_tensor_type(out, tensor),
        Type::SparseTensor(tensor) => {
            out.push_str("sparse_tensor(");
            push_tensor_type(out, tensor);
            out.push(')');
        }
        Type::Sequence(element) => around("seq", element),
        Type::Optional(element) => around("optional", element),
        Type::Map(key, value) => {
            out.push_str(&format!("map({key}, "));
            push_type(out, value);
            out.push(')');
        }
        Type::Opaque { domain, name } => {
            out.push_str("opaque(");
            if domain.is_empty() {
                push_dotted(out, name);
            } else {
                push_dotted(out, domain);
                out.push_str(", ");
                push_word(out, name.as_bytes());
            }
            out.push(')');
        }
    }
}

/// A name whose dots are no reason to quote it; nothing for the empty one.
pub(super) fn push_dotted(out: &mut String, name: &Name) {
    match std::str::from_utf8(name.as_bytes()) {
        Ok("") => {}
        Ok(text) if text.split('.').all(|word| is_identifier(word.as_bytes())) => out.push_str(text),
        _ => push_string(out, name.as_bytes()),
    }
}

fn push_tensor_type(out: &mut String, ty: &TensorType) {
    out.push_str(ty.dtype.map_or("?", |dtype| dtype.name()));
    match &ty.shape {
        None => out.push_str("[]"),
        Some(shape) => push_shape(out, shape),
    }
}

fn push_shape(out: &mut String, shape: &Shape) {
    for (axis, dim) in shape.iter().enumerate() {
        out.push(if axis == 0 { '[' } else { ',' });
        push_dim(out, dim);
    }
    if shape.rank() > 0 {
        out.push(']');
    }
}

/// A number, a symbol or `?`; anything else, an extension, as dims print themselves.
fn push_dim(out: &mut String, dim: &Dim) {
    match dim.as_symbol() {
        Some(Symbol::Named(name)) => push_word(out, name.as_bytes()),
        _ => out.push_str(&dim.to_string()),
    }
}
