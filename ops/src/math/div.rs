//! `Div`: elementwise quotient with broadcasting; of whole numbers, rounded toward zero.
//!
//! Operands A, B `[s..]`, broadcast together; output `[s..]`. A whole number divided by 0 is not defined.
//!
//! Source: ONNX operator specification, `Div`, opsets 1 to 14 (before 7 broadcasting was asked for by attributes).

use onnxpress_ir::Dim;

use crate::elementwise::combining;
use crate::evaluate::elementwise::binary;
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::operator::{Operator, Quantize};

pub(crate) static DIV: Operator =
    combining("Div", infer, Quantize::Elementwise, Gradient::With(super::gradient::div), |cx| {
        binary(cx, i128::checked_div, |a, b| a / b)
    });

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = infer::elementwise(cx, None)?;
    let exact = dtype.is_some_and(|dtype| dtype.is_float());
    infer::elements_of_pairs(cx, dtype, |a, b| {
        let quotient = a.trunc_div(b);
        // A float keeps the fraction, so the quotient is a size only where there is none.
        if exact && (&quotient * b).equals(a) != Some(true) { Dim::unknown() } else { quotient }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn quotients_of_sizes() {
        let heads = op("Div").elements("int64[1]", "12*h").elements("int64[]", "12");
        assert_eq!(heads.infer(), "int64[1] = {h}");
        assert_eq!(op("Div").elements("int64[2]", "7 -7").elements("int64[]", "2").infer(), "int64[2] = {3, -3}");
        assert_eq!(op("Div").elements("int64[1]", "7").elements("int64[]", "0").infer(), "int64[1]");
        assert_eq!(op("Div").elements("float[2]", "7 8").floats(&[], &[2.0]).infer(), "float[2] = {?, 4}");
    }

    #[test]
    fn division_by_zero_is_an_error_for_whole_numbers_only() {
        let whole = op("Div").int64s(&[1], &[1]).int64s(&[1], &[0]);
        assert_eq!(whole.fault(), "an element has no defined result (as of a division by 0)");
        assert_eq!(op("Div").floats(&[1], &[1.0]).floats(&[1], &[0.0]).f32s(), [f32::INFINITY]);
        assert_eq!(op("Div").int64s(&[1], &[i64::MIN]).int64s(&[1], &[-1]).i64s(), [i64::MIN], "which wraps");
    }
}
