//! Whole numbers on their way through arithmetic: which operands have known elements, and which results keep them.
//!
//! Shapes are computed on tensors of 64-bit integers, but exporters detour through other integers, truth values (`Where`)
//! and floats (the scales of `Resize`). Elements are kept on the detour as long as the type holds them exactly.

use std::borrow::Cow;

use onnxpress_ir::{DType, Dim, Kind, Tensor};

use super::{InferCx, MAX_ELEMENTS};

/// The elements of operand `index`, at most [`MAX_ELEMENTS`] of them: those tracked, or those of a constant of any numeric
/// type that holds whole numbers only. Truth values are 0 and 1.
pub fn tracked<'a>(cx: &InferCx<'a>, index: usize) -> Option<Cow<'a, [Dim]>> {
    if let Some(elements) = cx.elements(index) {
        return (elements.len() <= MAX_ELEMENTS).then_some(Cow::Borrowed(elements));
    }
    wholes_of(cx.constant(index)?).map(Cow::Owned)
}

/// The elements of a tensor of any numeric type, at most [`MAX_ELEMENTS`] of them, where all are whole numbers.
pub fn wholes_of(tensor: &Tensor) -> Option<Vec<Dim>> {
    if tensor.len() > MAX_ELEMENTS {
        return None;
    }
    if tensor.dtype() == DType::Uint64 {
        let values = tensor.values::<u64>().ok()?;
        return values.iter().map(|&value| i64::try_from(value).ok().map(Dim::from)).collect();
    }
    if let Ok(values) = tensor.to_i64s() {
        return Some(values.into_iter().map(Dim::from).collect());
    }
    let is_whole = |value: f64| value.fract() == 0.0 && value.abs() <= 2f64.powi(53);
    let values = tensor.to_f64s().ok()?;
    values.into_iter().map(|value| is_whole(value).then(|| Dim::from(value as i64))).collect()
}

/// Whether every value that the dim can have is a number of the type.
///
/// Sizes are taken to fit the integer types of 32 bits and more, and binary64: a size computed in them that did not would be
/// no size. In narrower floats a large one would only be rounded, so there symbols are not kept.
fn is_held(dtype: DType, dim: &Dim) -> bool {
    if dim.is_unknown() {
        return true;
    }
    // Powers of two alone: neither 0 nor a sign.
    if dtype == DType::Float8e8m0 {
        return dim.as_const() == Some(1);
    }
    let precision = match dtype {
        DType::Float => 24,
        DType::Double => 53,
        DType::Float16 => 11,
        DType::Bfloat16 => 8,
        _ => 0,
    };
    match (dim.as_const(), dtype.kind()) {
        (Some(value), Kind::Float) => value.unsigned_abs() <= 1 << precision,
        (Some(value), Kind::Signed | Kind::Unsigned | Kind::Bool) => {
            let (low, high) = if dtype == DType::Bool { (0, 1) } else { onnxpress_ir::tensor::range(dtype) };
            (low..=high).contains(&value)
        }
        (None, Kind::Float) => dtype == DType::Double,
        (None, Kind::Signed) => dtype.bits() >= 32,
        (None, Kind::Unsigned) => dtype.bits() >= 32 && dim.is_non_negative() == Some(true),
        _ => false,
    }
}

/// Sets the elements of output 0, which is of `dtype`; those that the type may not hold become unknown, and where none is
/// known there are none.
pub fn keep_elements(cx: &mut InferCx<'_>, dtype: Option<DType>, elements: Vec<Dim>) {
    let Some(dtype) = dtype else { return };
    if elements.len() > MAX_ELEMENTS {
        return;
    }
    let held: Vec<Dim> =
        elements.into_iter().map(|dim| if is_held(dtype, &dim) { dim } else { Dim::unknown() }).collect();
    if held.is_empty() || held.iter().any(|dim| !dim.is_unknown()) {
        cx.set_elements(0, held);
    }
}

/// `f` of each pair of elements of two lists, a single one repeated; `None` where they do not pair up.
pub fn pairwise(a: &[Dim], b: &[Dim], f: impl Fn(&Dim, &Dim) -> Dim) -> Option<Vec<Dim>> {
    let count = match (a.len(), b.len()) {
        (m, n) if m == n => m,
        (1, n) | (n, 1) => n,
        _ => return None,
    };
    let pick = |list: &'_ [Dim], index: usize| list[if list.len() == 1 { 0 } else { index }].clone();
    Some((0..count).map(|index| f(&pick(a, index), &pick(b, index))).collect())
}

/// Elements of output 0, which is of `dtype`, where both operands have some and are of rank at most 1: `f` of each pair.
pub fn elements_of_pairs(cx: &mut InferCx<'_>, dtype: Option<DType>, f: impl Fn(&Dim, &Dim) -> Dim) {
    // Of a row and a column the elements do not simply pair up.
    if cx.rank(0).is_none_or(|rank| rank > 1) || cx.rank(1).is_none_or(|rank| rank > 1) {
        return;
    }
    let (Some(a), Some(b)) = (tracked(cx, 0), tracked(cx, 1)) else { return };
    if let Some(elements) = pairwise(&a, &b, f) {
        keep_elements(cx, dtype, elements);
    }
}

/// Elements of output 0, which is of `dtype` and of the shape of operand 0, where that has some: `f` of each.
pub fn elements_of_each(cx: &mut InferCx<'_>, dtype: Option<DType>, f: impl Fn(&Dim) -> Dim) {
    if let Some(elements) = tracked(cx, 0) {
        keep_elements(cx, dtype, elements.iter().map(f).collect());
    }
}
