//! Between floats and integers with a scale and a zero point.

mod dequantize;
mod dynamic;
mod gradient;
mod granularity;
mod quantize;

use crate::operator::Operator;

/// The data sheets of this family. onnxruntime has copies of two in its own domain, for types that the standard did not
/// have when they were needed.
pub(crate) const OPERATORS: &[&Operator] = &[
    &dequantize::DEQUANTIZE_LINEAR,
    &dynamic::DYNAMIC_QUANTIZE_LINEAR,
    &quantize::QUANTIZE_LINEAR,
    &MICROSOFT_DEQUANTIZE_LINEAR,
    &MICROSOFT_QUANTIZE_LINEAR,
];

static MICROSOFT_DEQUANTIZE_LINEAR: Operator = dequantize::sheet("com.microsoft");
static MICROSOFT_QUANTIZE_LINEAR: Operator = quantize::sheet("com.microsoft");
