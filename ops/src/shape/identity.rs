//! `Identity`: hands its operand on, of whatever type it is.
//!
//! Source: ONNX operator specification, `Identity`, opsets 1 to 25 (sequences from 14 on, optional values from 16 on).

use crate::axes::Axes;
use crate::gradient::Gradient;
use crate::infer::{same_as_first, tracked};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static IDENTITY: Operator = Operator {
    domain: "",
    name: "Identity",
    infer: Infer::With(|cx| {
        if let Some(elements) = tracked(cx, 0) {
            cx.set_elements(0, elements.into_owned());
        }
        same_as_first(cx)
    }),
    axes: Axes::Spec("s.. -> s.."),
    evaluate: Evaluate::With(|cx| Ok(vec![cx.input(0)?.clone()])),
    linear: Linear::None("only hands its operand on"),
    quantize: Quantize::Moves,
    cost: Cost::None("only hands its operand on"),
    effects: Effects::Pure,
    gradient: Gradient::With(crate::movement::gradient::unchanged),
};

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn all_that_is_known_is_handed_on() {
        assert_eq!(op("Identity").elements("int64[2]", "N 3").infer(), "int64[2] = {N, 3}");
        assert_eq!(op("Identity").input("float").infer(), "float");
    }
}
