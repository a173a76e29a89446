//! `Ceil`, `Floor`, `Round`: to whole numbers upward, downward, to the nearest (ties to the even one).
//!
//! One operand `[s..]`; output `[s..]` of the same type. Infinities and NaN stay.
//!
//! Source: ONNX operator specification, the operators of these names, opsets 1 (`Round` 11) to 22.

use crate::elementwise::pointwise;
use crate::evaluate::elementwise::unary_float;
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::operator::{Infer, Operator, Quantize};

const STEPPED: Quantize = Quantize::KeepsFloat("its results depend on which side of a step an operand lies");

pub(crate) static CEIL: Operator = Operator {
    infer: Infer::With(infer),
    ..pointwise("Ceil", STEPPED, Gradient::Zero("its results are steps"), |cx| unary_float(cx, f64::ceil))
};
pub(crate) static FLOOR: Operator = Operator {
    infer: Infer::With(infer),
    ..pointwise("Floor", STEPPED, Gradient::Zero("its results are steps"), |cx| unary_float(cx, f64::floor))
};
pub(crate) static ROUND: Operator = Operator {
    infer: Infer::With(infer),
    ..pointwise("Round", STEPPED, Gradient::Zero("its results are steps"), |cx| unary_float(cx, f64::round_ties_even))
};

/// Tracked elements are whole numbers, so they stay what they are.
fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::same_as_first(cx)?;
    infer::elements_of_each(cx, cx.dtype(0), Clone::clone);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn sizes_pass_through() {
        assert_eq!(op("Floor").elements("float[2]", "4 6").infer(), "float[2] = {4, 6}");
    }

    #[test]
    fn ties_go_to_the_even_number() {
        let values = [-1.5, -0.5, 0.5, 1.5, 2.5, 2.75];
        assert_eq!(op("Round").floats(&[6], &values).f32s(), [-2.0, 0.0, 0.0, 2.0, 2.0, 3.0]);
        assert_eq!(op("Ceil").floats(&[6], &values).f32s(), [-1.0, 0.0, 1.0, 2.0, 3.0, 3.0]);
        assert_eq!(op("Floor").floats(&[6], &values).f32s(), [-2.0, -1.0, 0.0, 1.0, 2.0, 2.0]);
    }
}
